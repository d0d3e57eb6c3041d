"""Normal likelihood of independent targets: k means and k logarithms of scales."""

import math

import numpy as np

from cherenkov_pipeline.models.backend import PACKAGE, keras
from cherenkov_pipeline.models.likelihoods.base import (
    Constants,
    Likelihood,
    OutputLayer,
    log_factor,
    log_scale,
    neutral_factor,
)
from cherenkov_pipeline.models.likelihoods.calibration import scale_factor

ops = keras.ops

MINIMUM_SCALE = 0.05
"""Smallest predicted scale, in units of the targets' deviation.

Keeps the likelihood bounded: with a smaller one, a single outlier decides the validation loss. For log10(E/TeV) over
two decades it means an error of 6 %, which no Cherenkov telescope reaches.
"""


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianOutput(OutputLayer):
    """Mean and logarithm of the scale of a normal distribution, in the target's units.

    Parameters
    ----------
    mean, deviation : sequence of float
        Of the training targets, one a target.

    Notes
    -----
    (n, 2k) raw numbers become (n, 2k): k means, k log-scales. The scale passes through a softplus with a floor
    (`MINIMUM_SCALE`), then through a factor that depends on the predicted mean (`base.log_factor`). Constants:
    ``target_mean``, ``target_deviation`` (k,), ``factor_places``, ``log_factors`` (k, n_knots).
    """

    def neutral(self) -> Constants:
        """Constants before any calibration."""
        return {
            "target_mean": np.array(self.mean),
            "target_deviation": np.array(self.deviation),
            **neutral_factor(len(self.mean)),
        }

    def call(self, raw: keras.KerasTensor) -> keras.KerasTensor:
        """Rescale."""
        location, scale = ops.split(raw, 2, axis=-1)
        deviation = ops.convert_to_tensor(self._held["target_deviation"])
        mean = self._held["target_mean"] + deviation * location
        factor = log_factor(mean, *(ops.convert_to_tensor(self._held[name]) for name in neutral_factor(1)))
        return ops.concatenate([mean, log_scale(scale, deviation, MINIMUM_SCALE) + factor], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return input_shape

    @property
    def lowest_loss(self) -> float:
        """Smallest value that the loss of an event can have before calibration."""
        return sum(math.log(value * MINIMUM_SCALE) for value in self.deviation) + _log_norm(len(self.deviation))


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianLikelihood(keras.losses.Loss):
    """Negative logarithm of the normal likelihood, summed over the targets.

    ``y_true`` is (n, k); ``y_pred`` is (n, 2k) as `GaussianOutput` gives it.
    """

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Loss of each event."""
        mean, log_scale = ops.split(y_pred, 2, axis=-1)
        pull = (ops.cast(y_true, y_pred.dtype) - mean) * ops.exp(-log_scale)
        return ops.sum(0.5 * ops.square(pull) + log_scale + _log_norm(1), axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
def absolute_error(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
    """Mean absolute error of the predicted means, in the target's units."""
    mean = y_pred[..., : y_true.shape[-1]]
    return ops.mean(ops.abs(ops.cast(y_true, y_pred.dtype) - mean), axis=-1)


def calibrate(outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Constants:
    """Make the intervals mean +- scale hold 68.27 % at all predicted means and all targets; weights do not count."""
    mean, scale = np.split(np.asarray(outputs, dtype=float), 2, axis=1)
    return scale_factor(mean, np.abs(targets - mean) * np.exp(-scale), targets)


def _log_norm(k: int) -> float:
    return 0.5 * k * math.log(2 * math.pi)


GAUSSIAN = Likelihood(
    n_raw=lambda k: 2 * k,
    n_outputs=lambda k: 2 * k,
    output_layer=GaussianOutput,
    loss=GaussianLikelihood,
    make_metrics=lambda: (absolute_error,),
    calibrate=calibrate,
)
