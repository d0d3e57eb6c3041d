"""The whole project as its users see it: commands in, files out. Each command is a process of its own."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml
from astropy.io import fits
from astropy.table import QTable, Table

from cherenkov_pipeline.datasets.file_set import FileSetDataset
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import read_card
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.tasks import DEFAULT
from cherenkov_pipeline.training.parameters import TrainingParameters
from kedro_command import PROJECT, Kedro


@pytest.fixture(scope="session")
def kedro(tmp_path_factory) -> Kedro:
    """The default pipeline, run once on the small sample of the environment `test`."""
    kedro = Kedro(tmp_path_factory.mktemp("first_light"))
    kedro.run()
    return kedro


@pytest.fixture
def copied(kedro, tmp_path) -> Kedro:
    """A copy of the data, to do as one likes with."""
    shutil.copytree(kedro.root, tmp_path / "data")
    return Kedro(tmp_path / "data")


@pytest.fixture(scope="module")
def retraining(kedro, tmp_path_factory) -> tuple[Kedro, str]:
    """A copy of the data with a second model of the energy and its report, and what was printed meanwhile."""
    root = tmp_path_factory.mktemp("retrained") / "data"
    shutil.copytree(kedro.root, root)
    printed = Kedro(root).run("--pipelines=train_energy,evaluate_energy", "--params=energy.training.seed=7")
    return Kedro(root), printed


@pytest.fixture(scope="module")
def retrained(retraining) -> Kedro:
    """The copy of `retraining`; tests add reports to it, and no model."""
    return retraining[0]


@pytest.mark.parametrize(
    ("task", "title"),
    [
        ("energy", "Energy resolution"),
        ("type", "ROC curve"),
        ("skydirection", "Angular resolution"),
        ("cameradirection", "Bias and standard deviation in the camera"),
    ],
)
def test_report_is_one_page_that_needs_nothing_else(kedro, task, title):
    page = kedro.latest(f"08_reporting/{task}/report.html").read_text()
    assert len(page) < 5_000_000
    assert title in page
    assert "Least certain events" in page
    assert "There are no pictures" not in page
    assert "enough intensity" in page  # provenance: a cut and its counts
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?https?:""", page)


def test_one_page_leads_to_all_reports(kedro, retraining):
    second, printed = retraining
    page = (kedro.data / "08_reporting" / "index.html").read_text()
    folders = ("energy", "type", "skydirection", "cameradirection", "reconstruction")
    addresses = re.findall(r'href="([^#"]+)"', page)
    assert sorted(address.partition("/")[0] for address in addresses) == sorted(folders)
    assert all((kedro.data / "08_reporting" / address).is_file() for address in addresses)
    index = second.data / "08_reporting" / "index.html"
    assert printed.strip().splitlines()[-1] == f"All reports: {index}"
    assert len(re.findall(r'href="energy/', index.read_text())) == 2


@pytest.mark.slow
def test_the_page_of_all_reports_is_made_again(copied):
    index = copied.data / "08_reporting" / "index.html"
    before = index.read_text()
    index.unlink()
    assert "All reports: " in copied.run("--pipeline=report_index")
    assert index.read_text() == before


@pytest.mark.parametrize(
    ("task", "number"),
    [
        ("energy", "resolution"),
        ("type", "auc"),
        ("skydirection", "angular_resolution"),
        ("cameradirection", "angular_resolution"),
    ],
)
def test_metrics_table_closes(kedro, task, number):
    metrics = QTable.read(kedro.latest(f"08_reporting/{task}/metrics_table.ecsv"))
    value = dict(zip(metrics["metric"], metrics["value"], strict=True))
    parts = [name for name in value if name.startswith("events_") and name != "events_total"]
    assert value["events_total"] == sum(value[name] for name in parts)
    assert value["events_total"] > 0
    assert np.isfinite(value[number])


@pytest.mark.parametrize(("task", "particles"), [("energy", ["gamma"]), ("type", ["gamma", "proton"])])
def test_metrics_are_weighted_to_physical_spectra_as_well(kedro, task, particles):
    plain, weighted = (
        QTable.read(kedro.latest(f"08_reporting/{task}/{name}_table.ecsv")) for name in ("metrics", "metrics_weighted")
    )
    assert list(weighted["metric"]) == [name for name in plain["metric"] if not name.startswith("events_")]
    assert weighted.meta["n_left_out"] == 0
    equal = weighted.meta["n_effective"]
    assert list(equal) == particles
    assert 1 < sum(equal.values()) < weighted["n"].max()


def test_provenance_counts_close(kedro):
    table = pd.read_csv(kedro.latest("05_model_input/processing_provenance.csv"))
    cuts = table[table["step"] == "cut"]
    assert (cuts["n_in"].iloc[1:].to_numpy() == cuts["n_out"].iloc[:-1].to_numpy()).all()
    assert table.loc[table["step"] == "split", "n_out"].sum() == cuts["n_out"].iloc[-1]
    assert table.loc[table["step"] == "DL1 file", "n_out"].sum() == cuts["n_in"].iloc[0]


def test_dl2_of_the_point_source_is_read_by_ctapipe(kedro):
    from ctapipe.io import TableLoader

    (path,) = (kedro.data / "07_model_output" / "dl2_files").glob("*/gamma_point*.dl2.h5")
    with TableLoader(path, focal_length_choice="EQUIVALENT") as loader:
        events = loader.read_telescope_events(telescopes=["SST_1M_DigiCam"])
    fields = {
        "energy": ("energy", "energy_uncert"),
        "type": ("prediction",),
        "skydirection": ("alt", "az", "ang_distance_uncert"),
        "cameradirection": ("alt", "az", "ang_distance_uncert", "camera_x", "camera_y", "camera_uncert"),
    }
    for task, names in fields.items():
        prefix = f"{read_card(kedro.latest(f'06_models/{task}/model.keras')).name}_{task}_tel"
        valid = events[f"{prefix}_is_valid"]
        assert valid.any()
        for name in names:
            assert np.isfinite(events[f"{prefix}_{name}"][valid]).all()
            assert np.isnan(events[f"{prefix}_{name}"][~valid]).all()


@pytest.mark.slow
def test_instrument_response_follows_from_what_is_there(copied):
    copied.run("--pipeline=instrument_response")
    counts = QTable.read(copied.latest("08_reporting/instrument_response/counts_table.ecsv"))
    number = {(row["particle"], row["stage"]): int(row["n"]) for row in counts}
    # two telescopes could see each shower, or each of its five uses
    assert number["gamma", "thrown"] == 2 * 1500
    assert number["proton", "thrown"] == 2 * 5 * 900
    assert number["gamma", "quality"] > 0
    assert number["proton", "quality"] > 0
    report = copied.latest("08_reporting/instrument_response/report.html").read_text()
    assert "Instrument response of one telescope" in report
    for kind, last in (("point_like", "RAD_MAX"), ("full_enclosure", "PSF")):
        with fits.open(copied.latest(f"08_reporting/instrument_response/{kind}_irf.fits.gz")) as extensions:
            assert last in [extension.name for extension in extensions]


@pytest.mark.slow
def test_other_tasks_and_several_in_one_network_are_a_pipeline_away(copied):
    others = ("joint", "core", "xmax")
    copied.run("--pipelines=" + ",".join(f"{stage}_{name}" for name in others for stage in ("train", "evaluate")))
    assert read_card(copied.latest("06_models/joint/model.keras")).task == "energy+type+skydirection"
    for name in ("joint_energy", "joint_type", "joint_skydirection", "core", "xmax"):
        assert "Model report" in copied.latest(f"08_reporting/{name}/report.html").read_text()


@pytest.mark.slow
def test_search_ends_with_a_file_for_the_next_training(copied, tmp_path):
    copied.run("--pipeline=search_energy")
    trials = QTable.read(copied.latest("08_reporting/energy/trials_table.ecsv"))
    assert len(trials) == 2
    best = yaml.safe_load(copied.latest("08_reporting/energy/best_configuration.yml").read_text())["energy"]
    best_trial = trials[np.argmin(trials["objective"])]
    assert best["training"]["batch_size"] == best_trial["training.batch_size"]
    for block, model in (("model", ModelParameters), ("input", InputParameters), ("training", TrainingParameters)):
        model.model_validate(best[block])
    query = "SELECT t.value FROM tags t JOIN runs USING (run_uuid) WHERE key = 'mlflow.parentRunId'"
    parents = mlflow_rows(copied, query)
    (run,) = mlflow_rows(copied, "SELECT run_uuid FROM runs WHERE name = 'search_energy'")
    assert parents == [run, run]


def test_model_has_its_card(kedro):
    card = read_card(kedro.latest("06_models/energy/model.keras"))
    assert card.task == "energy"
    store = json.loads((kedro.data / "05_model_input/event_store/latest.json").read_text())
    assert card.data.fingerprint in (kedro.latest("05_model_input/processing_provenance.csv").read_text())
    assert store["fingerprint"] in {path.name for path in (kedro.data / "05_model_input/event_store").iterdir()}


@pytest.mark.slow
def test_an_earlier_model_is_evaluated(kedro, retrained):
    first = kedro.latest("06_models/energy/model.keras")
    printed = retrained.run("--pipeline=evaluate_energy", f"--load-versions=energy_model:{first.parent.name}")
    report = Path(re.search(r"^Report: (\S+)$", printed, re.MULTILINE)[1]).read_text()
    assert read_card(first).training["mlflow_run"] in report


def mlflow_rows(kedro: Kedro, query: str) -> list[tuple]:
    with sqlite3.connect(kedro.data / "mlflow" / "mlflow.db") as database:
        return database.execute(query).fetchall()


def test_mlflow_has_parameters_metrics_files_and_revision(kedro):
    (run,) = mlflow_rows(kedro, "SELECT run_uuid, status, name FROM runs")
    assert run[1:] == ("FINISHED", "__default__")
    parameters = dict(mlflow_rows(kedro, "SELECT key, value FROM params"))
    assert parameters["energy.training.epochs"].isdigit()
    assert parameters["simulation.zenith"] == "20.0 deg"
    tags = dict(mlflow_rows(kedro, "SELECT key, value FROM tags"))
    assert {"git_revision", "data_fingerprint", "environment"} <= set(tags)
    metrics = dict(mlflow_rows(kedro, "SELECT key, value FROM latest_metrics"))
    written = json.loads(kedro.latest("08_reporting/energy/metrics.json").read_text())
    for part, name in (("value", "resolution"), ("low", "resolution_low"), ("high", "resolution_high")):
        assert metrics[f"energy.{name}"] == written["resolution"][part]
    assert written["mae"]["unit"] == "TeV"
    artifacts = {path.name for path in (kedro.data / "mlflow" / "artifacts").rglob("*") if path.is_file()}
    assert {"model.keras", "model.card.json", "report.html"} <= artifacts
    assert {f"resolution.{suffix}" for suffix in ("png", "pdf", "svg")} <= artifacts


def test_mlflow_keeps_the_models_of_all_tasks(kedro):
    """One run trains four tasks, whose files have the same names."""
    (run,) = mlflow_rows(kedro, "SELECT run_uuid FROM runs WHERE name = '__default__'")[0]
    cards = (kedro.data / "mlflow" / "artifacts").glob(f"{run}/artifacts/*/model/model.card.json")
    assert sorted(json.loads(path.read_text())["task"] for path in cards) == sorted(DEFAULT)


@pytest.mark.slow
def test_models_are_compared_by_version_and_by_mlflow_run(retrained):
    (run,) = mlflow_rows(retrained, "SELECT run_uuid FROM runs WHERE name = '__default__'")[0]
    version = retrained.latest("06_models/energy/model.keras").parent.name
    models = f"comparison.models.first={run},comparison.models.second={version}"
    retrained.run("--pipeline=comparison_energy", f"--params={models}")
    page = retrained.latest("08_reporting/comparison_energy/report.html").read_text()
    assert "Comparison · energy" in page
    ranking = json.loads(retrained.latest("08_reporting/comparison_energy/ranking.json").read_text())
    assert set(ranking["models"]) == {"first", "second"}
    assert len({model["file_fingerprint"] for model in ranking["models"].values()}) == 2
    line = retrained.refused(
        "--env=test", "--pipeline=comparison_energy", "--params=comparison.models.a=2020-01-01T00.Z"
    )
    assert line.startswith("There is no energy_model:2020-01-01T00.Z")


@pytest.mark.slow
def test_mlflow_page_is_served(kedro):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = kedro.start("mlflow", "ui", "--env=test", f"--port={port}")
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                assert server.poll() is None, server.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.5)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_kedro_viz_is_built_as_a_site_with_previews(kedro, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "viz", "build", "--include-previews"],
        cwd=PROJECT,
        env=Kedro(kedro.data).environment,  # as the environment `local` finds it
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nodes = [json.loads(path.read_text()) for path in (PROJECT / "build" / "api" / "nodes").iterdir()]
    previewed = {Path(node["filepath"]).name for node in nodes if node.get("preview")}
    assert {"resolution.png", "metrics_table.ecsv", "provenance.csv"} <= previewed


def test_a_later_training_is_recorded_with_its_data(retrained):
    later = "runs USING (run_uuid) WHERE name = 'evaluate_energy+train_energy'"
    (recorded,) = mlflow_rows(retrained, f"SELECT value FROM tags JOIN {later} AND key = 'data_fingerprint'")
    latest = json.loads((retrained.data / "05_model_input" / "event_store" / "latest.json").read_text())
    assert recorded[0] == latest["fingerprint"]
    steps = mlflow_rows(retrained, f"SELECT step FROM metrics JOIN {later} AND key = 'energy.val_loss'")
    assert sorted(steps) == [(1,), (2,)]


@pytest.mark.slow
def test_interrupted_run_is_not_called_finished(tmp_path):
    kedro = Kedro(tmp_path)
    process = kedro.start(
        "run", "--env=test", "--pipeline=simulation", "--params=simulation.training.gamma_diffuse.n_files=500"
    )
    wait_for(process, kedro, "01_raw/*/*")  # the pipeline runs
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        # Python loses an interrupt that comes in a destructor or in a library's callback
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=60)
    assert mlflow_rows(kedro, "SELECT status FROM runs") == [("KILLED",)]


def test_notebook_runs(kedro, tmp_path):
    target = tmp_path / "first_look.ipynb"
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", str(target)]
    notebook = PROJECT / "notebooks" / "first_look.ipynb"
    run = subprocess.run(
        [*command, str(notebook)],
        cwd=PROJECT / "notebooks",
        env=Kedro(kedro.data).environment,  # as the environment `local` finds it
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    cells = nbformat.read(target, as_version=4).cells
    images = [output for cell in cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})]
    assert len(images) == 1, "the camera display"


@pytest.mark.slow
def test_the_same_run_again_makes_no_file_twice(copied):
    def made() -> dict[Path, float]:
        found = [path for kind in ("dl1", "store", "dl2") for path in copied.data.rglob(f"*.{kind}.h5")]
        return {path: path.stat().st_mtime for path in found}

    before = made()
    # the first run's kept files stand in the folder that this one was copied from
    copied.run("--pipelines=simulation,data_processing,reconstruction")
    assert {path.suffixes[0] for path in before} == {".dl1", ".store", ".dl2"}
    assert made() == before


@pytest.mark.parametrize(
    ("options", "line"),
    [
        pytest.param(
            ["--env=clutser"], "Unknown environment 'clutser': use one of cluster, local, test.", marks=pytest.mark.slow
        ),
        (["--env=test", "--params=raw_pth=x"], "Unknown parameter 'raw_pth': did you mean 'raw_path'?"),
        pytest.param(
            ["--env=test", "--params=energy.training.epochs=0"],
            "energy.training.*epochs.*greater than or equal to 1",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--env=test", "--pipeline=data_processing", "--params=raw_path={empty}"],
            "{empty} is empty: .*raw_path",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--env=test", "--pipeline=data_processing", "--params=raw_path=nowhere"],
            "nowhere does not exist",
            marks=pytest.mark.slow,
        ),
        pytest.param(["--env=test", "--params=raw_path=nowhere"], "nowhere does not exist", marks=pytest.mark.slow),
        pytest.param(
            ["--env=test", "--pipeline=data_processing"], "kedro run --pipeline=simulation", marks=pytest.mark.slow
        ),
        (["--env=test", "--pipeline=train_enrgy"], "Unknown pipeline 'train_enrgy': did you mean 'train_energy'?"),
        pytest.param(
            ["--env=test", "--pipeline=train_energy", "--load-versions=event_store:f00d"],
            "no version f00d of event_store: see .*event_store",
            marks=pytest.mark.slow,
        ),
        (["--env=test", "--pipeline=evaluate_energy"], "no energy_model yet: kedro run --pipeline=train_energy"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, options, line):
    (tmp_path / "empty").mkdir()
    empty = str(tmp_path / "empty")
    told = Kedro(tmp_path / "data").refused(*(option.format(empty=empty) for option in options))
    assert re.search(line.format(empty=re.escape(empty)), told), told
    # before any work
    assert not list((tmp_path / "data").rglob("*.h5"))


def test_other_commands_tell_mistakes_in_one_line_too(tmp_path):
    done = Kedro(tmp_path)("mlflow", "ui", "--env=clutser")
    assert done.returncode == 1
    assert done.stdout.strip() == "Error: Unknown environment 'clutser': use one of cluster, local, test."


@pytest.mark.slow
def test_a_refused_run_leaves_the_processed_data(copied):
    latest = copied.data / "03_primary" / "dl1_files" / "latest.json"
    before = latest.read_text()
    copied.refused("--env=test", "--pipeline=data_processing", f"--params=raw_path={PROJECT / 'README.md'}")
    assert latest.read_text() == before


def test_real_events_reach_a_report(copied, test_data):
    path = test_data / "simtel" / "sst1m_digicam_gamma_9ev.simtel.gz"
    copied.run("--pipeline=reconstruction", f"--params=input_path={path}")
    events = QTable.read(copied.latest("07_model_output/reconstructed_events.h5"))
    assert len(events) == 9
    valid = events["is_valid"]
    assert valid.any()
    for name in ("reco_energy", "reco_energy_uncert"):
        assert np.isfinite(events[name][valid]).all()
        assert np.isnan(events[name][~valid]).all()
    for name in ("gammaness", "reco_alt", "reco_az", "reco_ang_distance_uncert", "reco_camera_x"):
        assert np.isfinite(events[name][valid]).all()
    assert (events["true_energy"].to_value("TeV") > 0.8).all()
    assert "sst1m_digicam_gamma_9ev" in copied.latest("08_reporting/reconstruction/report.html").read_text()


def wait_for(process: subprocess.Popen, kedro: Kedro, ready: str) -> None:
    """Wait until a path that matches ``ready`` is there."""
    deadline = time.monotonic() + 300
    while process.poll() is None and not any(kedro.data.glob(ready)):
        assert time.monotonic() < deadline, f"nothing matched {ready}"
        time.sleep(0.02)
    assert process.poll() is None, f"ended too early:\n{process.stdout.read()}"


def kill_when(kedro: Kedro, ready: str, *options: str) -> None:
    """Start a run and kill it, with all its processes, once a path that matches ``ready`` is there."""
    process = kedro.start("run", "--env=test", *options)
    wait_for(process, kedro, ready)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def images(kedro: Kedro) -> dict[str, Table]:
    """Simulated images with their keys and truth, by file."""
    from ctapipe.io import TableLoader

    found = {}
    for path in FileSetDataset(filepath=str(kedro.data / "01_raw" / "simulated_showers")).load().paths:
        with TableLoader(path, dl1_images=True, focal_length_choice="EQUIVALENT") as loader:
            found[path.name] = loader.read_telescope_events(telescopes=["SST_1M_DigiCam"])
    return found


@pytest.mark.slow
def test_killed_simulation_and_processing_end_with_the_same_files(kedro, tmp_path):
    other = Kedro(tmp_path)
    kill_when(other, "01_raw/simulated_showers/*/*.dl1.h5.json", "--pipeline=simulation")
    assert "All reports: " not in other.run("--pipeline=simulation")
    ours, theirs = images(other), images(kedro)
    assert ours.keys() == theirs.keys()
    for name, table in theirs.items():
        for column in ("obs_id", "event_id", "tel_id", "true_energy", "image", "peak_time", "timing_slope"):
            np.testing.assert_array_equal(ours[name][column], table[column])

    kill_when(other, "05_model_input/event_store/*/.part*", "--pipeline=data_processing")
    other.run("--pipeline=data_processing")
    ours, theirs = (pd.read_csv(one.latest("05_model_input/processing_provenance.csv")) for one in (other, kedro))
    pd.testing.assert_frame_equal(ours, theirs)


@pytest.mark.slow
def test_killed_training_has_the_same_epochs_and_metrics(kedro, copied):
    for folder in ("06_models", "07_model_output"):
        shutil.rmtree(copied.data / folder)
    kill_when(copied, "06_models/energy/checkpoints/*/epoch_0001*", "--pipeline=train_energy")
    copied.run("--pipeline=train_energy")
    ours, theirs = (QTable.read(one.latest("06_models/energy/history.ecsv")) for one in (copied, kedro))
    assert list(ours["epoch"]) == list(theirs["epoch"])
    np.testing.assert_allclose(ours["val_loss"], theirs["val_loss"], rtol=0.05)
