"""The tutorial on a toy store."""

import importlib.util
from pathlib import Path

import numpy as np
from tests.toy_store import toy_store

from cherenkov_pipeline.models.saved import load_model

EXAMPLES = Path(__file__).parents[1] / "examples"
INPUTS = {"channels": ["cleaned_image"], "mapping": "square", "parameters": ["log_hillas_intensity"]}


def test_own_model_is_trained_and_its_backbone_gets_a_new_head(tmp_path):
    specification = importlib.util.spec_from_file_location("train_own_model", EXAMPLES / "train_own_model.py")
    tutorial = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tutorial)
    store = toy_store(tmp_path / "toy.store.h5", 160)
    energy, particle = tutorial.train_both(store, tmp_path / "models", epochs=2, inputs=INPUTS, filters=[3, 4])
    assert len(energy.history) == 2
    for trained in (energy, particle):
        loaded = load_model(tmp_path / "models" / f"{trained.card.task}.keras")
        assert loaded.fingerprint == trained.fingerprint
        assert (tmp_path / "models" / f"{trained.card.task}.onnx").exists()
    old, new = (trained.model.get_layer("backbone_convolution_1").get_weights() for trained in (energy, particle))
    np.testing.assert_array_equal(old[0], new[0])
    assert np.isfinite(particle.history["val_loss"]).all()
