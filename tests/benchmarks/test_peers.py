"""The benchmark of the peers, without CTLearn: what it calls, what it counts, and what it makes of both DL2 files."""

import re
import sys

import numpy as np
import pytest
from benchmarks._process import CommandError, Cost, run_command
from benchmarks._report import Clock
from tests.reconstruction.ctlearn_dl2 import write_ctlearn
from tests.store.toy_dl1 import camera, subarray
from tests.toy_events import toy_events

from benchmarks import _ctlearn, _peers_steps, peers
from cherenkov_pipeline.performance.parameters import ComparisonParameters, EvaluationParameters
from cherenkov_pipeline.pipelines.comparison.nodes import choose_dl2, compare_models, read_dl2


def work(cpu_seconds: float, n_images: int = 100, peak_mb: float = 1000, seconds: float = 1) -> peers.Work:
    return peers.Work(Cost("", seconds, cpu_seconds, peak_mb), n_images)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_cost_of_a_command_counts_all_that_it_starts(tmp_path):
    inner = "x = bytearray(400_000_000); sum(range(20_000_000)); print('made')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    cost = run_command(python(code), tmp_path / "log.txt", {"ANY": "thing"})
    assert cost.result == (tmp_path / "log.txt").read_text() == "made\n"
    assert cost.peak_mb > 400
    assert 0.1 < cost.cpu_seconds < cost.seconds + 1


def test_command_that_fails_is_one_line(tmp_path):
    with pytest.raises(CommandError, match=r"failed \(3\): no such thing") as failed:
        run_command(python("import sys; print('first'); print('no such thing'); sys.exit(3)"), tmp_path / "log.txt")
    assert "\n" not in str(failed.value)


def test_step_is_done_once_and_again_where_its_command_is_another(tmp_path):
    steps = _peers_steps.Steps(tmp_path, Clock())
    left = tmp_path / "model"
    counting = python(f"open({str(tmp_path / 'runs')!r}, 'a').write('x')")
    first = steps.run("training", counting, left)
    left.mkdir()
    assert steps.run("training", counting, left) == first
    assert left.is_dir()
    steps.run("training", [*counting, "more"], left)
    assert not left.exists()
    assert (tmp_path / "runs").read_text() == "xx"


def test_pipelines_run_on_the_benchmarks_own_data(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        _peers_steps,
        "run_command",
        lambda command, log, environment, folder: (
            seen.update(environment, c=command, folder=folder) or Cost("", 1, 1, 1)
        ),
    )
    _peers_steps.Steps(tmp_path, Clock()).kedro(
        "one", "train_energy", data=tmp_path / "data", task_defaults__model__name="set_network", store__split__test=0.0
    )
    assert seen["folder"] is None  # kedro's commands run in the project
    assert seen["CHERENKOV_DATA"] == str(tmp_path / "data")
    assert seen["c"][3:] == [
        "run",
        "--pipeline=train_energy",
        "--params=task_defaults.model.name=set_network,store.split.test=0.0",
    ]


def test_without_an_index_one_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["peers", "--folder", str(tmp_path / "kept"), "--scale", "0.01"])
    monkeypatch.setattr(peers.os, "sched_setaffinity", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        peers.main()
    message = str(stopped.value.code)
    assert message.startswith("Error: CTLearn cannot be installed")
    assert "\n" not in message
    assert not (tmp_path / "kept" / "dl1").exists()


def test_versions_are_pinned_without_an_index():
    lines = [line for line in _ctlearn.REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert {"ctlearn==0.10.4", "dl1-data-handler==0.14.9"} <= set(lines)
    assert all(re.fullmatch(r"[a-z0-9-]+==[^\s/:@]+( ; [^/:@]+)?", line) for line in lines)


def test_tools_are_called_with_the_same_cuts_and_full_batches(tmp_path):
    cuts = {"enough intensity": "hillas_intensity > 50"}
    many, few = (_ctlearn.settings(cuts, n, epochs=2) for n in (5000, 300))
    assert many["TrainCTLearnModel"] == {"n_epochs": 2, "batch_size": 64}
    assert few["PredictCTLearnModel"]["batch_size"] == few["TrainCTLearnModel"]["batch_size"] == 15
    assert many["TableQualityQuery"]["quality_criteria"] == [["enough intensity", "hillas_intensity > 50"]]
    folders = [tmp_path / name for name in ("gammas", "protons", "model")]
    for task, expected in (("type", True), ("energy", False)):
        command = _ctlearn.train_command(tmp_path, tmp_path / "c.json", task, *folders)
        assert (f"--background={folders[1]}" in command) == expected
        assert f"--reco={task}" in command
    command = _ctlearn.predict_command(tmp_path, tmp_path / "c.json", {"type": folders[2]}, tmp_path, tmp_path)
    assert f"--type_model={folders[2]}/ctlearn_model.keras" in command


def test_images_are_counted_in_what_ctlearn_prints(tmp_path):
    output = "2026-11-21 INFO [ctlearn] (train_model.setup): Number of events loaded: 238\n"
    config = tmp_path / "c.json"
    config.write_text('{"TrainCTLearnModel": {"n_epochs": 3, "batch_size": 16}}')
    assert _ctlearn.images_loaded(output) == 238
    assert _ctlearn.images_trained(output, config) == 3 * 13 * 16  # 23 of 238 validate, and 7 fill no batch
    with pytest.raises(ValueError, match="did not say"):
        _ctlearn.images_loaded("nothing")


def test_ratios_are_of_one_run_per_task_against_all_of_ours():
    theirs = {"energy": work(40, seconds=60), "type": work(50, seconds=70), "cameradirection": work(60, 100, 1500)}
    predictions = {peers.OURS: {"all": work(15, 100, 500, 20)}, peers.THEIRS: theirs | {"all": work(90)}}
    tasks = {task: work(10, 1000, 800) for task in peers.TASKS}
    tasks["skydirection"] = work(1e6, 1, 1e6)  # CTLearn has none to compare
    trainings = {peers.OURS: tasks, peers.THEIRS: {task: work(200, 1000, 2000) for task in _ctlearn.TASKS}}
    found = peers.figures(trainings, predictions)
    assert found["prediction_ratio"] == pytest.approx(10)
    assert found["prediction_ratio_at_once"] == pytest.approx(6)
    assert found["prediction_ratio_wall"] == pytest.approx(131 / 20)
    assert found["training_ratio"] == pytest.approx(20)
    assert found["memory_ratio"] == pytest.approx(3)
    assert found["training_memory_ratio"] == pytest.approx(2.5)
    table = peers.rows(trainings, predictions)
    assert len(table) == 4 + 3 + 1 + 4
    assert {tuple(row) for row in table} == {tuple(table[0])}


def test_quality_is_that_of_the_comparison_of_both_dl2_files(tmp_path):
    array = subarray({1: camera()})
    events = toy_events(80)
    events["reco_energy"] = 1.3 * events["true_energy"]
    worse = events.copy()
    worse["reco_energy"] *= np.random.default_rng(0).lognormal(0, 0.3, len(worse))
    files = {
        who: str(write_ctlearn(tmp_path / f"{who}.dl2.h5", table, array, ("energy",)))
        for who, table in ((peers.OURS, events), (peers.THEIRS, worse))
    }
    candidates = choose_dl2(ComparisonParameters(task="energy", models=files))
    few = EvaluationParameters(resamples=100, minimum_events=5)
    ranking = compare_models(candidates, *read_dl2(candidates), few)[3]
    row = peers.quality_row("energy", ranking)
    assert row["task"] == "energy"
    for who in (peers.OURS, peers.THEIRS):
        assert row[f"{who}_low"] <= row[who] <= row[f"{who}_high"]
    assert row[peers.THEIRS] > row[peers.OURS]
    assert row["n"] > 0


@pytest.mark.slow
def test_sample_has_both_particles_to_learn_from_and_others_to_predict(tmp_path):
    sample = _peers_steps.make_sample(tmp_path, scale=0.01, lessons=0.5)
    assert sorted(sample.n_images) == ["gamma_test", "gamma_train", "proton_test", "proton_train"]
    assert sample.n_images["gamma_train"] > 0
    for particle, folder in sample.folders.items():
        assert [path.name.split("_")[0] for path in folder.iterdir()] == [particle]
    assert [path.name.split("_")[:2] for path in sample.tests] == [["gamma", "test"], ["proton", "test"]]
    assert "hillas_intensity > 50" in sample.quality.values()
    assert _peers_steps.make_sample(tmp_path, scale=0.01, lessons=0.5) == sample
