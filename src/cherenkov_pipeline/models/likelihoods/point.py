"""A direction from several telescopes: one point with an isotropic, heavy-tailed density.

The density falls off exponentially with the distance r from the point, p(x, y) = exp(-r / b) / (2 pi b^2), so that
68.27 % of it lie within `~cherenkov_pipeline.directions.POINT_RADIUS` b.
"""

import math
from typing import Any

import numpy as np

from cherenkov_pipeline.directions import POINT_RADIUS
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

COLUMNS = ("lon", "lat", "log_scale")
"""Outputs: the point [deg] and ln(b / deg)."""

MINIMUM_SCALE = 0.002
"""Smallest scale, in units of the targets' deviation."""


@keras.saving.register_keras_serializable(PACKAGE)
class PointOutput(OutputLayer):
    """Point and log-scale: raw numbers (n, 3) become `COLUMNS` (n, 3).

    Called with ``[raw, point]`` where the backbone offers a point (n, 2) in the targets' units: the raw numbers then
    correct it, in units of the predicted scale.

    Parameters
    ----------
    mean, deviation : sequence of float
        Of the training targets.

    Notes
    -----
    Constants: ``target_mean``, ``target_deviation`` (2,); ``factor_places``, ``log_factors`` (1, n_knots), factor of
    the scale as a function of the predicted log-scale.
    """

    def neutral(self) -> Constants:
        """Constants before any calibration."""
        return {
            "target_mean": np.array(self.mean),
            "target_deviation": np.array(self.deviation),
            **neutral_factor(1),
        }

    def call(self, inputs: Any) -> keras.KerasTensor:
        """Rescale."""
        raw, point = inputs if isinstance(inputs, list | tuple) else (inputs, None)
        deviation = ops.convert_to_tensor(self._held["target_deviation"])
        scale = log_scale(raw[:, 2:3], ops.mean(deviation), MINIMUM_SCALE)
        factor = log_factor(scale, *(ops.convert_to_tensor(self._held[name]) for name in neutral_factor(1)))
        if point is None:
            place = self._held["target_mean"] + deviation * raw[:, :2]
        else:
            place = ops.cast(point, scale.dtype) + ops.exp(scale) * raw[:, :2]
        return ops.concatenate([place, scale + factor], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the raw numbers' shape."""
        return tuple(input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape)

    @property
    def lowest_loss(self) -> float:
        """Smallest value that the loss of an event can have before calibration."""
        return 2 * math.log(np.mean(self.deviation) * MINIMUM_SCALE) + math.log(2 * math.pi)


@keras.saving.register_keras_serializable(PACKAGE)
class PointLikelihood(keras.losses.Loss):
    """Negative logarithm of the density; ``y_true`` is (n, 2), ``y_pred`` (n, 3)."""

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Loss of each event."""
        log_scale = y_pred[:, 2]
        return distance(y_true, y_pred) * ops.exp(-log_scale) + 2 * log_scale + math.log(2 * math.pi)


@keras.saving.register_keras_serializable(PACKAGE)
def distance(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
    """Distance between the true place and the point [deg]."""
    offset = ops.cast(y_true, y_pred.dtype) - y_pred[:, :2]
    return ops.sqrt(ops.sum(ops.square(offset), axis=-1) + 1e-12)  # its gradient is finite at the point


def calibrate(outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Constants:
    """Factors with which the radii hold 68.27 % of the sources, whatever the predicted scale; weights do not count."""
    outputs = np.asarray(outputs, dtype=float)
    scale = outputs[:, 2:3]
    found = np.hypot(*(targets - outputs[:, :2]).T)[:, np.newaxis]
    return scale_factor(scale, found / (POINT_RADIUS * np.exp(scale)))


def _count(n_targets: int) -> int:
    if n_targets != 2:
        raise ValueError(f"the likelihood point has two targets. Received: {n_targets}")
    return len(COLUMNS)


POINT = Likelihood(
    n_raw=_count,
    n_outputs=_count,
    output_layer=PointOutput,
    loss=PointLikelihood,
    make_metrics=lambda: (distance,),
    calibrate=calibrate,
    takes_point=True,
)
