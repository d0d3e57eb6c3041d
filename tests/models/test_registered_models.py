"""Every registered model: trains on two backends, is saved, loaded, exported, and predicts the same everywhere."""

import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.models import registered

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.export import OUTPUT, export_onnx, run_onnx
from cherenkov_pipeline.models.registry import REGISTRY, complete_input
from cherenkov_pipeline.models.saved import load_network

ROOT = Path(__file__).parents[2]
BY_GRADIENT = [name for name, entry in REGISTRY.items() if entry.trainer == "gradient"]
ELSEWHERE = ("set_network", "random_forest")
"""Networks and trees: what every run of the suite trains on another backend."""
TAKES_A_MINUTE = ("resnet", "stereo_set_network")
OTHERS = tuple(name for name in REGISTRY if name not in ELSEWHERE)

trained = cache(registered.trained)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in TAKES_A_MINUTE else name for name in BY_GRADIENT]
)
def test_model_trains_is_saved_and_exported(name, tmp_path):
    model, losses, inputs = trained(name)
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    expected = registered.predicted(model, inputs)
    assert expected.shape == (registered.N_EVENTS, 2)
    assert np.ptp(expected, axis=0).min() > 0

    model.save(tmp_path / "model.keras")
    _, loaded = load_network(tmp_path / "model.keras")
    np.testing.assert_array_equal(registered.predicted(loaded, inputs), expected)

    path = export_onnx(loaded, tmp_path / "model.onnx")
    np.testing.assert_allclose(run_onnx(path, inputs)[OUTPUT], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", ["type", "skydirection"])
def test_other_tasks_are_exported_as_well(task, tmp_path):
    model, losses, inputs = registered.trained("single_tel", task)
    assert np.isfinite(losses).all()
    path = export_onnx(model, tmp_path / "model.onnx")
    np.testing.assert_allclose(
        run_onnx(path, inputs)[OUTPUT], registered.predicted(model, inputs), rtol=1e-4, atol=1e-5
    )


@pytest.fixture(scope="module")
def other_backend(tmp_path_factory):
    """Give the folder of some models that another backend has trained, and what it says of them."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    # nobody waits for a better program of such small networks
    environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

    @cache
    def train(names: tuple[str, ...]) -> tuple[Path, dict]:
        folder = tmp_path_factory.mktemp("jax")
        command = [sys.executable, registered.__file__, str(folder), *names]
        options = {"env": environment, "cwd": ROOT, "capture_output": True, "text": True, "timeout": 300}
        done = subprocess.run(command, check=False, **options)
        assert done.returncode == 0, done.stderr[-3000:]
        return folder, json.loads(done.stdout.splitlines()[-1])

    return train


@pytest.mark.parametrize(
    ("name", "together"),
    [
        *((name, ELSEWHERE) for name in ELSEWHERE),
        *(pytest.param(name, OTHERS, marks=pytest.mark.slow) for name in OTHERS),
    ],
)
def test_model_of_another_backend(name, together, other_backend, tmp_path):
    folder, result = other_backend(together)
    assert result["backend"] == "jax"
    assert len(result["losses"][name]) == (2 if name in BY_GRADIENT else 1)
    assert np.isfinite(result["losses"][name]).all()
    expected = np.load(folder / f"{name}.npz")["outputs"]
    inputs, *_ = registered.sample(name)
    _, loaded = load_network(folder / f"{name}.keras")
    np.testing.assert_allclose(registered.predicted(loaded, inputs), expected, rtol=1e-3, atol=1e-4)
    path = export_onnx(loaded, tmp_path / "model.onnx")
    np.testing.assert_allclose(run_onnx(path, inputs)[OUTPUT], expected, rtol=1e-3, atol=1e-4)


def test_every_model_has_a_small_form():
    assert set(registered.SMALL) == set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_entries_say_what_they_need(name):
    entry = REGISTRY[name]
    assert complete_input(name).mode == entry.mode
    changed = complete_input(name, {"parameters": ["hillas_width"]})
    assert changed.parameters == ("hillas_width",)
    assert changed.channels == complete_input(name).channels
    assert entry.description.endswith((".", ")."))


def test_stereo_models_do_not_see_absent_telescopes():
    for name in ("cnn_rnn", "variable_input"):
        model, _, inputs = trained(name)
        garbage = {key: np.array(values) for key, values in inputs.items()}
        absent = inputs["telescopes"] == 0
        assert absent.any()
        garbage["image"][absent] = 1e3
        np.testing.assert_array_equal(registered.predicted(model, garbage), registered.predicted(model, inputs))
        present = {key: np.array(values) for key, values in inputs.items()}
        present["image"][~absent] += 1
        assert not np.allclose(registered.predicted(model, present), registered.predicted(model, inputs))


def test_order_of_telescopes_does_not_matter_by_intensity():
    model, _, inputs = trained("cnn_rnn")
    turned = {key: values[:, [2, 0, 1]] for key, values in inputs.items()}
    expected = registered.predicted(model, inputs)
    np.testing.assert_allclose(registered.predicted(model, turned), expected, rtol=1e-4, atol=1e-5)


def test_variable_input_as_maps(monkeypatch):
    options = {**registered.TINY, "array_filters": [4], "combination": "maps", "order": "given"}
    monkeypatch.setitem(registered.SMALL, "variable_input", {"options": options})
    model, losses, _ = registered.trained("variable_input")
    assert np.isfinite(losses).all()
    assert model.get_layer("backbone_array_1").input.shape[-1] == 4 * registered.N_TELESCOPES
    assert isinstance(model.get_layer("backbone_average"), keras.layers.GlobalAveragePooling2D)
