import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.training.toy import PARAMETERS, ToyBatches, train_toy

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.training import callbacks
from cherenkov_pipeline.training.optimizers import make_optimizer
from cherenkov_pipeline.training.parameters import OptimizerParameters
from cherenkov_pipeline.training.trainer import train


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, train_toy(folder)


def assert_same(first, second):
    assert list(first.history["epoch"]) == list(second.history["epoch"])
    for name in set(first.history.colnames) - {"seconds"}:
        np.testing.assert_allclose(first.history[name], second.history[name], rtol=1e-4, err_msg=name)
    for one, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def remembering(init, made):
    def remember(self, *args, **kwargs):
        init(self, *args, **kwargs)
        made.append(self)

    return remember


def test_history_has_every_epoch_once(undisturbed):
    _, result = undisturbed
    assert list(result.history["epoch"]) == list(range(1, PARAMETERS["epochs"] + 1))
    assert {"loss", "val_loss", "absolute_error", "learning_rate", "seconds"} <= set(result.history.colnames)
    assert result.history["learning_rate"][-1] < result.history["learning_rate"][0]


def test_weights_are_those_of_the_best_epoch(undisturbed):
    _, result = undisturbed
    batches = ToyBatches(10, seed=2, shuffle=False)
    outputs = result.model.predict_on_batch({"image": batches.images})
    error = np.abs(outputs[:, :1] - batches.targets).mean()
    assert error == pytest.approx(result.history["val_absolute_error"][result.best_epoch - 1], rel=1e-4)
    assert result.best_epoch == 1 + np.argmin(result.history["val_loss"])


def test_sigkill_at_any_moment_changes_nothing(undisturbed, tmp_path):
    """A real process, killed while it trains; what it left behind is gone on with here."""
    command = [sys.executable, str(Path(__file__).with_name("toy.py")), str(tmp_path), "0.3"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("epoch_0002")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)  # in the middle of the third epoch
        os.kill(process.pid, signal.SIGKILL)
    states = sorted(path.name for path in tmp_path.glob("epoch_*"))
    assert states
    assert f"epoch_{PARAMETERS['epochs']:04d}" not in states
    assert_same(train_toy(tmp_path), undisturbed[1])


@pytest.mark.slow
def test_error_between_epochs_changes_nothing(undisturbed, tmp_path, monkeypatch):
    write = callbacks.write_state

    def write_and_stop(state, folder):
        write(state, folder)
        if state.epoch == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(callbacks, "write_state", write_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train_toy(tmp_path, run="interrupted")
    result = train_toy(tmp_path, run="later")
    assert_same(result, undisturbed[1])
    assert result.origin == {"run": "interrupted"}


def test_finished_training_is_not_done_again(undisturbed, monkeypatch):
    folder, result = undisturbed
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    assert_same(train_toy(folder), result)


def test_early_stopping_is_a_finished_training(tmp_path, monkeypatch):
    options = {"epochs": 20, "early_stopping_patience": 1, "optimizer": {"learning_rate": 1e-9, "clip_norm": None}}
    stopped = train_toy(tmp_path, **options)
    assert len(stopped.history) < 20
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    assert_same(train_toy(tmp_path, **options), stopped)


def test_every_event_is_seen_once_an_epoch_in_the_order_of_the_epoch(tmp_path, monkeypatch):
    batches = []
    monkeypatch.setattr(ToyBatches, "__init__", remembering(ToyBatches.__init__, batches))
    train_toy(tmp_path, epochs=2)
    for epoch in range(2):
        # the first batches are read once more by Keras, which wants to know their shapes
        rows = np.concatenate([rows for seen, rows in batches[0].seen if seen == epoch][-5:])
        assert sorted(rows) == list(range(72))
        np.testing.assert_array_equal(rows, np.random.default_rng([1, epoch]).permutation(72))


def test_start_anew_when_asked(tmp_path, monkeypatch):
    fits = []
    fit = keras.Model.fit

    def counted(*args, **kwargs):
        fits.append(kwargs["initial_epoch"])
        return fit(*args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", counted)
    origins = []
    for run, resume in (("a", True), ("b", True), ("c", False)):
        result = train_toy(tmp_path, epochs=1, resume=resume, run=run)
        assert list(result.history["epoch"]) == [1]
        origins.append(result.origin["run"])
    assert fits == [0, 0]
    assert origins == ["a", "a", "c"]


@pytest.mark.parametrize("empty", ["training", "validation"])
def test_nothing_to_learn_from_is_an_error_before_anything_starts(tmp_path, empty):
    batches = {"training": ToyBatches(8, seed=1), "validation": ToyBatches(8, seed=2), empty: ToyBatches(0, seed=3)}

    def build():
        pytest.fail("a model was built")

    with pytest.raises(UserError, match=empty):
        train(build, None, batches["training"], batches["validation"], None, tmp_path, n_events=8, origin={})


def test_loss_that_is_no_number_stops_the_training(tmp_path):
    with pytest.raises(UserError, match="not a number"):
        train_toy(tmp_path, optimizer={"learning_rate": 1.0, "clip_norm": None, "name": "adam"}, broken=True)


def test_optimizer_follows_its_parameters():
    optimizer = make_optimizer(OptimizerParameters(name="adamw", weight_decay=0.01, clip_norm=2.0))
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.01, 2.0)
    assert make_optimizer(OptimizerParameters(name="adam")).weight_decay is None
