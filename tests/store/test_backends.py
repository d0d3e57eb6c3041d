"""The same batches, layers and numbers with TensorFlow, JAX and torch."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.store import other_backend
from tests.store.toy_store import build

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def store(gamma_file, tmp_path_factory):
    return build(tmp_path_factory.mktemp("store"), gamma_file)[0]


@pytest.fixture(scope="module")
def here(store) -> dict:
    return other_backend.main([str(path) for path in store.paths])


def run(backend: str, paths: list[str]) -> dict:
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, other_backend.__file__, *paths]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


# on TensorFlow runs the suite itself, on JAX a training of it (tests/models/test_registered_models.py)
@pytest.mark.parametrize(
    "backend",
    ["torch", pytest.param("jax", marks=pytest.mark.slow), pytest.param("tensorflow", marks=pytest.mark.slow)],
)
def test_other_backends_see_the_same_and_compute_the_same(store, here, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    there = run(backend, [str(path) for path in store.paths])
    assert there["backend"] == backend
    for one, other in zip(here["sums"], there["sums"], strict=True):
        assert one == pytest.approx(other, rel=1e-6)
    np.testing.assert_allclose(here["predictions"], there["predictions"], rtol=1e-3, atol=1e-5)
    assert here["loss"] == pytest.approx(there["loss"], rel=2e-2)
