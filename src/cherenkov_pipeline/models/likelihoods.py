"""What a network's outputs mean: output layer, loss and metrics of each likelihood, in ``keras.ops`` alone.

The output layer holds mean and deviation of the training targets, so that the layers before it work with numbers of
order one and the saved model speaks the target's units.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cherenkov_pipeline.models.backend import keras

ops = keras.ops

PACKAGE = "cherenkov_pipeline"
MINIMUM_SCALE = 0.05
"""Smallest predicted scale, in units of the targets' deviation.

Keeps the likelihood bounded: with a smaller one, a single outlier decides the validation loss. For log10(E/TeV) over
two decades it means an error of 6 %, which no Cherenkov telescope reaches.
"""


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianOutput(keras.layers.Layer):
    """Mean and logarithm of the scale of a normal distribution, in the target's units.

    Parameters
    ----------
    mean, deviation : sequence of float
        Of the training targets, one a target.

    Notes
    -----
    (n, 2k) raw numbers become (n, 2k): k means, k log-scales. The scale passes through a softplus with a floor
    (`MINIMUM_SCALE`): no raw number makes it overflow or vanish.
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], **kwargs: Any):
        # single precision also where the network computes in half precision
        super().__init__(**{"dtype": "float32", **kwargs})
        self.mean = [float(value) for value in mean]
        self.deviation = [float(value) for value in deviation]

    def call(self, raw: keras.KerasTensor) -> keras.KerasTensor:
        """Rescale."""
        location, scale = ops.split(raw, 2, axis=-1)
        mean = ops.convert_to_tensor(self.mean, dtype=self.compute_dtype)
        deviation = ops.convert_to_tensor(self.deviation, dtype=self.compute_dtype)
        log_scale = ops.log(deviation * (ops.softplus(scale) + MINIMUM_SCALE))
        return ops.concatenate([mean + deviation * location, log_scale], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "mean": self.mean, "deviation": self.deviation}


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianLikelihood(keras.losses.Loss):
    """Negative logarithm of the normal likelihood, summed over the targets.

    ``y_true`` is (n, k); ``y_pred`` is (n, 2k) as `GaussianOutput` gives it.
    """

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Loss of each event."""
        mean, log_scale = ops.split(y_pred, 2, axis=-1)
        pull = (ops.cast(y_true, y_pred.dtype) - mean) * ops.exp(-log_scale)
        return ops.sum(0.5 * ops.square(pull) + log_scale + 0.5 * math.log(2 * math.pi), axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
def absolute_error(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
    """Mean absolute error of the predicted means, in the target's units."""
    mean = y_pred[..., : y_true.shape[-1]]
    return ops.mean(ops.abs(ops.cast(y_true, y_pred.dtype) - mean), axis=-1)


@dataclass(frozen=True)
class Likelihood:
    """Output layer, loss and metrics of one likelihood.

    Attributes
    ----------
    outputs_per_target : int
    output_layer : callable
        ``(mean, deviation, name) -> layer`` that turns raw numbers into the outputs.
    loss : callable
        Makes the loss.
    metrics : sequence of callable
        Functions ``(y_true, y_pred) -> values``, recorded beside the loss.
    """

    outputs_per_target: int
    output_layer: Callable[..., keras.layers.Layer]
    loss: Callable[[], keras.losses.Loss]
    metrics: Sequence[Callable[..., keras.KerasTensor]] = ()


LIKELIHOODS: dict[str, Likelihood] = {
    "gaussian": Likelihood(2, GaussianOutput, GaussianLikelihood, (absolute_error,)),
}
