import logging

import numpy as np
import pytest
from tests.training.toy_showers import shower_store

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.likelihoods import predict_events
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import load_model, save_model
from cherenkov_pipeline.reconstruction.predict import predict_store
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.tasks import get_task
from cherenkov_pipeline.training.ensemble import train_ensemble
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
from cherenkov_pipeline.training.task import task_batches, train_task, weighted_batches

MODEL = ModelParameters(
    name="single_tel",
    options={"filters": [4], "pooling": "average"},
    head={"options": {"units": [8]}},
)
INPUTS = input_parameters(MODEL, {"mapping": "square"})
SET = {"options": {"encoder": {"width": 8, "exchanges": 1, "units": [8]}, "units": [8]}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shower_store(tmp_path_factory.mktemp("showers") / "toy.store.h5", 900)


def train(store, folder, task="energy", model=MODEL, inputs=INPUTS, **training):
    parameters = TrainingParameters(**{"epochs": 2, "batch_size": 32, "deterministic": True} | training)
    return train_task(store, task, model, inputs, parameters, folder / "states")


def outputs(trained, store):
    inputs = InputParameters.model_validate(trained.card.inputs)
    batches = task_batches(store, get_task(trained.card.task), inputs, TrainingParameters(), "validation")
    return np.concatenate([trained.model.predict_on_batch(batches[number][0]) for number in range(len(batches))])


@pytest.mark.parametrize(
    ("task", "others"),
    [
        pytest.param("energy", ("skydirection", "core"), marks=pytest.mark.slow),
        ("skydirection", ("energy",)),
        pytest.param("type", ("energy", "skydirection"), marks=pytest.mark.slow),
    ],
)
def test_the_model_says_what_the_network_of_all_tasks_says_of_its_own(store, tmp_path, task, others):
    alone = train(store, tmp_path, task, auxiliary=others)
    joint = train(store, tmp_path, "+".join([task, *others]))
    assert alone.card.task == task
    assert alone.card.name == "single_tel"
    assert alone.model.name == f"single_tel_{task}"
    said = outputs(alone, store)
    np.testing.assert_allclose(said, outputs(joint, store)[:, : said.shape[1]], rtol=1e-5, atol=1e-6)
    own = {
        name.removeprefix("0."): value for name, value in joint.card.training["calibration"].items() if name[0] == "0"
    }
    assert alone.card.training["calibration"] == own
    assert alone.card.cost.parameters < joint.card.cost.parameters
    np.testing.assert_array_equal(alone.history["val_loss"], joint.history["val_loss"])


def test_the_history_has_the_loss_of_the_own_task_alone(store, tmp_path):
    model = MODEL.model_copy(update={"options": {**MODEL.options, "l2": 0.1}})
    trained = train(
        store, tmp_path, "type", model, auxiliary=("energy",), calibrate=False, weights={"classes": "balanced"}
    )
    batches = weighted_batches(store, get_task("type"), INPUTS, TrainingParameters(weights={"classes": "balanced"}))
    logits, is_gamma, weights = predict_events(trained.model, batches["validation"])
    loss = np.mean(weights * np.logaddexp(0, np.where(is_gamma > 0, -logits, logits))[:, 0])
    assert trained.card.metrics["val_task_loss"] == pytest.approx(loss, rel=1e-5)
    assert trained.card.metrics["val_loss"] > loss + 0.1


def test_it_is_saved_and_comes_back_without_another_epoch(store, tmp_path, monkeypatch):
    trained = train(store, tmp_path, auxiliary=("skydirection",))
    save_model(trained, tmp_path / "model.keras")
    np.testing.assert_allclose(outputs(load_model(tmp_path / "model.keras"), store), outputs(trained, store), rtol=1e-5)
    assert "reco_alt" not in predict_store(trained, store, "test").colnames
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    again = train(store, tmp_path, auxiliary=("skydirection",))
    np.testing.assert_array_equal(outputs(again, store), outputs(trained, store))


@pytest.mark.slow
def test_events_of_several_telescopes(tmp_path):
    store = shower_store(tmp_path / "two.store.h5", 200, n_telescopes=2)
    model = ModelParameters(name="stereo_set_network", **SET)
    inputs = input_parameters(model, {"brightest": 16, "parameters": ["hillas_width"]})
    alone = train(store, tmp_path, "skydirection", model, inputs, auxiliary=("energy",))
    joint = train(store, tmp_path, "skydirection+energy", model, inputs)
    said = outputs(alone, store)
    np.testing.assert_allclose(said, outputs(joint, store)[:, : said.shape[1]], rtol=1e-4, atol=1e-5)


def test_what_the_data_do_not_teach_is_left_out(store, tmp_path, caplog):
    plain = train(store, tmp_path)
    with caplog.at_level(logging.INFO):
        left = train(store, tmp_path, auxiliary=("xmax",))
    np.testing.assert_array_equal(outputs(left, store), outputs(plain, store))
    assert "Depth of the shower maximum is not learnt as an auxiliary task: the data have no true_x_max" in caplog.text


@pytest.mark.slow
def test_an_ensemble_of_such_networks(store, tmp_path):
    parameters = TrainingParameters(epochs=1, batch_size=32, auxiliary=("skydirection",), loss_weights={"energy": 2})
    trained = train_ensemble(store, "energy", MODEL, INPUTS, parameters, tmp_path / "states", n_members=2)
    assert outputs(trained, store).shape[1] == 2


@pytest.mark.parametrize(
    ("task", "auxiliary", "message"),
    [
        ("energy", ["energy"], "names energy, which is the task itself"),
        ("energy", ["type"], "names type, which is learnt from .*proton.* too, but energy is not"),
        ("energy", ["depth"], "There is no task 'depth'"),
        ("energy+type", ["core"], "for networks of one task, and energy\\+type are several"),
    ],
)
def test_what_is_no_auxiliary_task_is_an_error_before_the_training(
    store, tmp_path, monkeypatch, task, auxiliary, message
):
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("trained"))
    with pytest.raises(UserError, match=message):
        train(store, tmp_path, task, auxiliary=auxiliary)
