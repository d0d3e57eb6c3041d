"""What all likelihoods share: their description, output layers with constants, the smooth factor of scales."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cherenkov_pipeline.models.backend import keras

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ops = keras.ops

N_KNOTS = 8
"""Places at which the factor of a predicted scale is held; linear in between, constant outside."""

TASK_LOSS = "task_loss"
"""Name of `TaskLoss` in the history."""

Constants = dict[str, np.ndarray]


@dataclass(frozen=True)
class Likelihood:
    """Output layer, loss, metrics and calibration of one likelihood.

    Attributes
    ----------
    n_raw, n_outputs : callable
        ``n_targets -> int``: numbers that the output layer reads, and columns that it gives.
    output_layer : callable
        ``(mean, deviation, name=...) -> OutputLayer``, mean and deviation of the training targets, one a target.
    loss : callable
        Makes the loss of ``y_true`` (n, n_targets) and ``y_pred`` (n, n_outputs).
    make_metrics : callable
        Makes what is recorded beside the loss.
    calibrate : callable
        ``(outputs, targets, weights) -> constants`` of the output layer, from arrays of validation events whose
        outputs an uncalibrated layer gave; weights (n,), how much an event counts.
    needs_frame : bool
        Whether the output layer is called with ``[raw, shower_frame]``; otherwise with ``raw``.
    takes_point : bool
        Whether the output layer may be called with ``[raw, point]``: a place that a backbone offers.
    own_loss : callable, optional
        ``(y_true, y_pred) -> (n,)``: loss of the task alone where it has auxiliary ones. Default: that of ``loss``.
    """

    n_raw: Callable[[int], int]
    n_outputs: Callable[[int], int]
    output_layer: Callable[..., "OutputLayer"]
    loss: Callable[[], keras.losses.Loss]
    make_metrics: Callable[[], Sequence[Any]]
    calibrate: Callable[[np.ndarray, np.ndarray, np.ndarray], Constants]
    needs_frame: bool = False
    takes_point: bool = False
    own_loss: Callable[[Any, Any], Any] | None = None

    @property
    def metrics(self) -> list[Any]:
        """New metrics for one compilation, which the weights of events do not count in."""
        return list(self.make_metrics())

    @property
    def task_loss(self) -> "TaskLoss":
        """New metric for one compilation, which they count in."""
        return TaskLoss(self.own_loss or self.loss().call)


class TaskLoss(keras.metrics.Mean):
    """Loss of a task alone: without its auxiliary tasks and without penalties of the weights.

    Parameters
    ----------
    loss : callable
        ``(y_true, y_pred) -> (n,)``.
    """

    def __init__(self, loss: Callable[[Any, Any], Any]):
        super().__init__(name=TASK_LOSS)
        self.loss = loss

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; a mean over events, as of a loss, and not over weights."""
        y_pred = ops.convert_to_tensor(y_pred)
        loss = self.loss(ops.cast(ops.convert_to_tensor(y_true), y_pred.dtype), y_pred)
        if sample_weight is not None:
            loss = loss * ops.cast(ops.reshape(sample_weight, (-1,)), loss.dtype)
        super().update_state(loss)


class OutputLayer(keras.layers.Layer, ABC):
    """Layer that turns raw numbers into a likelihood's outputs; its constants are weights that no training moves.

    They are saved with the model and can be set at any time with `set_constants`.

    Parameters
    ----------
    mean, deviation : sequence of float
        Of the training targets, one a target.
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], **kwargs: Any):
        # single precision also where the network computes in half precision
        super().__init__(**{"dtype": "float32", **kwargs})
        self.mean = [float(value) for value in mean]
        self.deviation = [float(value) for value in deviation]
        self._held: dict[str, Any] = {}
        for name, value in self.neutral().items():
            value = np.asarray(value, dtype=np.float32)
            self._held[name] = self.add_weight(
                shape=value.shape, initializer=_constant(value), trainable=False, name=name
            )

    @abstractmethod
    def neutral(self) -> Constants:
        """Constants before any calibration: each output layer has its own."""

    @property
    def constants(self) -> Constants:
        """Constants as they are now."""
        return {name: ops.convert_to_numpy(weight) for name, weight in self._held.items()}

    def set_constants(self, constants: Mapping[str, "ArrayLike"]) -> None:
        """Set some or all constants.

        Raises
        ------
        ValueError
            If there is no such constant or its shape is another.
        """
        for name, value in constants.items():
            if name not in self._held:
                raise ValueError(f"{self.name} holds {', '.join(self._held)}. Received: {name!r}")
            value, shape = np.asarray(value, dtype=np.float32), tuple(self._held[name].shape)
            if value.shape != shape:
                raise ValueError(f"{name} of {self.name} has the shape {shape}. Received: {value.shape}")
            self._held[name].assign(value)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "mean": self.mean, "deviation": self.deviation}


def _constant(value: np.ndarray) -> Callable[..., Any]:
    return lambda shape, dtype=None: ops.convert_to_tensor(value, dtype=dtype)


def neutral_factor(n: int) -> Constants:
    """Constants of `factor` that change nothing, for n predictors."""
    places = np.tile(np.arange(N_KNOTS, dtype=np.float32), (n, 1))
    return {"factor_places": places, "log_factors": np.zeros_like(places)}


def log_factor(predictor: Any, places: Any, log_factors: Any) -> Any:
    """Logarithm of the factor by which predicted scales are multiplied: linear between the places.

    Parameters
    ----------
    predictor : tensor
        (n, k).
    places, log_factors : tensor
        (k, `N_KNOTS`), places increasing.

    Returns
    -------
    tensor
        (n, k).
    """
    low, high = places[:, :-1], places[:, 1:]
    slope = (log_factors[:, 1:] - log_factors[:, :-1]) / (high - low)
    inside = ops.maximum(ops.minimum(ops.expand_dims(predictor, -1), high), low) - low
    return log_factors[:, 0] + ops.sum(inside * slope, axis=-1)


def log_scale(raw: Any, unit: Any, minimum: float) -> Any:
    """Logarithm of a scale from a raw number; no raw number makes it overflow or vanish."""
    return ops.log(unit * (ops.softplus(raw) + minimum))
