"""The comparison from end to end on a toy store, and how users name models."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from pandas import DataFrame
from tests.reconstruction.ctlearn_dl2 import write_ctlearn
from tests.store.toy_dl1 import camera, subarray
from tests.training.toy_showers import shower_store
from tests.untrained import untrained

from cherenkov_pipeline.datasets.saved_models import SavedModelsDataset
from cherenkov_pipeline.dl1.provenance import COLUMNS
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import load_model, read_card, save_model
from cherenkov_pipeline.performance.candidates import choose_candidates, without_copies
from cherenkov_pipeline.performance.contest import contest
from cherenkov_pipeline.performance.energy import energy_tables
from cherenkov_pipeline.performance.parameters import ComparisonParameters, EvaluationParameters
from cherenkov_pipeline.pipelines.comparison import create_pipeline
from cherenkov_pipeline.pipelines.comparison.nodes import choose_models_of
from cherenkov_pipeline.pipelines.references import all_saved, is_dl2, named_models
from cherenkov_pipeline.reconstruction.predict import predict_store
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.training.parameters import input_parameters

MODEL = ModelParameters(name="set_network", options={"width": 4, "heads": 2, "exchanges": 1, "units": (4,)})
VERSIONS = {"first": "2026-11-20T10.00.00.000Z", "second": "2026-11-21T11.30.00.000Z"}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> EventStore:
    return shower_store(tmp_path_factory.mktemp("showers") / "toy.store.h5", 300)


@pytest.fixture(scope="module")
def folder(store, tmp_path_factory) -> Path:
    """Models as the catalog keeps them: two of the energy, one of the type."""
    folder, states = tmp_path_factory.mktemp("06_models"), tmp_path_factory.mktemp("states")
    for task, version, seed in (
        ("energy", VERSIONS["first"], 0),
        ("energy", VERSIONS["second"], 1),
        ("type", VERSIONS["first"], 0),
    ):
        inputs = input_parameters(MODEL, {"brightest": 8, "parameters": ["hillas_kurtosis"]})
        trained = untrained(store, task, MODEL, inputs, states, seed)
        save_model(trained, folder / task / "model.keras" / version / "model.keras")
    return folder


@pytest.fixture(scope="module")
def saved(folder) -> dict[str, Path]:
    return SavedModelsDataset(filepath=str(folder)).load()


def run(store, saved, task=None, **comparison) -> dict:
    pipeline = create_pipeline(task)
    inputs = {
        "event_store": {"toy": store},
        "saved_models": saved,
        "mlflow_run": None,
        "processing_provenance": DataFrame([("thrown", "gamma", "", 999, 300, "")], columns=list(COLUMNS)).assign(
            fingerprint=store.fingerprint
        ),
        "params:comparison": ComparisonParameters(**comparison),
        "params:evaluation": EvaluationParameters(resamples=100, minimum_events=5),
    }
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in inputs.items()})
    results = SequentialRunner().run(pipeline, catalog)
    return {name.partition(".")[2]: result.load() for name, result in results.items()}


@pytest.fixture(scope="module")
def found(store, saved) -> dict:
    """A comparison of all saved models of the one task that has several."""
    return run(store, saved)


@pytest.fixture(scope="module")
def ctlearns(store, folder, tmp_path_factory) -> Path:
    """Predictions of our first model for all events of the store but some, as CTLearn writes them."""
    trained = load_model(folder / "energy" / "model.keras" / VERSIONS["first"])
    predictions = predict_store(trained, store, None)
    predictions = predictions[np.asarray(predictions["event_id"]) % 40 != 9]
    predictions["reco_energy"][np.asarray(predictions["event_id"]) % 40 == 19] = np.nan
    path = tmp_path_factory.mktemp("others") / "simulation_123.dl2.h5"
    return write_ctlearn(path, predictions, subarray({1: camera()}), ("energy",))


LABELS = ("set_network 20 Nov 10:00", "set_network 21 Nov 11:30")


def test_saved_models_of_a_task_are_compared(found, folder):
    assert {"metrics_table", "differences_table", "per_energy_table", "ranking", "report", "summary"} <= set(found)
    assert sorted(found["ranking"]["models"]) == list(LABELS)
    assert found["report"].count("<svg") == len(found["figures"])
    assert "significant" in found["summary"]
    assert "999" in found["report"].rpartition("Provenance")[2]  # counts begin with what was thrown
    for label, version in zip(LABELS, VERSIONS.values(), strict=True):
        card = read_card(folder / "energy" / "model.keras" / version)
        assert found["ranking"]["models"][label]["file_fingerprint"] == card.file_fingerprint
        assert card.file_fingerprint in found["report"]


def test_numbers_are_those_of_the_evaluation(found, store, folder):
    """Peers' fault 10: what is shown of a model is what its own file predicts, whatever else is compared."""
    values = []
    for label, version in zip(LABELS, VERSIONS.values(), strict=True):
        trained = load_model(folder / "energy" / "model.keras" / version)
        own = energy_tables(predict_store(trained, store), EvaluationParameters(resamples=100))["metrics"]
        shown = found["ranking"]["models"][label]["metrics"]
        for name in ("resolution", "mae_log", "rmsle"):
            (row,) = own[own["metric"] == name]
            assert shown[name]["value"] == pytest.approx(row["value"], rel=1e-6)
        values.append(shown["mae_log"]["value"])
    assert values[0] != values[1]


def test_dl2_of_others_is_compared_on_the_events_that_all_have(store, saved, ctlearns):
    found = run(store, saved, "energy", models={"ours": "all", "CTLearn": f"{ctlearns}::CTLearnRegressor"})
    models = found["ranking"]["models"]
    assert sorted(models) == sorted([*LABELS, "CTLearn"])
    test = np.asarray(store.table["event_id"])[store.indices("test")]
    gammas = test[np.asarray(store.table["true_shower_primary_id"])[store.indices("test")] == 0]
    n_used = int(((gammas % 40 != 9) & (gammas % 40 != 19)).sum())
    assert 0 < found["ranking"]["n_events"] == n_used < len(gammas)
    # it is our first model that made the file
    for name, metric in models["CTLearn"]["metrics"].items():
        if not name.startswith(("coverage", "pull")):
            for key in ("value", "low", "high", "n"):
                assert metric[key] == pytest.approx(models[LABELS[0]]["metrics"][name][key], rel=1e-5), name
    assert models["CTLearn"]["metrics"]["coverage_68"]["value"] is None
    assert "Nothing is known about which events CTLearn learnt from" in found["report"]
    assert "nothing is known about the cost of CTLearn" in found["summary"] + found["report"]
    assert {"ranking", "cost", "loss"} <= set(found["figures"])
    provenance = found["report"].rpartition("Provenance")[2]
    assert "999" in provenance  # of our own test events
    assert "does not say what was thrown" in provenance
    n_read = int((np.asarray(store.table["event_id"]) % 40 != 9).sum())  # of all events, test events or not
    assert f">{n_read}<" in provenance


def test_references_to_dl2_files_are_told_from_others(tmp_path, folder):
    for reference in ("a.dl2.h5", "a.hdf5::CTLearn", "runs/*.h5", "runs::CTLearn", "runs/*"):
        assert is_dl2(reference), reference
    for reference in ("all", "energy_model:2026-11-21T10.00.00.000Z", "model.keras", "0123456789abcdef" * 2):
        assert not is_dl2(reference), reference
    assert not is_dl2(str(folder / "energy" / "model.keras" / VERSIONS["first"]))
    (tmp_path / "a.dl2.h5").touch()
    assert is_dl2(str(tmp_path))
    others = tmp_path / "others"
    others.mkdir()
    assert not is_dl2(str(others))
    (others / "gamma.dl2.hdf5").touch()
    assert is_dl2(str(others))


def test_same_model_twice_is_refused(store, folder, tmp_path):
    one = folder / "energy" / "model.keras" / VERSIONS["first"] / "model.keras"
    shutil.copytree(one.parent, tmp_path / "copied")
    with pytest.raises(UserError, match="again and first are the same model"):
        choose_candidates("energy", {"again": ("", one), "first": ("", tmp_path / "copied")}, {"toy": store})


def test_a_training_again_to_the_same_result_is_a_copy(folder, tmp_path):
    """A random forest has no state to go on from: the same command grows the same trees once more."""
    first = folder / "energy" / "model.keras" / VERSIONS["first"] / "model.keras"
    trained = load_model(first)
    training = trained.card.training | {"seconds": 1.0, "mlflow_run": "0" * 32}
    again = trained.card.model_copy(update={"training": training, "created": datetime.now(UTC)})
    better = again.model_copy(update={"metrics": {**again.metrics, "val_loss": 0.1}})
    paths = {"first": first}
    for name, card in (("again", again), ("better", better)):
        paths[name] = tmp_path / name / "model.keras"
        save_model(replace(trained, card=card), paths[name])
    assert list(without_copies(paths)) == ["again", "better"]


def test_copy_of_the_weights_under_another_card_is_refused(store, saved, folder, tmp_path):
    """Peers' fault 10: a comparison shows copied numbers."""
    trained = load_model(folder / "energy" / "model.keras" / VERSIONS["first"])
    other = trained.card.model_copy(update={"metrics": {**trained.card.metrics, "val_loss": 0.1}})
    save_model(replace(trained, card=other), tmp_path / "model.keras")
    with pytest.raises(UserError, match=r"one and copy are the same model \(fingerprint"):
        run(store, saved, models={"one": f"energy_model:{VERSIONS['first']}", "copy": str(tmp_path)})


def test_model_that_was_replaced_meanwhile_is_refused(store, saved, folder, tmp_path):
    for name, version in VERSIONS.items():
        shutil.copytree(folder / "energy" / "model.keras" / version, tmp_path / name)
    models = {name: ("", tmp_path / name / "model.keras") for name in VERSIONS}
    _, candidates = choose_candidates("energy", models, {"toy": store})
    shutil.rmtree(tmp_path / "second")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    with pytest.raises(UserError, match="was replaced after it had been chosen"):
        contest(candidates, store)


def test_store_with_another_split_is_refused(store, folder):
    models = {name: ("", folder / "energy" / "model.keras" / version) for name, version in VERSIONS.items()}
    split = store.provenance["split"]
    other = SimpleNamespace(path="other.store.h5", provenance={"split": {**split, "seed": split["seed"] + 1}})
    with pytest.raises(UserError, match=r"other\.store\.h5 is split otherwise than the training data"):
        choose_candidates(None, models, {"toy": other})


def test_models_of_images_see_one_telescope_type(store, saved):
    models = {name: f"energy_model:{version}" for name, version in VERSIONS.items()}
    with pytest.raises(UserError, match=r"hold LST, MST: choose one with dl1\.telescope_types"):
        choose_models_of("energy")({"LST": store, "MST": store}, saved, ComparisonParameters(models=models), None)


def test_models_of_several_tasks_are_refused(store, saved):
    models = {"one": f"energy_model:{VERSIONS['first']}", "other": f"type_model:{VERSIONS['first']}"}
    with pytest.raises(UserError, match="one of energy, other of type"):
        run(store, saved, models=models)
    with pytest.raises(UserError, match="These are not models of energy: other of type"):
        run(store, saved, "energy", models=models)


def test_one_model_is_refused(store, saved):
    with pytest.raises(UserError, match="two models or more, and the only model is alone"):
        run(store, saved, models={"alone": f"energy_model:{VERSIONS['first']}"})
    with pytest.raises(UserError, match="two models or more, and there is none"):
        run(store, saved, "core")


def test_task_of_the_pipeline_and_of_the_parameters():
    choose = choose_models_of("energy")
    with pytest.raises(UserError, match="--pipeline=comparison_type"):
        choose({}, {}, ComparisonParameters(task="type"), None)
    with pytest.raises(ValueError, match="must be one of energy"):
        ComparisonParameters(task="enregy")
    for label in ("", "_hidden", "$x$"):
        with pytest.raises(ValueError, match="labels are not empty"):
            ComparisonParameters(models={label: "a.keras"})


def test_models_of_images_and_of_events_are_refused(store, folder, tmp_path):
    for name, version in VERSIONS.items():
        shutil.copytree(folder / "energy" / "model.keras" / version, tmp_path / name)
    card = tmp_path / "second" / "model.card.json"
    card.write_text(card.read_text().replace('"mode": "mono"', '"mode": "stereo"'))
    with pytest.raises(UserError, match=r"no event in common \(first: mono, second: stereo\)"):
        choose_candidates("energy", {name: ("", tmp_path / name) for name in VERSIONS}, {"toy": store})


def test_all_saved_models_need_a_task_where_several_have_some(saved):
    task, models = all_saved(None, saved)
    assert task == "energy"
    assert [source for source, _ in models.values()] == [f"energy_model:{version}" for version in VERSIONS.values()]
    more = saved | {"type_model:2026-11-22T10.00.00.000Z": saved[f"type_model:{VERSIONS['first']}"]}
    with pytest.raises(UserError, match="choose a task"):
        all_saved(None, more)
    # the same training saved once more counts once
    assert len(all_saved("type", more)[1]) == 1


def test_reference_that_leads_nowhere_is_refused(saved):
    def find(reference: str, task: str | None = None):
        return named_models(task, {"one": reference}, saved, None)["one"][1]

    assert find(VERSIONS["first"], "type") == saved[f"type_model:{VERSIONS['first']}"]
    with pytest.raises(UserError, match="a version of any task"):
        find(VERSIONS["first"])
    with pytest.raises(UserError, match=f"versions of energy_model are {VERSIONS['first']}, "):
        find("energy_model:2020-01-01T00.00.00.000Z")
    with pytest.raises(UserError, match="versions of core_model are none"):
        find(VERSIONS["first"], "core")
    with pytest.raises(UserError, match="no version of a model, no MLflow run and no file"):
        find("some/model.keras")
    with pytest.raises(UserError, match="nothing is tracked here"):
        find("0123456789abcdef" * 2)


@pytest.fixture(scope="module")
def tracked(folder, tmp_path_factory):
    """An MLflow run that recorded models of two tasks."""
    import mlflow

    place = tmp_path_factory.mktemp("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{place}/mlflow.db")
    experiment = mlflow.create_experiment("toys", artifact_location=str(place / "artifacts"))
    with mlflow.start_run(experiment_id=experiment) as run:
        for task in ("energy", "type"):
            mlflow.log_artifacts(str(folder / task / "model.keras" / VERSIONS["first"]), f"{task}/model")
    with mlflow.start_run(experiment_id=experiment) as empty:
        pass
    yield run.info.run_id, empty.info.run_id
    mlflow.set_tracking_uri(before)


def test_models_are_found_by_their_mlflow_run(tracked, saved, folder):
    run_id, empty = tracked

    def find(reference: str, task: str | None):
        return named_models(task, {"one": reference}, saved, "a run of our own")["one"][1]

    for task in ("energy", "type"):
        card = read_card(find(run_id, task))
        assert card == read_card(folder / task / "model.keras" / VERSIONS["first"])
    with pytest.raises(UserError, match="recorded 2 models: choose one"):
        find(run_id, None)
    with pytest.raises(UserError, match="recorded no model of core"):
        find(run_id, "core")
    with pytest.raises(UserError, match="recorded no model of energy"):
        find(empty, "energy")
    with pytest.raises(UserError, match="Cannot read the MLflow run"):
        find("0" * 32, "energy")
