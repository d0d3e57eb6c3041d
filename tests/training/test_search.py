import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from astropy.table import QTable
from pydantic import ValidationError
from tests.training.toy_showers import shower_store

from cherenkov_pipeline.errors import TemporaryError, UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.performance.plots.search import search_overview
from cherenkov_pipeline.training import search as module
from cherenkov_pipeline.training import task
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.search import configure, search_configurations
from cherenkov_pipeline.training.search_parameters import SearchParameters

RATE = "training.optimizer.learning_rate"
UNITS = "model.head.options.units"
BASE = {
    "model": {"name": "single_tel", "options": {"filters": [4], "pooling": "average"}},
    "input": {"mapping": "square"},
    "training": {"epochs": 4, "batch_size": 32},
}
SPACE = {
    RATE: {"low": 1e-4, "high": 1e-1, "scale": "logarithmic"},
    UNITS: {"values": [[4], [8, 4], []]},
    "training.batch_size": {"low": 16, "high": 64, "integer": True},
}
STORE = SimpleNamespace(fingerprint="toy")


def parabola(rate: float) -> float:
    return float((np.log10(rate) + 2.5) ** 2)


@pytest.fixture
def trainings(monkeypatch) -> list[dict]:
    """Trainings in the place of real ones: the loss has its minimum where the learning rate is 10^-2.5."""
    made = []

    def train(store, task, model, inputs, training, folder, run, watch, wait):
        made.append({"rate": training.optimizer.learning_rate, "units": model.head.options["units"]})
        loss = parabola(training.optimizer.learning_rate) + 0.01 * len(model.head.options["units"])
        for epoch in range(1, training.epochs + 1):
            watch({"epoch": epoch, "val_loss": loss + 1 / epoch, "val_auc": 1 - loss})
        metrics = {"val_loss": loss + 1 / training.epochs, "val_auc": 1 - loss}
        return SimpleNamespace(card=SimpleNamespace(metrics=metrics), history=range(training.epochs))

    monkeypatch.setattr(module, "train_task", train)
    monkeypatch.setattr(keras.utils, "clear_session", lambda: None)  # slow, and there is nothing to clear
    return made


def search(folder, base=BASE, on_trial=None, **parameters):
    chosen = SearchParameters(**{"space": SPACE, "n_trials": 12, "method": "random"} | parameters)
    return search_configurations(STORE, "energy", base, chosen, folder, on_trial)


@pytest.mark.parametrize("method", ["random", "bayesian"])
def test_the_best_configuration_is_found_and_ready_for_use(trainings, tmp_path, method):
    result = search(tmp_path, method=method, n_trials=20)
    assert len(trainings) == len(result.trials) == 20
    best = result.trials[np.argmin(result.trials["objective"])]
    assert result.best_yaml.startswith(f"# Best of 20 trials of a {method} search, trial {best['trial']}:")
    assert abs(np.log10(best[RATE]) + 2.5) < 0.3
    content = yaml.safe_load(result.best_yaml)["energy"]
    assert TrainingParameters.model_validate(content["training"]) == result.best.training
    assert content["training"]["optimizer"]["learning_rate"] == best[RATE]
    assert content["model"]["head"]["options"]["units"] == json.loads(best[UNITS])
    assert content["input"]["mapping"] == "square"
    assert configure(content, {}) == result.best


def test_bayesian_search_looks_where_it_is_good(trainings, tmp_path):
    result = search(tmp_path, method="bayesian", n_trials=40, space={RATE: SPACE[RATE]})
    distance = np.abs(np.log10(result.trials[RATE]) + 2.5)
    assert np.median(distance[20:]) < 0.4  # 0.75 where all is alike


def test_a_grid_takes_every_point_once(trainings, tmp_path):
    space = {
        RATE: {"low": 1e-3, "high": 1e-1, "scale": "logarithmic", "points": 3},
        UNITS: SPACE[UNITS],
        "training.batch_size": {"low": 16, "high": 17, "integer": True, "points": 4},
    }
    result = search(tmp_path, method="grid", n_trials=None, space=space)
    points = {(round(float(row[RATE]), 6), row[UNITS], int(row["training.batch_size"])) for row in result.trials}
    assert len(points) == len(result.trials) == 3 * 3 * 2
    assert {point[0] for point in points} == {0.001, 0.01, 0.1}
    assert len(search(tmp_path, method="grid", n_trials=None, space=space).trials) == 18
    assert len(trainings) == 18
    assert len(search(tmp_path / "part", method="grid", n_trials=5, space=space).trials) == 5


@pytest.mark.parametrize("method", ["random", "bayesian", "grid"])
def test_a_resumed_search_repeats_nothing_and_ends_as_an_undisturbed_one(trainings, tmp_path, method):
    space = SPACE if method != "grid" else {RATE: SPACE[RATE] | {"points": 9}}
    whole = search(tmp_path / "whole", method=method, n_trials=9, space=space)
    trainings.clear()

    def stop(record):
        if record.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "parts", method=method, n_trials=9, space=space, on_trial=stop)
    assert len(trainings) == 4
    told = []
    result = search(tmp_path / "parts", method=method, n_trials=9, space=space, on_trial=told.append)
    assert [record.number for record in told] == [4, 5, 6, 7, 8]
    assert len(trainings) == 9
    for name in ("trial", "objective", RATE):
        np.testing.assert_array_equal(result.trials[name], whole.trials[name])
    more = search(tmp_path / "parts", method=method, n_trials=10, space=space)
    assert len(more.trials) == (9 if method == "grid" else 10)


def test_an_interrupted_trial_is_repeated(trainings, tmp_path, monkeypatch):
    train = module.train_task

    def interrupted(*arguments, **options):
        if len(trainings) == 2:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, "train_task", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, n_trials=5)
    result = search(tmp_path, n_trials=5)
    assert len(result.trials) == len(trainings) == 5
    assert set(result.trials["state"]) == {"finished"}
    whole = search(tmp_path / "whole", n_trials=5)
    assert set(whole.trials[RATE][:3]) <= set(result.trials[RATE])


def test_other_data_parameters_or_code_are_another_search(trainings, tmp_path, monkeypatch):
    search(tmp_path, n_trials=2)
    search(tmp_path, n_trials=2, base=BASE | {"training": {"epochs": 5}})
    search(tmp_path, n_trials=2, seed=1)
    assert len(trainings) == 6
    monkeypatch.setattr(task, "code_fingerprint", lambda *rooms: f"changed {rooms}")
    search(tmp_path, n_trials=2)
    assert len(trainings) == 8


@pytest.mark.parametrize("in_space", [False, True])
def test_an_edited_model_of_the_users_own_is_another_search(trainings, tmp_path, in_space):
    own = tmp_path / "own.py"
    own.write_text("def backbone(inputs):\n    return inputs['parameters']\n")
    name = f"{own}:backbone"
    space = SPACE | {"model.name": {"values": ["single_tel", name]}} if in_space else SPACE
    base = BASE if in_space else BASE | {"model": {"name": name}}
    for n_made in (2, 2):
        search(tmp_path, n_trials=2, base=base, space=space)
        assert len(trainings) == n_made
    own.write_text(own.read_text() + "# edited\n")
    search(tmp_path, n_trials=2, base=base, space=space)
    assert len(trainings) == 4


def test_a_forest_is_searched_for_what_it_depends_on(tmp_path, monkeypatch):
    made = []

    def grow(store, task, model, inputs, training, folder, run, watch, wait):
        made.append(model.options["max_depth"])
        return SimpleNamespace(card=SimpleNamespace(metrics={"val_loss": 1.0}), history=[0])

    monkeypatch.setattr(module, "train_task", grow)
    forest = {"model": {"name": "random_forest"}, "training": {}}
    rate = {RATE: SPACE[RATE], "training.batch_size": SPACE["training.batch_size"]}
    result = search(tmp_path, n_trials=2, base=forest, space=rate | {"model.options.max_depth": {"values": [5, 9]}})
    assert len(made) == 2
    assert RATE not in result.trials.colnames
    with pytest.raises(UserError, match=r"has an effect on random_forest.*model\.options\.max_depth"):
        search(tmp_path, n_trials=2, base=forest, space=rate)


def test_bad_trials_are_pruned(trainings, tmp_path):
    told = []
    result = search(tmp_path, n_trials=25, pruning={"after_trials": 4, "after_epochs": 1}, on_trial=told.append)
    pruned = result.trials[result.trials["state"] == "pruned"]
    assert 3 < len(pruned) < 20
    assert (pruned["epochs"] == 1).all()
    assert np.median(pruned["objective"]) > np.median(result.trials["objective"][result.trials["state"] == "finished"])
    assert [record.state for record in told] == list(result.trials["state"])


def test_another_model_or_schedule_takes_no_options_over():
    base = {"model": {"name": "single_tel", "options": {"filters": [7]}}, "training": {"schedule": {"patience": 9}}}
    chosen = configure(base, {"training.schedule.warmup_epochs": 2, "training.schedule.name": "cosine"})
    assert chosen.training.schedule.warmup_epochs == 2
    assert list(chosen.model.options["filters"]) == [7]
    assert configure(base, {"model.name": "resnet"}).model.name == "resnet"
    assert list(configure(base, {"model.name": "single_tel"}).model.options["filters"]) == [7]


def test_a_model_without_images_leaves_out_how_those_of_others_are_made():
    base = {"model": {"name": "single_tel"}, "input": {"mapping": "bilinear", "size": 20, "brightest": 16}}
    chosen = configure(base, {"model.name": "set_network"}).inputs
    assert (chosen.mapping, chosen.size, chosen.brightest) == (None, None, 16)
    assert configure(base, {"model.name": "resnet"}).inputs.size == 20


def test_a_maximum_of_a_metric(trainings, tmp_path):
    result = search(tmp_path, objective="val_auc", goal="maximum")
    assert f"trial {np.argmax(result.trials['objective'])}:" in result.best_yaml


def test_a_configuration_that_cannot_be_trained_is_told(trainings, tmp_path):
    space = {"training.schedule": {"values": [{"name": "constant"}, {"name": "steps", "epochs": [9]}]}}
    result = search(tmp_path, method="grid", n_trials=None, space=space)
    assert list(result.trials["state"]) == ["finished", "failed"]
    assert "has no effect in a training of 4" in result.trials["reason"][1]
    assert np.isnan(result.trials["objective"][1])
    with pytest.raises(UserError, match=r"No configuration.*learning_rat"):
        search(tmp_path, space={"training.optimizer.learning_rat": {"values": [1, 2]}})


def test_an_objective_that_is_not_there_ends_the_search_at_once(trainings, tmp_path):
    with pytest.raises(UserError, match=r"no objective 'val_f1': choose one of epoch, val_loss, val_auc"):
        search(tmp_path, n_trials=5, objective="val_f1")
    assert len(trainings) == 1


def test_a_trial_that_the_machine_stopped_is_repeated(trainings, tmp_path, monkeypatch):
    train = module.train_task

    def disk_full(*arguments, **options):
        if len(trainings) == 2:
            raise TemporaryError("No space left")
        return train(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, "train_task", disk_full)
        with pytest.raises(UserError, match="No space left"):
            search(tmp_path, n_trials=5)
    result = search(tmp_path, n_trials=5)
    assert len(result.trials) == len(trainings) == 5
    assert set(result.trials["state"]) == {"finished"}


def test_a_trial_that_crashes_is_a_failed_one(trainings, tmp_path, monkeypatch, caplog):
    """Too large for the machine, or not to be built: the search goes on, and again when it is begun again."""
    train = module.train_task

    def crashing(*arguments, **options):
        if len(trainings) == 1:
            trainings.append({})
            raise RuntimeError("CUDA out of\nmemory")
        return train(*arguments, **options)

    monkeypatch.setattr(module, "train_task", crashing)
    trials = search(tmp_path, n_trials=3).trials
    assert list(trials["state"]) == ["finished", "failed", "finished"]
    assert trials["reason"][1] == "RuntimeError: CUDA out of memory"
    assert "in crashing" in caplog.text  # the traceback
    assert len(search(tmp_path, n_trials=4).trials) == len(trainings) == 4


@pytest.mark.parametrize(
    "values",
    [
        {"model.name": "hex_resnet", "model.head.name": "own.py:head"},
        {"model.head.name": "own.py:head", "model.name": "hex_resnet"},
    ],
)
def test_the_order_of_the_space_does_not_matter(values):
    chosen = configure({"model": {"name": "single_tel"}}, values)
    assert (chosen.model.name, chosen.model.head.name) == ("hex_resnet", "own.py:head")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"space": {"evaluation.bins": {"values": [1]}}}, "begins with model, input, training"),
        ({"space": {}}, "at least 1"),
        ({"space": {RATE: {"low": 1, "high": 0.1}}}, "low must be below high"),
        ({"space": {RATE: {"low": 0, "high": 0.1, "scale": "logarithmic"}}}, "above 0"),
        ({"space": {RATE: {"low": 0.5, "high": 2, "integer": True}}}, "whole ends"),
        ({"space": {RATE: {"low": 1, "high": 2}}, "method": "grid"}, "needs points"),
        ({"space": {RATE: {"low": 1, "high": 2, "points": 3}}}, "points .* no effect"),
        ({"space": {"training.weights.classes": {"values": [None, "balanced"]}}}, "changes what val_loss means"),
        ({"space": {"model.options.l2": {"low": 0, "high": 1}}}, "model.options.l2 changes"),
        ({"space": {"training.auxiliary": {"values": [[], ["xmax"]]}}}, "training.auxiliary changes what val_loss"),
        (
            {"space": {"training.weights.classes": {"values": [None, "balanced"]}}, "objective": "val_task_loss"},
            "changes what val_task_loss means",
        ),
        ({"space": {"model.head": {"values": [{}, {"options": {"l2": 0.1}}]}}}, "model.head.options.l2 changes"),
        ({"space": {"training": {"values": [{}, {"weights": {"classes": "balanced"}}]}}}, "training.weights.classes"),
        ({"space": {"input": {"values": [{}, {"min_telescopes": 2}]}}}, "input.min_telescopes changes"),
        ({"space": {"model.name": {"values": ["set_network", "cnn_rnn"]}}}, "model.name changes"),
        ({"space": {"model": {"values": [{"name": "single_tel"}, {"name": "cnn_rnn"}]}}}, "model.name changes"),
        ({"space": {RATE: {"values": [1]}, "training.optimizer": {"values": [{}]}}}, "is part of"),
        ({"n_trials": None}, "in a grid alone"),
    ],
)
def test_what_is_no_search_is_refused(parameters, message):
    with pytest.raises(ValidationError, match=message):
        SearchParameters(**{"space": SPACE} | parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"space": {"model.options.l2": {"low": 0, "high": 1}}, "objective": "val_auc"},
        {"space": {"model.options.l2": {"low": 0, "high": 1}}, "objective": "val_task_loss"},
        {"space": {"training.auxiliary": {"values": [[], ["xmax"]]}}, "objective": "val_task_loss"},
        {"space": {"model.options": {"values": [{"l2": 0.1, "filters": [4]}, {"l2": 0.1, "filters": [8]}]}}},
        {"space": {"model.name": {"values": ["single_tel", "set_network", "own.py:model"]}}},
        {"space": {"input": {"values": [{"mapping": "axial"}, {"mapping": "square"}]}}},
        {"space": {"training.schedule": {"values": [{"name": "constant"}, {"name": "cosine"}]}}},
    ],
)
def test_what_leaves_the_objective_as_it_is_may_be_searched(parameters):
    assert SearchParameters(**parameters).space


def test_figure_shows_every_parameter(trainings, tmp_path):
    trials = search(tmp_path, n_trials=8, pruning={"after_trials": 2, "after_epochs": 1}).trials
    figure = search_overview(trials)
    assert [axes.get_xlabel() for axes in figure.axes] == ["Trial", *SPACE]
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "log", "linear", "linear"]
    figure.savefig(tmp_path / "search.png")
    nothing = trials[:0]
    search_overview(nothing).savefig(tmp_path / "nothing.png")
    trials.write(tmp_path / "trials.ecsv")
    search_overview(QTable.read(tmp_path / "trials.ecsv")).savefig(tmp_path / "again.png")


def real_search(folder: Path, n_trials: int, on_trial=None):
    """Search with real trainings."""
    store = shower_store(folder / "toy.store.h5", 60) if not (folder / "toy.store.h5").exists() else None
    from cherenkov_pipeline.store import EventStore

    space = {RATE: SPACE[RATE], UNITS: SPACE[UNITS]}
    parameters = SearchParameters(space=space, n_trials=n_trials, pruning={"after_trials": 1, "after_epochs": 1})
    store = store or EventStore([folder / "toy.store.h5"])
    return search_configurations(store, "energy", BASE, parameters, folder / "search", on_trial)


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on(tmp_path):
    """A real process with real trainings, killed for real; its trial is gone on with, from the state it had."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, __file__, str(tmp_path)], env=environment) as process:
        deadline = time.monotonic() + 200
        while not (tmp_path / "one").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        while len(list(tmp_path.glob("search/states/*/epoch_*"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    told = []
    result = real_search(tmp_path, 3, told.append)
    assert len(result.trials) == 3
    assert "running" not in result.trials["state"]
    assert 0 not in [record.number for record in told]
    assert np.isfinite(result.trials["objective"]).all()


if __name__ == "__main__":
    real_search(Path(sys.argv[1]), 3, lambda record: (Path(sys.argv[1]) / "one").touch())
