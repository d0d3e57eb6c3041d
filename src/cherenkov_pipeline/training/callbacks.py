"""Keras callbacks of the trainer: history and state of every epoch, progress."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras, release_memory
from cherenkov_pipeline.training.state import State, write_state

logger = logging.getLogger(__name__)

type Watch = Callable[[Mapping[str, float]], None]
"""Is told of every finished epoch, by its row of the history; may raise to stop the training, which can go on later."""

REMEMBERED = {
    "early_stopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "plateau": ("wait", "best", "cooldown_counter"),
}
"""Attributes that make up the state of Keras' callbacks, which their own ``on_train_begin`` resets."""


class StateKeeper(keras.callbacks.Callback):
    """Write the state of the training after every epoch, and go on from one.

    Must be the last callback: the states of the others are those at the end of the epoch.

    Parameters
    ----------
    folder : Path
    training : keras.utils.PyDataset
        With a method ``set_epoch``, which decides the order of the events.
    remembered : mapping
        Name in `REMEMBERED` -> callback; ``early_stopping`` must be among them.
    epochs : int
        After so many the training is finished.
    start : State or None
        State to go on from.
    watch : callable, optional
        See `Watch`; called when the state is written, and first for the epochs before ``start``.
    """

    def __init__(
        self,
        folder: Path,
        training: keras.utils.PyDataset,
        remembered: Mapping[str, keras.callbacks.Callback],
        epochs: int,
        start: State | None,
        watch: Watch | None = None,
    ):
        super().__init__()
        self.watch = watch
        self.folder = folder
        self.training = training
        self.remembered = remembered
        self.epochs = epochs
        self.start = start
        self.history: list[dict[str, float]] = list(start.history) if start else []
        self._began = 0.0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Give the callbacks the states that they had."""
        release_memory()  # what an earlier training of this process had
        if self.start is None:
            return
        for name, callback in self.remembered.items():
            for attribute, value in self.start.callbacks[name].items():
                setattr(callback, attribute, value)
        self.remembered["early_stopping"].best_weights = list(self.start.best)
        if self.watch:
            for row in self.history:
                self.watch(row)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Set the order of the events."""
        self.training.set_epoch(epoch)
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record the epoch, then write the state.

        Raises
        ------
        UserError
            If the loss is not a number.
        """
        values = {name: float(value) for name, value in (logs or {}).items()}
        if not (math.isfinite(values["loss"]) and math.isfinite(values["val_loss"])):
            raise UserError(
                f"The loss of epoch {epoch + 1} is not a number: lower the learning rate or clip the gradient; "
                f"the state before it is kept in {self.folder}."
            )
        values.setdefault("learning_rate", float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))
        self.history.append({"epoch": epoch + 1, **values, "seconds": time.perf_counter() - self._began})
        states = {
            name: {attribute: getattr(callback, attribute) for attribute in REMEMBERED[name]}
            for name, callback in self.remembered.items()
        }
        write_state(
            State(
                epoch=epoch + 1,
                finished=self.model.stop_training or epoch + 1 == self.epochs,
                variables=[keras.ops.convert_to_numpy(variable) for variable in all_variables(self.model)],
                best=self.remembered["early_stopping"].best_weights,
                callbacks=states,
                history=self.history,
            ),
            self.folder,
        )
        release_memory()
        if self.watch:
            self.watch(self.history[-1])


class Progress(keras.callbacks.Callback):
    """A bar with rate and time left on a terminal; one line an epoch in the log.

    Parameters
    ----------
    n_events : int
        In an epoch.
    batch_size : int
    epochs : int
    start : int
        Epochs done before.
    """

    def __init__(self, n_events: int, batch_size: int, epochs: int, start: int):
        super().__init__()
        self.n_events, self.batch_size, self.epochs, self.start = n_events, batch_size, epochs, start
        self._bar: tqdm | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Open the bar; without a terminal there is none."""
        left = self.n_events * (self.epochs - self.start)
        self._bar = tqdm(total=left, desc="training", unit="events", unit_scale=True, dynamic_ncols=True, disable=None)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Advance."""
        self._bar.update(min(self.batch_size, self.n_events - batch * self.batch_size))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log the epoch."""
        values = {name: f"{value:.4g}" for name, value in (logs or {}).items()}
        self._bar.set_postfix(epoch=f"{epoch + 1}/{self.epochs}", val_loss=values["val_loss"], refresh=False)
        logger.info("Epoch %d/%d: %s", epoch + 1, self.epochs, ", ".join(f"{k} {v}" for k, v in values.items()))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Close the bar."""
        self._bar.close()


def all_variables(model: keras.Model) -> Sequence[keras.Variable]:
    """Every variable of a compiled network and its optimizer, in a fixed order."""
    return [*model.variables, *model.optimizer.variables]
