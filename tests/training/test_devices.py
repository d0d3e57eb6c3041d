import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.training.devices import WholeBatches, precision


class Odd(keras.utils.PyDataset):
    """Two batches, of five and of four events."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int):
        values = np.arange(5 - index, dtype=np.float32)
        return {"x": values}, values[:, np.newaxis], values + 1


def test_batches_are_filled_up_with_what_does_not_count():
    (inputs, targets, weights), whole = WholeBatches(Odd(), 4)[0], WholeBatches(Odd(), 4)[1]
    np.testing.assert_array_equal(inputs["x"], [0, 1, 2, 3, 4, 0, 1, 2])
    np.testing.assert_array_equal(targets[:, 0], inputs["x"])
    np.testing.assert_array_equal(weights[5:], 0)
    assert np.mean(weights) == pytest.approx(np.mean([1, 2, 3, 4, 5]))
    np.testing.assert_array_equal(whole[2], [1, 2, 3, 4])


def test_precision_is_that_of_the_layers_made_within():
    with precision("mixed_bfloat16"):
        inside = keras.layers.Dense(1)
    assert inside.compute_dtype == "bfloat16"
    assert keras.layers.Dense(1).compute_dtype == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_as_one(backend, optimizer, tmp_path):
    pytest.importorskip(backend)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "KERAS_BACKEND": backend}
    command = [sys.executable, str(Path(__file__).with_name("two_devices.py")), str(tmp_path), optimizer]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["backend"] == backend
    np.testing.assert_allclose(result["two"], result["one"], rtol=2e-3)
    np.testing.assert_allclose(result["resumed"], result["two"], rtol=1e-4)
    assert np.isfinite(result["alone"]).all()  # a batch of one event leaves no device without any
    assert result["n_devices"] == 2
    assert "There are 2 devices" in result["three"]
