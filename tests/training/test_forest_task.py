"""The random forest as a registered model: grown from a store, calibrated, saved, loaded, exported."""

from dataclasses import replace

import numpy as np
import pytest
from tests.training.toy_forest import forest_store

from cherenkov_pipeline.directions import head_tail_point, true_direction
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.export import OUTPUT, export_onnx, run_onnx
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import complete_input
from cherenkov_pipeline.models.saved import load_model, save_model
from cherenkov_pipeline.store.inputs import image_parameters
from cherenkov_pipeline.tasks import get_task, joint_task
from cherenkov_pipeline.training.ensemble import combine
from cherenkov_pipeline.training.forest import train_forest
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.task import train_task
from cherenkov_pipeline.training.weights import EventWeights

FEW_TREES = ModelParameters(name="random_forest", options={"n_trees_regression": 12, "n_trees_classification": 12})
INPUTS = complete_input("random_forest")
OUTPUTS = {"energy": 2, "type": 1, "skydirection": 11}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return forest_store(tmp_path_factory.mktemp("forest") / "toy.store.h5")


def known_events(store, particles=("gamma",)):
    """Rows of test events that have parameters."""
    rows = store.indices("test", particles)
    return rows[np.isfinite(np.asarray(store.columns(["hillas_length"])["hillas_length"]))[rows]]


@pytest.fixture(scope="module")
def grown(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    return {name: train_task(store, name, FEW_TREES, INPUTS, TrainingParameters(seed=4), folder) for name in OUTPUTS}


@pytest.mark.parametrize("task", OUTPUTS)
def test_forest_is_a_model_like_every_other(task, grown, store, tmp_path):
    rows = known_events(store, get_task(task).particles)
    trained = grown[task]
    saved = save_model(trained, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.fingerprint == saved.fingerprint == trained.fingerprint
    inputs = all_inputs(trained, store, rows)
    expected = trained.model.predict_on_batch(inputs)
    assert expected.shape == (len(rows), OUTPUTS[task])
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(loaded.model.predict_on_batch(inputs), expected, rtol=1e-6)  # threads add in any order


@pytest.mark.parametrize(
    "task", ["energy", *(pytest.param(task, marks=pytest.mark.slow) for task in ("type", "skydirection"))]
)
def test_forest_is_exported(task, grown, store, tmp_path):
    trained = grown[task]
    inputs = all_inputs(trained, store, known_events(store, get_task(task).particles))
    path = export_onnx(trained.model, tmp_path / "forest.onnx", trained.card)
    expected = trained.model.predict_on_batch(inputs)
    np.testing.assert_allclose(run_onnx(path, inputs)[OUTPUT], expected, rtol=1e-4, atol=1e-5)


def predict_inputs(store, rows):
    return {"parameters": image_parameters(store.columns(INPUTS.columns)[rows], INPUTS.parameters)}


def all_inputs(trained, store, rows):
    """With zeros in the place of what a forest does not look at."""
    shapes = {tensor.name: tensor.shape[1:] for tensor in trained.model.inputs}
    unseen = {name: np.zeros((len(rows), *shape), np.float32) for name, shape in shapes.items()}
    return unseen | predict_inputs(store, rows)


def outputs_of(trained, store, rows):
    return trained.model.predict_on_batch(all_inputs(trained, store, rows)).astype(float)


def test_energy_is_recovered_with_its_error(grown, store):
    rows = known_events(store)
    mean, log_scale = outputs_of(grown["energy"], store, rows).T
    error = mean - np.log10(np.asarray(store.columns(["true_energy"])["true_energy"]))[rows]
    assert np.std(error) < 0.08
    assert 0.58 < np.mean(np.abs(error) < np.exp(log_scale)) < 0.8


def test_direction_is_recovered_with_its_error(grown, store):
    rows = known_events(store)
    lon, lat, radius, head = head_tail_point(outputs_of(grown["skydirection"], store, rows))
    truth = true_direction(store.table[rows])
    distance = np.hypot(lon - truth.lon, lat - truth.lat)
    assert np.median(distance) < 0.1
    assert 0.55 < np.mean(distance < radius) < 0.85
    assert 0.3 < np.mean(head > 0.5) < 0.7


def test_type_is_recovered(grown, store):
    rows = known_events(store, ("gamma", "proton"))
    gammas = np.asarray(store.columns(["true_shower_primary_id"])["true_shower_primary_id"])[rows] == 0
    logit = outputs_of(grown["type"], store, rows)[:, 0]
    assert np.mean((logit > 0) == gammas) > 0.93


def test_images_without_parameters_are_not_predicted(grown, store):
    missing = np.flatnonzero(~np.isfinite(np.asarray(store.columns(["hillas_length"])["hillas_length"])))
    for trained in grown.values():
        assert np.isnan(outputs_of(trained, store, missing)[:, 0]).all()


def test_images_without_parameters_do_not_count_in_an_ensemble(tmp_path):
    store = forest_store(tmp_path / "toy.store.h5", first_missing=6)  # among the validation images
    trained = train_task(store, "type", FEW_TREES, INPUTS, TrainingParameters(seed=4), tmp_path)
    together = combine([trained, trained], store, TrainingParameters(calibrate=False))
    assert together.card.metrics["val_task_loss"] == pytest.approx(trained.card.metrics["val_task_loss"], rel=0.01)


def test_history_and_card(grown):
    for trained in grown.values():
        assert trained.history.colnames[:3] == ["epoch", "loss", "val_loss"]
        assert len(trained.history) == 1
        assert np.isfinite(trained.history["val_loss"]).all()
        assert trained.history["val_task_loss"] == trained.history["val_loss"]
        assert trained.card.model.name == "random_forest"
        assert trained.card.cost.parameters > 0


def test_seed_and_weights_count(store):
    task, training = get_task("type"), TrainingParameters(seed=4)
    rows = known_events(store, task.particles)
    uncalibrated = training.model_copy(update={"calibrate": False})
    logits = {
        name: train_forest(store, task, FEW_TREES, INPUTS, parameters, weight)[0].predict_on_batch(
            predict_inputs(store, rows)
        )
        for name, parameters, weight in (
            ("first", uncalibrated, None),
            ("again", uncalibrated, None),
            ("other", uncalibrated.model_copy(update={"seed": 5}), None),
            ("weighted", uncalibrated, EventWeights({0: 10.0}, {})),
        )
    }
    np.testing.assert_allclose(logits["first"], logits["again"], rtol=1e-5)
    assert not np.allclose(logits["first"], logits["other"])
    assert logits["weighted"].mean() > logits["first"].mean()


def test_probabilities_are_those_of_the_weighted_sample(store):
    """Calibrated on events that are weighted as those that the trees were grown from."""

    def doubtful(table):
        """Three of ten labels are wrong."""
        wrong = np.asarray(table["true_energy"] * 1e5).astype(int) % 10 < 3
        return ((np.asarray(table["true_shower_primary_id"]) == 0) ^ wrong)[:, np.newaxis]

    task = replace(get_task("type"), to_target=doubtful, labels=("true_shower_primary_id", "true_energy"))
    weights = EventWeights({0: 10.0}, {})
    network, history = train_forest(store, task, FEW_TREES, INPUTS, TrainingParameters(seed=4), weights)
    rows = store.indices("validation", task.particles)
    logit = network.predict_on_batch(predict_inputs(store, rows))[:, 0].astype(float)
    rows, logit = rows[np.isfinite(logit)], logit[np.isfinite(logit)]
    events = store.columns(task.labels)[rows]
    signed = np.where(doubtful(events)[:, 0], logit, -logit)
    weight = np.where(np.asarray(events["true_shower_primary_id"]) == 0, 10, 1)

    def loss(temperature):
        return np.mean(weight * np.logaddexp(0, -signed / temperature))

    assert history["val_loss"][0] == pytest.approx(loss(1), rel=1e-3)
    assert loss(1) <= min(loss(0.9), loss(1.1))


def test_further_parameters_become_features(store):
    further = INPUTS.model_copy(update={"parameters": ("telescope_pointing_altitude", *INPUTS.parameters)})
    network, _ = train_forest(store, get_task("energy"), FEW_TREES, further, TrainingParameters())
    assert 0 in network.get_layer("backbone_forest_0").features


def test_what_a_forest_cannot_do_is_said(store):
    few = INPUTS.model_copy(update={"parameters": ("hillas_width",)})
    with pytest.raises(UserError, match="needs the image parameters log_hillas_intensity"):
        train_forest(store, get_task("energy"), FEW_TREES, few, TrainingParameters())
    with pytest.raises(UserError, match="cannot learn energy\\+type"):
        train_forest(store, joint_task(["energy", "type"]), FEW_TREES, INPUTS, TrainingParameters())
