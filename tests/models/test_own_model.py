"""A user's own backbone stays what it is: built, saved and loaded, never exchanged for the default one."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from tests.toy_store import toy_camera

from cherenkov_pipeline.dl1.cameras import camera_fingerprint
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models import registry
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model
from cherenkov_pipeline.models.card import Camera, Data, ModelCard, Validity, now, software_versions
from cherenkov_pipeline.models.cost import model_cost
from cherenkov_pipeline.models.export import OUTPUT, export_onnx, run_onnx
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


@pytest.fixture
def card_of():
    def make(model, parameters) -> ModelCard:
        camera = toy_camera()
        return ModelCard(
            name="brightest_pixel",
            task="energy",
            model=parameters,
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

    return make


def test_own_backbone_comes_back_from_its_file(own, card_of, tmp_path):
    model = build_model(own, TASKS["energy"], SHAPES, Scales([0.4], [0.6]))
    save_model(TrainedModel(model, card_of(model, own), QTable({"epoch": [1]}), toy_camera()), tmp_path)
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
    np.testing.assert_allclose(run_onnx(path, events)[OUTPUT], model.predict_on_batch(events), rtol=1e-4, atol=1e-5)


OWN_LAYER = """
from pathlib import Path
import keras
Path(__file__).with_suffix(".run").touch()

@keras.saving.register_keras_serializable("test_own_model")
class Twice(keras.layers.Layer):
    def call(self, values):
        return 2 * values

def plain(inputs):
    return keras.layers.Dense(2, name="backbone_own")(keras.layers.Flatten(name="backbone_flat")(inputs["image"]))

def with_own_layer(inputs):
    return Twice(name="backbone_twice")(plain(inputs))
"""


@pytest.fixture
def save_and_forget(tmp_path, card_of):
    """Save a model of a file, and forget that the file was ever imported."""

    def save(function: str) -> Path:
        path = tmp_path / "own_layer.py"
        path.write_text(OWN_LAYER)
        model = build_model(ModelParameters(name=f"{path}:{function}"), TASKS["energy"], SHAPES, Scales([0.4], [0.6]))
        card = card_of(model, ModelParameters(name=f"{path}:{function}"))
        save_model(TrainedModel(model, card, QTable({"epoch": [1]}), toy_camera()), tmp_path)
        keras.saving.get_custom_objects().pop("test_own_model>Twice")
        registry._imported.cache_clear()
        sys.modules.pop("own_layer")
        path.with_suffix(".run").unlink()
        return path

    return save


def test_file_of_a_card_is_not_run_without_need(save_and_forget, tmp_path, caplog):
    path = save_and_forget("plain")
    assert load_model(tmp_path).card.model.name == f"{path}:plain"
    assert not path.with_suffix(".run").exists()
    assert not caplog.text


def test_file_that_is_run_for_its_layers_is_named(save_and_forget, tmp_path, caplog):
    path = save_and_forget("with_own_layer")
    assert "backbone_twice" in layers(load_model(tmp_path).model)
    assert path.with_suffix(".run").exists()
    assert f"{path}:with_own_layer is run" in caplog.text


def test_file_that_is_gone_is_named(save_and_forget, tmp_path):
    path = save_and_forget("with_own_layer")
    path.unlink()
    with pytest.raises(UserError, match=r"Cannot read .*own_layer\.py"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def backbone(inputs) return inputs", r"SyntaxError: .*my_broken_model\.py, line 1\)"),
        ("backbone = undefined", "NameError: name 'undefined' is not defined"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("open('absent.txt')", "FileNotFoundError: .*absent"),
    ],
)
def test_file_that_cannot_be_imported_is_one_line(tmp_path, text, reason):
    path = tmp_path / "my_broken_model.py"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"Cannot import .*my_broken_model\.py:backbone \({reason}") as caught:
        resolve(f"{path}:backbone", REGISTRY, {})
    assert "\n" not in str(caught.value)
    assert "my_broken_model" not in sys.modules


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
