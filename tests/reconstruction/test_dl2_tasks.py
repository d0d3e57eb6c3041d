"""DL2 of every task, of single telescopes and of a stereo model, from DL1 to the table that is evaluated."""

import numpy as np
import pytest
from astropy.table import QTable
from ctapipe.io import TableLoader
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1
from tests.store.toy_store import ALL, build, file_set
from tests.untrained import untrained

from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.reconstruction import predict
from cherenkov_pipeline.reconstruction.dl2 import plan_dl2
from cherenkov_pipeline.reconstruction.measure import predict_and_measure
from cherenkov_pipeline.reconstruction.others import find_method, read_method
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.reconstruction.predict import make_predictor, predict_dl1, predict_store
from cherenkov_pipeline.reconstruction.provenance import reconstruction_provenance
from cherenkov_pipeline.reconstruction.read import read_predictions
from cherenkov_pipeline.reconstruction.stereo import predict_stereo_dl1
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.tasks import TASKS
from cherenkov_pipeline.training.parameters import input_parameters

SET_NETWORK = {"width": 4, "heads": 2, "exchanges": 1, "units": (4,)}
EVENTS = [
    ToyEvent(number, number, primary=101 if number % 3 == 2 else 0, tel_ids=((1, 2), (1, 2), (1,), (2,))[number % 4])
    for number in range(80)
]


def model_of(store: EventStore, task: str, model: ModelParameters, folder, **inputs) -> TrainedModel:
    wanted = input_parameters(model, {"brightest": 8, "parameters": ["hillas_width"], **inputs})
    return untrained(store, task, model, wanted, folder)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    array = subarray({1: camera(), 2: camera()})
    return write_dl1(tmp_path_factory.mktemp("dl1") / "mixed.dl1.h5", array, EVENTS)


@pytest.fixture(scope="module")
def store(tmp_path_factory, path) -> EventStore:
    return build(tmp_path_factory.mktemp("store"), path)[0]


@pytest.fixture(scope="module")
def everything(store, tmp_path_factory) -> TrainedModel:
    """One network of all tasks."""
    model = ModelParameters(name="set_network", options=SET_NETWORK)
    return model_of(store, "+".join(TASKS), model, tmp_path_factory.mktemp("states"))


@pytest.fixture(scope="module")
def stereo(store, tmp_path_factory) -> TrainedModel:
    options = {"encoder": SET_NETWORK, "units": (6,)}
    model = ModelParameters(name="stereo_set_network", options=options)
    return model_of(store, "type+skydirection", model, tmp_path_factory.mktemp("states"), min_telescopes=2)


@pytest.fixture(scope="module")
def dl2(path, everything, stereo, tmp_path_factory) -> FileSet:
    plan = plan_dl2(file_set(path), [everything, stereo], ALL, ReconstructionParameters())
    return run_plan(plan, tmp_path_factory.mktemp("dl2"))


@pytest.mark.parametrize("task", TASKS)
def test_predictions_of_each_task_come_back(task, path, everything, dl2):
    expected, found = predict_dl1([everything], path, ALL)[task], read_predictions(dl2, task)
    assert set(found.colnames) == set(expected.colnames) - {"reason", "outside_validity"} | {"shower"}
    assert found["is_valid"].all()
    expected, found = (table[np.lexsort((table["tel_id"], table["event_id"]))] for table in (expected, found))
    for name in TASKS[task].units:
        np.testing.assert_allclose(np.asarray(found[name]), np.asarray(expected[name]), rtol=1e-4, atol=1e-5)
    if task == "cameradirection":
        np.testing.assert_allclose(found["true_camera_x"].value, expected["true_camera_x"].value, atol=1e-5)


def test_all_tasks_stand_in_one_table_and_can_be_judged(dl2):
    events = read_predictions(dl2)
    assert {name for task in TASKS.values() for name in task.units} <= set(events.colnames)
    assert len(events) == sum(len(event.tel_ids) for event in EVENTS)
    for evaluation in EVALUATIONS.values():
        metrics = evaluation.tables(events, EvaluationParameters(resamples=100))["metrics"]
        assert np.isfinite(metrics["value"][0])


def test_events_are_those_of_the_stereo_model_where_there_is_one(path, stereo, dl2):
    expected = predict_stereo_dl1([stereo], path, ALL)
    found = read_predictions(dl2, "skydirection", "subarray")
    assert len(found) == len(EVENTS)
    assert "tel_id" not in found.colnames
    valid = {int(row["event_id"]): row for row in expected["skydirection"] if row["is_valid"]}
    assert sorted(found["event_id"][found["is_valid"]]) == sorted(valid)
    for row in found[found["is_valid"]]:
        assert row["reco_alt"].value == pytest.approx(valid[int(row["event_id"])]["reco_alt"].value, rel=1e-5)
    tables = EVALUATIONS["skydirection"].tables(found, EvaluationParameters(resamples=100))
    assert tables["field_of_view"]["n_reco"].sum() > 0  # the pointing is known


def test_other_tasks_of_the_event_combine_the_telescopes(dl2, everything):
    events, images = read_predictions(dl2, "energy", "subarray"), read_predictions(dl2, "energy")
    assert events["is_valid"].all()
    for row in events[:8]:
        own = images[images["event_id"] == row["event_id"]]
        assert own["reco_energy"].min() <= row["reco_energy"] * (1 + 1e-6)
        assert row["reco_energy"] <= own["reco_energy"].max() * (1 + 1e-6)


def test_ctapipe_reads_every_table(dl2):
    with TableLoader(dl2.paths[0], focal_length_choice="EQUIVALENT") as loader:
        events = loader.read_subarray_events()
    both = [len(event.tel_ids) == 2 for event in EVENTS]
    by_id = np.argsort(np.asarray(events["event_id"]))
    np.testing.assert_array_equal(events["stereo_set_network_skydirection_is_valid"][by_id], both)
    assert (events["stereo_set_network_type_telescopes"][by_id].sum(axis=1)[both] == 2).all()
    assert (events["set_network_skydirection_telescopes"].sum(axis=1) >= 1).all()
    assert {"set_network_xmax_x_max", "set_network_core_core_x"} <= set(events.colnames)


def test_counts_close_for_images_and_events(dl2):
    (record,) = dl2.records
    assert set(record["tasks"]) == set(TASKS)
    assert set(record["stereo_tasks"]) == {"type", "skydirection"}
    for counts, what in ((record["tasks"]["type"], "n_images"), (record["stereo_tasks"]["type"], "n_events")):
        assert counts[what] == counts["n_valid"] + counts["n_invalid"]
        assert counts["n_invalid"] == sum(counts["reasons"].values())
    table = reconstruction_provenance([], FileSet("dl1", ()), dl2)
    lines = table.loc[table["step"] == "prediction", "detail"].tolist()
    assert len(lines) == len(TASKS) + 2
    assert any(line.startswith("type, stereo by stereo_set_network_type") for line in lines)


def test_equal_inputs_are_made_once(store, everything, monkeypatch):
    predictors = [make_predictor(everything, store.camera) for _ in range(3)]
    made = []
    make = type(predictors[0].maker).from_chunk
    monkeypatch.setattr(type(predictors[0].maker), "from_chunk", lambda *args: made.append(1) or make(*args))
    chunk = store.read(np.arange(10))
    tables = predict.predict_together(predictors, chunk, np.ones(10, dtype=bool))
    assert len(made) == 1
    alone = predictors[0].predict(chunk, np.ones(10, dtype=bool))
    for table in tables:
        np.testing.assert_array_equal(table["gammaness"], alone["gammaness"])


def test_a_store_is_predicted_and_measured_in_both_modes(store, everything, stereo):
    for trained, wanted in ((everything, "tel_id"), (stereo, "n_telescopes")):
        predictions, cost = predict_and_measure(trained, store, "train")
        assert isinstance(predictions, QTable)
        assert wanted in predictions.colnames
        assert cost["n_events"] == len(predictions)
    assert set(predict_store(everything, store, None)["production"]) == {"mixed"}


@pytest.mark.parametrize("task", TASKS)
def test_dl2_of_each_task_can_be_judged(task, dl2):
    found = read_method(find_method(str(dl2.paths[0]), task, "telescope", prefix=f"set_network_{task}"))
    assert found["is_valid"].all()
