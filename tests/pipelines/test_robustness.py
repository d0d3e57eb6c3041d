"""Drift check and robustness from a trained model to the pages, on toy showers."""

import json
import logging

import numpy as np
import pytest
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1
from tests.store.toy_store import ALL, build
from tests.untrained import untrained

from cherenkov_pipeline.dl1.contents import describe
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.models.card import card_path
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel, load_model, read_card, save_model
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.pipelines.reconstruction.nodes import compare_with_training, plan_reconstruction
from cherenkov_pipeline.pipelines.robustness import nodes
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.training.parameters import input_parameters

MODEL = ModelParameters(name="set_network", options={"width": 4, "heads": 2, "exchanges": 1, "units": (4,)})
N_EVENTS = 130
EVENTS = [ToyEvent(100 * (number + 1), number) for number in range(N_EVENTS)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_dl1(tmp_path_factory.mktemp("dl1") / "gamma.dl1.h5", subarray({1: camera(), 2: camera()}), EVENTS)


@pytest.fixture(scope="module")
def trained(path, tmp_path_factory) -> TrainedModel:
    store = build(tmp_path_factory.mktemp("store"), path)[0]
    inputs = input_parameters(MODEL, {"brightest": 8, "parameters": ["hillas_width"]})
    return untrained(store, "energy", MODEL, inputs, tmp_path_factory.mktemp("states"))


def test_card_holds_the_training_images_and_older_cards_load(trained, tmp_path):
    (reference,) = trained.card.references
    assert (reference.particle, reference.n_images) == ("gamma", trained.card.data.n_train)
    assert {"hillas_width", "pixel_spread"} <= set(reference.shares)
    save_model(trained, tmp_path / "model.keras")
    assert load_model(tmp_path).card.references == trained.card.references
    place = card_path(tmp_path / "model.keras")
    older = json.loads(place.read_text())
    del older["references"]
    place.write_text(json.dumps(older))
    assert read_card(tmp_path).references == ()


def test_reconstruction_compares_its_images_with_the_training(trained, path, tmp_path, caplog):
    files = FileSet("dl1", [{"path": str(path), **describe(path)}])
    dl2 = run_plan(plan_reconstruction(files, ALL, ReconstructionParameters(), {}, trained), tmp_path)
    (record,) = dl2.records[0]["drift"]
    assert (record["n_images"], record["n_events"]) == (2 * N_EVENTS, N_EVENTS)
    caplog.clear()  # toy files do not tell how they were cleaned
    with caplog.at_level(logging.WARNING, "cherenkov_pipeline"):
        table = compare_with_training(dl2, ReconstructionParameters())
        assert not table["drifted"].any()
        assert caplog.text == ""
        # the same images, had the training been of darker ones
        shares = [0.0] * 9 + [1.0]
        other = {**record, "shares": dict.fromkeys(record["shares"], shares)}
        compare_with_training(FileSet("dl2", [{"drift": [other]}]), ReconstructionParameters())
    assert "do not look like the training data" in caplog.text
    assert "(smaller)" in caplog.text


def test_robustness_from_files_to_pages(trained, path):
    common = {**describe(path), "path": str(path), "particle": "gamma", "obs_id": 1, "n_thrown": 500}
    common["n_triggered"] = N_EVENTS
    nominal = {"condition": "nominal", "setting": None, "nominal": None, "unit": ""}
    changed = {"condition": "night sky", "setting": 0.2, "nominal": 0.1, "unit": "1 / ns"}
    dark = {"condition": "light", "setting": 0.1, "nominal": 0.35, "unit": "", "obs_id": 2}
    empty = {**common, **dark, "n_images": 0, "n_triggered": 0, "path": "not read"}
    files = FileSet("files", [{**common, **nominal}, {**common, **changed}, empty])
    predictions, drift, counts = nodes.predict_of("energy")(files, ALL, ReconstructionParameters(), trained)
    assert counts["n_images"].tolist() == counts["n_predicted"].tolist() == [2 * N_EVENTS, 2 * N_EVENTS, 0]
    assert np.all(counts["n_predicted"] == counts["n_cut"] + counts["n_invalid"] + counts["n_valid"])
    assert set(drift["condition"]) == {"nominal", "night sky"}
    table, numbers = nodes.tabulate_of("energy")(predictions, drift, counts, EvaluationParameters(resamples=100))
    metrics = numbers["conditions"]["night sky"]["0.2 1 / ns"]["metrics"]
    assert metrics[numbers["headline"]]["ratio"] == 1  # the same images under both conditions
    assert not metrics[numbers["headline"]]["changed"]
    assert {one["value"] for one in numbers["conditions"]["light"]["0.1"]["metrics"].values()} == {None}
    figure = nodes.draw_robustness(table)
    assert len(figure.axes) == 2
    page, summary = nodes.write_report(table, drift, counts, figure, trained)
    assert "None of 1 condition changes" in summary
    assert "light 0.1 cannot be judged" in summary
    assert "<svg" in page


def test_nominal_condition_without_an_event_is_refused(trained, path):
    common = {**describe(path), "path": str(path), "nominal": None, "unit": ""}
    nominal = {**common, "condition": "nominal", "setting": None, "n_images": 0}
    files = FileSet("files", [nominal, {**common, "condition": "light", "setting": 0.1}])
    with pytest.raises(UserError, match="nominal"):
        nodes.predict_of("energy")(files, ALL, ReconstructionParameters(), trained)
