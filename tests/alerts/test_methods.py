import numpy as np
import pytest
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.anomaly import reconstruction_error
from cherenkov_pipeline.alerts.autoencoder import train_autoencoder
from cherenkov_pipeline.alerts.methods import train_method
from cherenkov_pipeline.alerts.parameters import preset
from cherenkov_pipeline.alerts.preparation import prepare
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.export import run_onnx

IMAGES = toy_images(120)
SPLITS = np.array(["train"] * 60 + ["validation"] * 30 + ["test"] * 30)
CHANGES = {
    "cnn_scratch_mask": {
        "network": {"options": {"filters": [4]}},
        "preparation": {"size": 16},
        "training": {"epochs": 1},
    },
    "autoencoder": {
        "network": {"filters": [4, 4], "latent": 4},
        "preparation": {"size": 16},
        "training": {"epochs": 2},
    },
    "isolation_forest": {"forest": {"n_trees": 30}},
    "random_forest": {"forest": {"n_trees_classification": 20}},
    "random_forest_snr": {"forest": {"n_trees_classification": 20}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_method_is_trained_and_asked_alike(name, tmp_path):
    trained = train_method(name, IMAGES, SPLITS, preset(name, **CHANGES[name]), tmp_path)
    assert trained.logits.shape == (120,)
    assert np.isfinite(trained.logits).all()
    np.testing.assert_allclose(trained.logit(IMAGES[80:]), trained.logits[80:], rtol=1e-4, atol=1e-5)
    assert trained.seconds > 0
    assert (trained.history is None) == ("forest" in name)
    if name in ("random_forest", "isolation_forest"):
        right = (trained.logits > 0) == np.asarray(IMAGES.table["is_real"])
        assert right[SPLITS == "test"].mean() > 0.8


def test_forest_learns_from_frames_of_other_masks_too(tmp_path):
    pretraining = Pretraining(AlertSimulationParameters(), tmp_path)
    few = np.array(["test"] * 100 + ["validation"] * 16 + ["train"] * 4)
    method = preset("random_forest_frames", frames={"n_images": 200}, **CHANGES["random_forest"])
    trained = train_method("x", IMAGES, few, method, tmp_path, pretraining)
    alone = train_method("x", IMAGES, few, preset("random_forest", **CHANGES["random_forest"]), tmp_path, pretraining)
    frames = pretraining.images(method.frames)
    assert set(frames.table["mask_pattern"]) <= set(method.frames.mask_patterns)
    right = {
        name: ((one.logit(frames) > 0) == np.asarray(frames.table["is_real"])).mean()
        for name, one in (("frames", trained), ("alone", alone))
    }
    assert right["frames"] > 0.98 > 0.9 > right["alone"]


def test_anomalies_are_told_from_what_is_usual_not_by_the_test_labels(tmp_path):
    method = preset("isolation_forest")
    first = train_method("x", IMAGES, SPLITS, method, tmp_path)
    other = toy_images(120)
    tested = np.flatnonzero(SPLITS == "test")
    other.table["is_real"][tested] = ~np.asarray(other.table["is_real"])[tested]
    np.testing.assert_array_equal(train_method("x", other, SPLITS, method, tmp_path).logits, first.logits)


def test_exported_autoencoder_scores_the_same(tmp_path):
    method = preset("autoencoder", **CHANGES["autoencoder"])
    trained = train_autoencoder(IMAGES, SPLITS, method, tmp_path)
    assert trained.history["loss"][-1] < trained.history["loss"][0]
    inputs = prepare(IMAGES, trained.preparation)
    found = run_onnx(trained.export(tmp_path / "autoencoder.onnx"), inputs)["reconstruction"]
    expected = reconstruction_error(IMAGES, inputs["image"], found)
    np.testing.assert_allclose(trained.score(IMAGES), expected, rtol=1e-4)
    with pytest.raises(UserError, match="signal to noise alone"):
        train_autoencoder(IMAGES, SPLITS, preset("autoencoder", preparation={"mask": "codes"}), tmp_path)
