"""A training that is killed and gone on with ends as if nothing had happened, whatever its options."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.training.toy_showers import shower_store

from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
from cherenkov_pipeline.training.task import train_task

EPOCHS = 5
MODEL = ModelParameters(
    name="single_tel",
    options={"filters": [4], "pooling": "average", "batch_normalization": True},
    head={"options": {"units": [8], "dropout": 0.2}},
)
INPUTS = input_parameters(MODEL, {"mapping": "square"})
COMMON = {"epochs": EPOCHS, "batch_size": 16, "deterministic": True, "early_stopping_patience": None}
OPTIONS = {
    "cosine": {
        "schedule": {"name": "cosine", "warmup_epochs": 1.5},
        "optimizer": {"name": "muon", "learning_rate": 0.01},
        "fraction": 0.6,
        "augmentation": {"mirror": True, "rotation": True, "night_sky": 2},
        "weights": {"classes": "balanced", "spectra": {"gamma": {"target": -2.5, "simulated": -1}}},
    },
    "steps": {
        "schedule": {"name": "steps", "epochs": [1.5, 3]},
        "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "learning_rate": 0.01},
    },
    "plateau": {
        "schedule": {"name": "plateau", "patience": 1, "min_delta": 0.5},
        "optimizer": {"name": "rmsprop", "momentum": 0.5},
    },
    "plateau in mixed precision": {
        "precision": "mixed_float16",
        "schedule": {"name": "plateau", "patience": 1, "min_delta": 0.5},
        "optimizer": {"learning_rate": 0.01},
    },
}
QUICK = ("cosine",)
"""It has most of all that a state holds."""


def train(folder: Path, options: str, watch=None):
    store = shower_store(folder / "toy.store.h5", 120)
    training = TrainingParameters(**COMMON | OPTIONS[options])
    return train_task(store, "energy+type+skydirection", MODEL, INPUTS, training, folder / "states", watch=watch)


def assert_same(first, second):
    assert list(first.history["epoch"]) == list(second.history["epoch"]) == list(range(1, EPOCHS + 1))
    for name in set(first.history.colnames) - {"seconds"}:
        np.testing.assert_allclose(first.history[name], second.history[name], rtol=1e-4, atol=1e-7, err_msg=name)
    for one, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "options", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in OPTIONS]
)
def test_a_stop_after_any_epoch_changes_nothing(options, tmp_path):
    last = random.Random(options).randrange(1, EPOCHS)

    def leave(row):
        """Keep what a training would leave behind that ended here."""
        if row["epoch"] == last:
            shutil.copytree(tmp_path / "undisturbed" / "states", tmp_path / "stopped" / "states")

    undisturbed = train(tmp_path / "undisturbed", options, watch=leave)
    seen = []
    resumed = train(tmp_path / "stopped", options, watch=lambda row: seen.append(row["epoch"]))
    assert_same(resumed, undisturbed)
    assert seen == list(range(1, EPOCHS + 1))  # those before come first
    took, taken = (np.asarray(one.history["seconds"]) for one in (undisturbed, resumed))
    assert list(took == taken) == [epoch <= last for epoch in range(1, EPOCHS + 1)]  # and are not trained again


@pytest.mark.slow
def test_sigkill_at_a_random_moment_changes_nothing(tmp_path):
    """A real process, killed for real while it trains with everything that changes from epoch to epoch."""
    undisturbed = train(tmp_path / "undisturbed", "cosine")
    folder = tmp_path / "killed"
    epoch = random.randrange(1, EPOCHS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, __file__, str(folder)], env=environment) as process:
        deadline = time.monotonic() + 200
        while not list(folder.glob(f"states/*/epoch_{epoch:04d}")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.5))
        os.kill(process.pid, signal.SIGKILL)
    states = sorted(path.name for path in folder.glob("states/*/epoch_*"))
    assert states
    assert f"epoch_{EPOCHS:04d}" not in states
    assert_same(train(folder, "cosine"), undisturbed)


if __name__ == "__main__":
    # slow enough to be killed in the middle
    train(Path(sys.argv[1]), "cosine", watch=lambda row: time.sleep(1))
