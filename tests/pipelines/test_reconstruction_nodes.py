"""Nodes of the reconstruction, with stereo models alone and beside models of single telescopes."""

from datetime import UTC, datetime

import numpy as np
import pytest
from ctapipe.io import TableLoader
from matplotlib.figure import Figure
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1
from tests.store.toy_store import ALL, build
from tests.untrained import untrained

from cherenkov_pipeline.dl1.contents import describe
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.models.on_disk import SavedModel
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel, save_model
from cherenkov_pipeline.performance.report.reconstruction import reconstruction_report
from cherenkov_pipeline.performance.report.render import render_report
from cherenkov_pipeline.pipelines.reconstruction.nodes import (
    compare_with_training,
    draw_energies,
    find_further_models,
    gather_events,
    list_inputs,
    plan_reconstruction,
    write_report,
)
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.reconstruction.provenance import reconstruction_provenance
from cherenkov_pipeline.training.parameters import input_parameters

EVENTS = [
    ToyEvent(number, number, primary=101 if number % 3 == 2 else 0, tel_ids=((1, 2), (1, 2), (1,), (2,))[number % 4])
    for number in range(40)
]
SET_NETWORK = {"width": 4, "heads": 2, "exchanges": 1, "units": (4,)}
MODELS = {
    "mono": ModelParameters(name="set_network", options=SET_NETWORK),
    "stereo": ModelParameters(name="stereo_set_network", options={"encoder": SET_NETWORK, "units": (6,)}),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    array = subarray({1: camera(), 2: camera()})
    return write_dl1(tmp_path_factory.mktemp("dl1") / "mixed.dl1.h5", array, EVENTS)


@pytest.fixture(scope="module")
def trained(path, tmp_path_factory) -> dict[str, TrainedModel]:
    store = build(tmp_path_factory.mktemp("store"), path)[0]

    def model(mode: str, task: str) -> TrainedModel:
        inputs = input_parameters(MODELS[mode], {"brightest": 8, "parameters": ["hillas_width"]})
        return untrained(store, task, MODELS[mode], inputs, tmp_path_factory.mktemp("states"))

    return {"mono": model("mono", "type"), "stereo": model("stereo", "energy")}


def described(*paths) -> FileSet:
    return FileSet("dl1", [{"path": str(path), **describe(path)} for path in paths])


@pytest.mark.parametrize("modes", [("stereo",), ("mono", "stereo")], ids="+".join)
def test_energies_of_a_stereo_model_are_reported(modes, path, trained, tmp_path):
    models = [trained[mode] for mode in modes]
    dl2 = run_plan(plan_reconstruction(described(path), ALL, ReconstructionParameters(), {}, *models), tmp_path)
    events = gather_events(dl2)
    assert len(events) == len(EVENTS)
    assert ("gammaness" in events.colnames) == ("mono" in modes)
    assert np.isfinite(events["reco_energy"][events["is_valid"]]).all()
    provenance = reconstruction_provenance([], FileSet("dl1"), dl2)
    content = reconstruction_report(events, {}, provenance, draw_energies(events), datetime(2026, 1, 2, tzinfo=UTC))
    assert content.summary.startswith(f"{events['is_valid'].sum()} of {len(events)} predictions are valid")
    assert "<svg" in render_report(content)


def test_only_cards_are_read_where_nothing_is_predicted(path, trained, tmp_path, monkeypatch):
    saved = save_model(trained["mono"], tmp_path / "model.keras")
    monkeypatch.setattr(SavedModel, "load", lambda self: pytest.fail("the network was built"))
    model = SavedModel(tmp_path / "model.keras")
    assert [item["path"] for item in list_inputs(str(path), FileSet("dl1"), DL1Parameters(), {}, model)] == [str(path)]
    dl2 = run_plan(plan_reconstruction(described(path), ALL, ReconstructionParameters(), {}, saved), tmp_path / "dl2")
    drift = compare_with_training(dl2, ReconstructionParameters())
    provenance = reconstruction_provenance([], FileSet("dl1"), dl2)
    assert "set_network" in write_report(gather_events(dl2), provenance, drift, Figure(), dl2, {}, model)


def test_file_without_an_event_does_not_stop_the_others(path, trained, tmp_path):
    empty = write_dl1(tmp_path / "empty.dl1.h5", subarray({1: camera(), 2: camera()}), [])
    plan = plan_reconstruction(described(empty, path), ALL, ReconstructionParameters(), {}, trained["mono"])
    assert [job.name for job in plan.jobs] == ["mixed.dl2.h5"]
    with pytest.raises(UserError, match=r"No event with an image in empty\.dl1\.h5"):
        plan_reconstruction(described(empty), ALL, ReconstructionParameters(), {}, trained["mono"])


def test_further_models_predict_the_same_files(path, trained, tmp_path):
    """Mono and stereo ones, of the same task and of another, beside those of the pipeline; each as by itself."""
    saved = {}
    for model in trained.values():
        folder = tmp_path / "06_models" / model.card.task / "model.keras" / "2026-11-20T10.00.00.000Z"
        saved[f"{model.card.task}_model:2026-11-20T10.00.00.000Z"] = folder / "model.keras"
        save_model(model, folder / "model.keras")
    wanted = ReconstructionParameters(models={"again": "type_model", "array": str(saved[next(reversed(saved))])})
    further = find_further_models(wanted, saved, None)
    assert further == dict(zip(("again", "array"), map(str, saved.values()), strict=True))
    dl2 = run_plan(plan_reconstruction(described(path), ALL, wanted, further, trained["mono"]), tmp_path / "dl2")
    (file,) = dl2.paths

    with TableLoader(file, focal_length_choice="EQUIVALENT") as loader:
        images, events = loader.read_telescope_events(), loader.read_subarray_events()
    assert len(events) == len(EVENTS)
    np.testing.assert_array_equal(images["again_type_tel_prediction"], images["set_network_type_tel_prediction"])
    assert np.isfinite(images["again_type_tel_prediction"]).any()
    alone = run_plan(
        plan_reconstruction(described(path), ALL, ReconstructionParameters(), {}, trained["stereo"]), tmp_path / "alone"
    )
    expected = gather_events(alone)
    np.testing.assert_allclose(events["array_energy_energy"], expected["reco_energy"].to_value("TeV"), rtol=1e-6)

    rows = reconstruction_provenance([], FileSet("dl1"), dl2)
    predictions = rows[rows["step"] == "prediction"]
    assert [detail.split(";")[0] for detail in predictions["detail"]] == [
        "type by set_network_type", "type by again_type", "energy, stereo by array_energy",
    ]  # fmt: skip
    assert (predictions["n_out"] <= predictions["n_in"]).all()
    assert "reco_energy" not in gather_events(dl2).colnames  # the report is of the pipeline's own models
    page = write_report(
        gather_events(dl2), rows, compare_with_training(dl2, wanted), Figure(), dl2, further, trained["mono"]
    )
    assert "Further, array, energy" in page


@pytest.mark.parametrize(
    ("models", "line"),
    [
        ({"again": "type_model:nowhere"}, "There is no type_model:nowhere"),
        ({"set_network": "type_model"}, "reconstruction.models.set_network would write set_network_type, as another"),
    ],
)
def test_further_models_that_cannot_be_are_refused(models, line, path, trained, tmp_path):
    save_model(trained["mono"], tmp_path / "model.keras")
    wanted = ReconstructionParameters(models=models)

    def plan():
        further = find_further_models(wanted, {"type_model:now": tmp_path / "model.keras"}, None)
        return plan_reconstruction(described(path), ALL, wanted, further, trained["mono"])

    with pytest.raises(UserError, match=line):
        plan()
