import json

import numpy as np
import pytest
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.networks.build import build_network
from cherenkov_pipeline.alerts.networks.registry import NetworkParameters
from cherenkov_pipeline.alerts.parameters import preset
from cherenkov_pipeline.alerts.preparation import BY_HAND, prepare
from cherenkov_pipeline.alerts.training import (
    SquaredProbabilityError,
    data_fingerprint,
    load_trained,
    save_network,
    train_network,
)
from cherenkov_pipeline.alerts.weights import find_weights
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.export import run_onnx

IMAGES = toy_images(48)
SPLITS = np.array(["train"] * 24 + ["validation"] * 12 + ["test"] * 12)
TINY = {
    "network": {"options": {"filters": [6, 8]}},
    "preparation": {"size": 16},
    "training": {"epochs": 3, "deterministic": True, "optimizer": {"learning_rate": 1e-2}},
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Weights of another ResNet18."""
    path = tmp_path_factory.mktemp("weights") / "simulated.keras"
    network = build_network(NetworkParameters(name="resnet18"), {"image": (32, 32, 1)})
    network.save(path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_network("tiny", IMAGES, SPLITS, preset("cnn_scratch", **TINY), tmp_path_factory.mktemp("states"))


def test_network_learns_and_says_what_it_is(trained):
    assert len(trained.history) == trained.card.epochs == 3
    assert trained.history["loss"][-1] < trained.history["loss"][0]
    assert {"accuracy", "val_accuracy", "val_loss", "learning_rate"} <= set(trained.history.colnames)
    card = trained.card
    assert card.weights == "random weights"
    assert (card.data.n_train, card.data.n_validation, card.data.n_real) == (24, 12, 12)
    assert card.data.simulated is False
    assert card.metrics["val_loss"] == pytest.approx(min(trained.history["val_loss"]))


def test_logits_of_the_training_are_those_of_the_network(trained):
    np.testing.assert_allclose(trained.logit(IMAGES), trained.logits, rtol=1e-4, atol=1e-5)
    assert np.ptp(trained.logits) > 0
    assert len(trained.logit(IMAGES[:0])) == 0


def test_saved_network_is_the_same_and_so_is_its_onnx_file(trained, tmp_path):
    saved = save_network(trained, tmp_path / "tiny.keras")
    loaded = load_trained(tmp_path / "tiny.keras")
    assert loaded.card == saved.card
    np.testing.assert_allclose(loaded.logit(IMAGES), trained.logits, rtol=1e-4, atol=1e-5)
    assert list(loaded.history["loss"]) == pytest.approx(list(trained.history["loss"]))
    found = run_onnx(tmp_path / "tiny.onnx", prepare(IMAGES, loaded.card.preparation))
    np.testing.assert_allclose(found["logit"], trained.logits, rtol=1e-4, atol=1e-5)
    card = json.loads((tmp_path / "tiny.card.json").read_text())
    assert card["method"]["training"]["epochs"] == 3
    with (tmp_path / "tiny.keras").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(UserError, match="not the file that tiny"):
        load_trained(tmp_path / "tiny.keras")
    with pytest.raises(UserError, match="missing"):
        load_trained(tmp_path / "other.keras")


def test_interrupted_training_ends_with_the_same_weights(trained, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(row):
        if row["epoch"] == 2:
            raise StoppedError

    method = preset("cnn_scratch", **TINY)
    with pytest.raises(StoppedError):
        train_network("tiny", IMAGES, SPLITS, method, tmp_path, watch=stop)
    seen = []
    again = train_network("tiny", IMAGES, SPLITS, method, tmp_path, watch=lambda row: seen.append(row["epoch"]))
    assert seen == [1, 2, 3]
    np.testing.assert_allclose(again.logits, trained.logits, rtol=1e-5, atol=1e-6)
    assert len(train_network("tiny", IMAGES, SPLITS, method, tmp_path).history) == 3


@pytest.mark.parametrize("fine_tuning", ["head", pytest.param("layer4", marks=pytest.mark.slow)])
def test_cached_features_are_the_same_mathematics(fine_tuning, simulated, tmp_path):
    changes = {
        "preparation": {"size": 32, "mask": "codes"},
        "fine_tuning": fine_tuning,
        "weights": "simulated",
        "augmentation": {"when": "ahead"},
        "training": {"epochs": 1, "batch_size": 16, "optimizer": {"learning_rate": 1e-3}},
    }
    images, splits = IMAGES[:20], SPLITS[[*range(8), *range(24, 32), *range(36, 40)]]
    method = preset("resnet18_transfer", **changes)
    trained = train_network("transfer", images, splits, method, tmp_path, simulated)
    assert "simulated frames" in trained.card.weights
    before = build_network(method.network, trained.card.preparation.shapes)
    old = {layer.name: layer.get_weights() for layer in load_simulated(simulated).layers}
    moved = {
        layer.name
        for layer in trained.network.layers
        if layer.weights
        and layer.name in old
        and layer.name != "head_raw"
        and any((one != other).any() for one, other in zip(layer.get_weights(), old[layer.name], strict=True))
    }
    frozen = ("conv1", "bn1", "layer1", "layer2", "layer3", *(["layer4"] if fine_tuning == "head" else []))
    assert not any(name.startswith(frozen) for name in moved)
    assert any(name.startswith("layer4") for name in moved) == (fine_tuning == "layer4")
    assert np.asarray(trained.network.get_layer("head_raw").kernel).any()
    assert before.count_params() == trained.network.count_params()
    # half precision of the features, and nothing else, lies between them
    np.testing.assert_allclose(trained.logit(images), trained.logits, rtol=2e-2, atol=2e-2)
    (features,) = (tmp_path / "features").glob("*.npy")
    assert np.load(features, mmap_mode="r").shape[:2] == (8, 20)


def load_simulated(path):
    import keras

    return keras.saving.load_model(path)


def test_layer4_and_head_have_their_own_learning_rates(simulated, tmp_path):
    from cherenkov_pipeline.alerts.training import _Training

    method = preset(
        "resnet18_transfer",
        preparation={"size": 32},
        training={"optimizer": {"name": "sgd", "learning_rate": 1e-2}, "backbone_learning_rate": 1e-4},
    )
    job = _Training("x", IMAGES, SPLITS, method, tmp_path, find_weights("simulated", simulated))
    network = build_network(method.network, {"image": (32, 32, 1), "scalars": (2,), BY_HAND: (19,)})
    factors = dict(zip([v.path for v in network.trainable_variables], job._factors(network), strict=True))
    # the head, and what those weights do not know
    begins = ("head_raw", BY_HAND)
    assert {factor for path, factor in factors.items() if path.startswith(begins)} == {1}
    others = [factor for path, factor in factors.items() if not path.startswith(begins)]
    assert others == pytest.approx([1e-2] * len(others))


def test_squared_error_is_of_the_probability(tmp_path):
    logit = np.array([[0.3], [-2.0], [5.0]])
    truth = np.array([[1.0], [0.0], [0.0]])
    expected = (1 / (1 + np.exp(-logit)) - truth)[:, 0] ** 2
    np.testing.assert_allclose(SquaredProbabilityError(reduction=None)(truth, logit), expected, rtol=1e-5)
    changes = {**TINY, "training": {**TINY["training"], "epochs": 1, "loss": "mse"}}
    trained = train_network("mse", IMAGES, SPLITS, preset("cnn_scratch", **changes), tmp_path)
    chosen = SPLITS == "validation"
    probability = 1 / (1 + np.exp(-trained.logits[chosen]))
    expected = np.mean((probability - np.asarray(IMAGES.table["is_real"])[chosen]) ** 2)
    assert trained.history["val_loss"][0] == pytest.approx(expected, rel=1e-4)


def test_one_class_alone_is_refused(tmp_path):
    splits = np.where(np.asarray(IMAGES.table["is_real"]) | (SPLITS != "train"), SPLITS, "test")
    with pytest.raises(UserError, match="no false alerts among the train images"):
        train_network("x", IMAGES, splits, preset("cnn_scratch", **TINY), tmp_path)
    with pytest.raises(UserError, match="no true sources among the validation images"):
        train_network("x", IMAGES, np.full(48, "train"), preset("cnn_scratch", **TINY), tmp_path)


def test_fingerprint_depends_on_images_and_labels():
    before = data_fingerprint(IMAGES)
    other = toy_images(48)
    assert data_fingerprint(other) == before
    other.table["is_real"][3] = not other.table["is_real"][3]
    assert data_fingerprint(other) != before
