"""A user's own backbone stays what it is: built, saved and loaded, never exchanged for the default one."""

import numpy as np
import pytest
from astropy.table import QTable
from tests.toy_store import toy_camera

from cherenkov_pipeline.dl1.cameras import camera_fingerprint
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model
from cherenkov_pipeline.models.card import Camera, Data, ModelCard, Validity, now, software_versions
from cherenkov_pipeline.models.cost import model_cost
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel, load_model, save_model
from cherenkov_pipeline.tasks import TASKS

PATH = f"{__name__}:brightest_pixel"
SHAPES = {"image": (16, 16, 2)}


def brightest_pixel(inputs, width: int = 3):
    """Backbone with a layer that no other has."""
    brightest = keras.layers.GlobalMaxPooling2D(name="backbone_brightest")(inputs["image"])
    return keras.layers.Dense(width, name="backbone_own")(brightest)


@pytest.fixture
def own():
    return ModelParameters(name=PATH, options={"width": 5}, head={"options": {"units": [4]}})


def layers(model) -> set[str]:
    return {layer.name for layer in model.layers}


def test_own_backbone_is_built_and_no_other(own):
    model = build_model(own, TASKS["energy"], SHAPES, Scales([0.4], [0.6]))
    default = build_model(ModelParameters(), TASKS["energy"], SHAPES, Scales([0.4], [0.6]))

    assert {"backbone_brightest", "backbone_own"} <= layers(model)
    assert not {name for name in layers(model) if "conv" in name}
    assert any("conv" in name for name in layers(default))
    assert model.get_layer("backbone_own").units == 5


def test_own_backbone_comes_back_from_its_file(own, tmp_path):
    camera = toy_camera()
    model = build_model(own, TASKS["energy"], SHAPES, Scales([0.4], [0.6]))
    card = ModelCard(
        name="brightest_pixel",
        task="energy",
        model=own,
        inputs={},
        camera=Camera(
            telescope_type="TOY", name="ToyCam", n_pixels=camera.n_pixels, fingerprint=camera_fingerprint(camera)
        ),
        data=Data(fingerprint="abc", n_train=10, n_validation=2, split={"train": 0.7}),
        validity=Validity(particles=("gamma",), energy=(1, 100), zenith=None),
        training={},
        metrics={},
        cost=model_cost(model),
        versions=software_versions(),
        created=now(),
    )
    save_model(TrainedModel(model, card, QTable({"epoch": [1]}), camera), tmp_path)
    loaded = load_model(tmp_path)

    assert loaded.card.model.name == PATH
    assert loaded.card.model.options == {"width": 5}
    assert layers(loaded.model) == layers(model)
    images = np.random.default_rng(0).exponential(1, (3, 16, 16, 2))
    np.testing.assert_array_equal(
        loaded.model.predict_on_batch({"image": images}), model.predict_on_batch({"image": images})
    )
