from dataclasses import replace

import numpy as np
import pytest
from astropy.table import QTable
from scipy import stats
from tests.training.toy_showers import shower_store

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.combine import MixedOutput
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import load_model, save_model
from cherenkov_pipeline.reconstruction.predict import predict_store
from cherenkov_pipeline.training import ensemble
from cherenkov_pipeline.training.ensemble import _mean_history, combine, train_ensemble
from cherenkov_pipeline.training.parameters import TrainingParameters, WeightParameters, input_parameters

MODEL = ModelParameters(
    name="single_tel", options={"filters": [4], "pooling": "average"}, head={"options": {"units": [8]}}
)
INPUTS = input_parameters(MODEL, {"mapping": "square"})
TRAINING = TrainingParameters(epochs=1, batch_size=32)
RNG = np.random.default_rng(0)


def mixed(likelihood: str, n_targets: int, members: np.ndarray) -> np.ndarray:
    """Mixture of outputs (n_members, n, n_outputs)."""
    layer = MixedOutput([0.0] * n_targets, [1.0] * n_targets, likelihood)
    return keras.ops.convert_to_numpy(layer([keras.ops.convert_to_tensor(one) for one in members]))


def columns(*values: np.ndarray) -> np.ndarray:
    return np.stack(values, axis=-1).astype(np.float32)


def head_tail(n_members: int, n: int) -> np.ndarray:
    raw = RNG.normal([0, 1, -2, -1, -2, 0, -2], 0.5, (n_members, n, 7))
    frame = np.tile(RNG.normal(0, 1, (n, 4)), (n_members, 1, 1))
    return np.concatenate([raw, frame], axis=-1).astype(np.float32)


def test_normal_distributions_are_mixed_by_their_moments():
    members = columns(RNG.normal(0, 1, (3, 5)), RNG.normal(-1, 0.3, (3, 5)))
    drawn = RNG.normal(members[..., 0], np.exp(members[..., 1]), (200_000, 3, 5)).swapaxes(0, 1).reshape(-1, 5)
    found = mixed("gaussian", 1, members)
    np.testing.assert_allclose(found[:, 0], drawn.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(np.exp(found[:, 1]), drawn.std(axis=0), rtol=0.01)


def test_probabilities_are_averaged():
    members = RNG.normal(0, 3, (4, 50, 1)).astype(np.float32)
    members[:, 0], members[:, 1] = 200, -200  # far beyond what a probability can hold
    found = mixed("bernoulli", 1, members)
    np.testing.assert_allclose(1 / (1 + np.exp(-found[2:])), (1 / (1 + np.exp(-members[:, 2:]))).mean(0), rtol=1e-4)
    np.testing.assert_allclose(found[:2, 0], [200, -200], rtol=1e-4)


def test_points_are_mixed_by_place_and_distance():
    members = columns(*RNG.normal(0, 0.3, (2, 3, 4)), RNG.normal(-1.5, 0.3, (3, 4)))
    radius = stats.gamma(2).rvs((200_000, 3, 4), random_state=1) * np.exp(members[..., 2])
    angle = RNG.uniform(0, 2 * np.pi, radius.shape)
    places = members[..., :2] + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    found = mixed("point", 2, members)
    center = places.mean(axis=(0, 1))
    np.testing.assert_allclose(found[:, :2], center, atol=0.01)
    square = np.square(places - center).sum(axis=-1).mean(axis=(0, 1))
    np.testing.assert_allclose(6 * np.exp(2 * found[:, 2]), square, rtol=0.02)


def test_sides_are_mixed_by_their_probability():
    members = head_tail(3, 6)
    found = mixed("head_tail", 2, members)
    probability = 1 / (1 + np.exp(-members[..., 0]))
    np.testing.assert_allclose(1 / (1 + np.exp(-found[:, 0])), probability.mean(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(found[:, 7:], members[0, :, 7:])
    for weights, place, scale in ((probability, 1, 2), (1 - probability, 3, 4), (np.ones_like(probability), 5, 6)):
        weights = weights / weights.sum(axis=0)
        mean = (weights * members[..., place]).sum(axis=0)
        variance = (weights * (2 * np.exp(2 * members[..., scale]) + (members[..., place] - mean) ** 2)).sum(axis=0)
        np.testing.assert_allclose(found[:, place], mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(2 * np.exp(2 * found[:, scale]), variance, rtol=1e-3)


def test_a_side_that_no_member_believes_in_is_finite():
    members = head_tail(2, 3)
    members[..., 0] = 150
    assert np.isfinite(mixed("head_tail", 2, members)).all()


@pytest.mark.parametrize(
    ("likelihood", "n_targets", "members"),
    [
        ("gaussian", 1, RNG.normal(0, 1, (1, 9, 2))),
        ("bernoulli", 1, RNG.normal(0, 1, (1, 9, 1))),
        ("point", 2, RNG.normal(0, 1, (1, 9, 3))),
        ("head_tail", 2, head_tail(1, 9)),
        (
            "gaussian(1)+bernoulli(1)+head_tail(2)",
            4,
            np.concatenate([RNG.normal(0, 1, (1, 9, 3)), head_tail(1, 9), RNG.normal(0, 1, (1, 9, 6))], axis=-1),
        ),
    ],
)
def test_members_who_agree_are_one(likelihood, n_targets, members):
    again = mixed(likelihood, n_targets, np.repeat(members, 3, axis=0).astype(np.float32))
    np.testing.assert_allclose(again, members[0], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shower_store(tmp_path_factory.mktemp("ensemble") / "toy.store.h5", 700)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """Where the same training is done once for all tests."""
    return tmp_path_factory.mktemp("states")


def test_an_ensemble_is_one_model(store, tmp_path, monkeypatch):
    made = []
    train = ensemble.train_task
    monkeypatch.setattr(ensemble, "train_task", lambda *arguments: made.append(train(*arguments)) or made[-1])
    trained = train_ensemble(store, "energy+type+skydirection", MODEL, INPUTS, TRAINING, tmp_path, 2)
    assert [member.card.training["parameters"]["seed"] for member in made] == [0, 1]
    assert [one["parameters"]["seed"] for one in trained.card.training["members"]] == [0, 1]
    assert trained.card.cost.parameters > 2 * made[0].card.cost.parameters
    assert set(trained.card.training["calibration"]) == set(made[0].card.training["calibration"])
    save_model(trained, tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    predictions = predict_store(again, store, "test")
    for name in ("reco_energy", "gammaness", "reco_alt"):
        np.testing.assert_array_equal(predictions[name], predict_store(trained, store, "test")[name])
        assert predictions["is_valid"].all()
    assert again.fingerprint == trained.fingerprint


def test_its_own_calibration_sets_probabilities_right(store, states):
    """Members that are far too sure: the mixture is not."""
    members = [
        ensemble.train_task(store, "type", MODEL, INPUTS, TRAINING.model_copy(update={"seed": seed}), states)
        for seed in (0, 1)
    ]
    for member in members:
        member.model.get_layer("head_type").set_constants({"temperature": [0.01]})
    losses = [
        combine(members, store, TRAINING.model_copy(update={"calibrate": calibrate})).card.metrics["val_task_loss"]
        for calibrate in (False, True)
    ]
    assert losses[1] < 0.5 * losses[0]


@pytest.mark.slow
def test_its_loss_is_that_of_its_members(store, tmp_path):
    """The same member twice is that member: in weights, weights of losses, and without the penalties of both."""
    training = TRAINING.model_copy(
        update={
            "calibrate": False,
            "weights": WeightParameters(classes={"proton": 20.0}),
            "loss_weights": {"energy": 3.0, "type": 0.5},
        }
    )
    member = ensemble.train_task(store, "energy+type", MODEL, INPUTS, training, tmp_path)
    together = combine([member, member], store, training)
    assert together.card.metrics["val_task_loss"] == pytest.approx(member.card.metrics["val_task_loss"], rel=1e-3)
    penalized = ModelParameters(
        name="single_tel", options={**MODEL.options, "l2": 0.1}, head={"options": {"units": [8]}}
    )
    member = ensemble.train_task(store, "type", penalized, INPUTS, TRAINING, tmp_path)
    losses = [combine([member] * n, store, TRAINING).card.metrics["val_task_loss"] for n in (2, 3)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0] < member.card.metrics["val_task_loss"]


def test_members_that_differ_are_refused(store, states, tmp_path):
    one = ensemble.train_task(store, "type", MODEL, INPUTS, TRAINING, states)
    for name, value in (("task", "energy"), ("inputs", one.card.inputs | {"channels": ["image"]})):
        other = replace(one, card=one.card.model_copy(update={name: value}))
        with pytest.raises(UserError, match=f"must have the same {name}"):
            combine([one, other], store, TRAINING)
    with pytest.raises(UserError, match="two members"):
        train_ensemble(store, "type", MODEL, INPUTS, TRAINING, tmp_path, 1)


def test_history_is_the_mean_of_the_members_that_trained_so_long():
    one, two = (
        QTable({"epoch": np.arange(1, n + 1), "val_loss": np.full(n, value)}) for n, value in ((2, 1.0), (3, 3.0))
    )
    found = _mean_history([one, two])
    np.testing.assert_allclose(found["val_loss"], [2, 2, 3])
    np.testing.assert_array_equal(found["epoch"], [1, 2, 3])
