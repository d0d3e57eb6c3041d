"""A user's own backbone stays what it is: built, saved and loaded, never exchanged for the default one."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from tests.toy_store import toy_camera

from cherenkov_pipeline.dl1.cameras import camera_fingerprint
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model
from cherenkov_pipeline.models.card import Camera, Data, ModelCard, Validity, now, software_versions
from cherenkov_pipeline.models.cost import model_cost
from cherenkov_pipeline.models.export import export_onnx, predict_onnx
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import REGISTRY, resolve
from cherenkov_pipeline.models.saved import TrainedModel, load_model, load_network, save_model
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


TEMPLATE = Path(__file__).parents[2] / "examples" / "own_model.py"


def test_template_is_built_from_its_file_and_comes_back(tmp_path, monkeypatch):
    copy = tmp_path / "my_model.py"
    copy.write_text(TEMPLATE.read_text())
    monkeypatch.chdir(tmp_path)
    parameters = ModelParameters(
        name="my_model.py:my_backbone",
        options={"filters": [3, 4], "units": 5},
        head={"name": f"{copy}:my_head", "options": {"units": 4}},
    )
    keras.utils.set_random_seed(0)
    model = build_model(parameters, TASKS["energy"], {**SHAPES, "parameters": (2,)}, Scales([0.4], [0.6]))
    assert model.get_layer("backbone_features").units == 5
    assert model.get_layer("backbone_joined").output.shape[-1] == 4 + 2
    assert {layer.name.partition("_")[0] for layer in model.layers} == {"image", "parameters", "backbone", "head"}

    rng = np.random.default_rng(0)
    events = {"image": rng.normal(size=(4, *SHAPES["image"])), "parameters": rng.normal(size=(4, 2))}
    model.compile("adam", "mse")
    model.fit(events, np.zeros((4, 2)), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    _, loaded = load_network(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(events), model.predict_on_batch(events))
    path = export_onnx(loaded, tmp_path / "model.onnx")
    np.testing.assert_allclose(predict_onnx(path, events), model.predict_on_batch(events), rtol=1e-4, atol=1e-5)


def test_changed_file_is_read_again(tmp_path):
    path = tmp_path / "growing.py"
    for number, width in enumerate((3, 4)):
        path.write_text(f"def backbone(inputs):\n    return {width}\n")
        os.utime(path, (number, number))
        assert resolve(f"{path}:backbone", REGISTRY, {})(None) == width


@pytest.mark.parametrize(
    ("name", "message"),
    [("{}/absent.py:backbone", "Cannot read"), ("{}/there.py:absent", "correct the name")],
)
def test_wrong_files_are_said(tmp_path, name, message):
    (tmp_path / "there.py").write_text("def backbone(inputs): ...")
    with pytest.raises(UserError, match=message):
        resolve(name.format(tmp_path), REGISTRY, {})
