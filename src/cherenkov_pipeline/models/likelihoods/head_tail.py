"""A direction from one image: a mixture of two points on the shower's axis, one on each side of its centre.

One telescope sees well how the image lies, and less well on which side of it the source is. The density of the
source's place is, in the frame of the shower (`cherenkov_pipeline.store.brightest`), a mixture of two Laplace
distributions along the axis times one across:

    p(x, y) = [P L(x; x_head, b_head) + (1 - P) L(x; x_tail, b_tail)] L(y; y_0, b_across),
    L(x; m, b) = exp(-|x - m| / b) / (2 b).

`cherenkov_pipeline.directions.head_tail_point` makes a point and its error of it.
"""

import math
from collections.abc import Sequence

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
from cherenkov_pipeline.models.likelihoods.calibration import scale_factor, smallest_factor, temperature

ops = keras.ops

COLUMNS = (
    "logit_head",
    "along_head",
    "log_scale_head",
    "along_tail",
    "log_scale_tail",
    "across",
    "log_scale_across",
    "centre_lon",
    "centre_lat",
    "cos_axis",
    "sin_axis",
)
"""Outputs: logit of P; x_head, ln b_head, x_tail, ln b_tail, y_0, ln b_across [deg]; the frame, passed through."""

N_RAW = 7
MINIMUM_SCALE = 0.01
"""Smallest scale [deg]: an eighth of DigiCam's pixels' radius."""


@keras.saving.register_keras_serializable(PACKAGE)
class HeadTailOutput(OutputLayer):
    """Parameters of the mixture: raw numbers (n, 7) and the shower's frame (n, 4) become `COLUMNS` (n, 11).

    An untrained network gives one degree on either side, with equal probabilities and scales of half a degree.

    Parameters
    ----------
    mean, deviation : sequence of float
        Of the targets in the camera; they mean nothing in the shower's frame and are not used.

    Notes
    -----
    Constants: ``temperature`` (1,) of the logit; ``factor_places``, ``log_factors`` (1, n_knots), factor of all
    scales as a function of the more probable side's distance from the centre: it grows with the distance of the
    shower, and with the energy that a shower needs to be seen from there.
    """

    def neutral(self) -> Constants:
        """Constants before any calibration."""
        return {"temperature": np.ones(1), **neutral_factor(1)}

    def call(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Turn raw numbers into places and scales."""
        raw, frame = inputs
        logit, head, scale_head, tail, scale_tail, across, scale_across = ops.split(raw, N_RAW, axis=-1)
        scales = log_scale(ops.concatenate([scale_head, scale_tail, scale_across], axis=-1), 0.7, MINIMUM_SCALE / 0.7)
        head, tail = 1.0 + head, tail - 1.0
        likely = ops.abs(ops.where(logit > 0, head, tail))
        scales = scales + log_factor(likely, *(ops.convert_to_tensor(self._held[name]) for name in neutral_factor(1)))
        return ops.concatenate(
            [
                logit / self._held["temperature"],
                head,
                scales[:, 0:1],
                tail,
                scales[:, 1:2],
                across,
                scales[:, 2:3],
                ops.cast(frame, scales.dtype),
            ],
            axis=-1,
        )

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Shape of the outputs."""
        return (input_shape[0][0], len(COLUMNS))

    lowest_loss = 2 * math.log(2 * MINIMUM_SCALE)


@keras.saving.register_keras_serializable(PACKAGE)
class HeadTailLikelihood(keras.losses.Loss):
    """Negative logarithm of the mixture's density.

    ``y_true`` is (n, 2): lon, lat [deg] in the telescope frame; ``y_pred`` is (n, 11), see `COLUMNS`.
    """

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Loss of each event."""
        x, y = _in_frame(y_true, y_pred)
        logit = y_pred[:, 0]
        head = _log_laplace(x, y_pred[:, 1], y_pred[:, 2]) - ops.softplus(-logit)
        tail = _log_laplace(x, y_pred[:, 3], y_pred[:, 4]) - ops.softplus(logit)
        return -ops.logaddexp(head, tail) - _log_laplace(y, y_pred[:, 5], y_pred[:, 6])


@keras.saving.register_keras_serializable(PACKAGE)
def separation(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
    """Distance between the true place and the more probable side's point [deg]."""
    x, y = _in_frame(y_true, y_pred)
    along = ops.where(y_pred[:, 0] > 0, y_pred[:, 1], y_pred[:, 3])
    return ops.sqrt(ops.square(x - along) + ops.square(y - y_pred[:, 5]) + 1e-12)


@keras.saving.register_keras_serializable(PACKAGE)
def right_side(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
    """Whether the source is nearer to the more probable side's point than to the other."""
    x, _ = _in_frame(y_true, y_pred)
    nearer = ops.abs(x - y_pred[:, 1]) < ops.abs(x - y_pred[:, 3])
    return ops.cast(ops.equal(nearer, y_pred[:, 0] > 0), y_pred.dtype)


def calibrate(outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Constants:
    """Temperature of the logit, then factors with which the predicted radii hold 68.27 % of the sources.

    The factors follow the prediction, so that the events' weights matter little to them and do not count.
    """
    from cherenkov_pipeline.directions import head_tail_point

    outputs = np.array(outputs, dtype=float)
    x, _ = _in_frame_numpy(targets, outputs)
    is_head = np.abs(x - outputs[:, 1]) < np.abs(x - outputs[:, 3])
    divisor = temperature(outputs[:, 0], is_head, weights)
    outputs[:, 0] /= divisor
    lon, lat, *_ = head_tail_point(outputs)
    distance = np.hypot(targets[:, 0] - lon, targets[:, 1] - lat)

    def is_held(factors: np.ndarray) -> np.ndarray:
        scaled = outputs.copy()
        scaled[:, [2, 4, 6]] += np.log(factors)[:, np.newaxis]
        return distance <= head_tail_point(scaled)[2]

    likely = np.abs(np.where(outputs[:, 0] > 0, outputs[:, 1], outputs[:, 3]))
    needed = smallest_factor(is_held, len(outputs))
    return {"temperature": np.array([divisor]), **scale_factor(likely[:, np.newaxis], needed[:, np.newaxis])}


def _in_frame(y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    y_true = ops.cast(y_true, y_pred.dtype)
    lon, lat = y_true[:, 0] - y_pred[:, 7], y_true[:, 1] - y_pred[:, 8]
    cosine, sine = y_pred[:, 9], y_pred[:, 10]
    return lon * cosine + lat * sine, lat * cosine - lon * sine


def _in_frame_numpy(targets: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lon, lat = targets[:, 0] - outputs[:, 7], targets[:, 1] - outputs[:, 8]
    return lon * outputs[:, 9] + lat * outputs[:, 10], lat * outputs[:, 9] - lon * outputs[:, 10]


def _log_laplace(x: keras.KerasTensor, place: keras.KerasTensor, log_scale: keras.KerasTensor) -> keras.KerasTensor:
    return -ops.abs(x - place) * ops.exp(-log_scale) - log_scale - math.log(2)


def _two(number: int):
    def count(n_targets: int) -> int:
        if n_targets != 2:
            raise ValueError(f"the likelihood head_tail has two targets. Received: {n_targets}")
        return number

    return count


HEAD_TAIL = Likelihood(
    n_raw=_two(N_RAW),
    n_outputs=_two(len(COLUMNS)),
    output_layer=HeadTailOutput,
    loss=HeadTailLikelihood,
    make_metrics=lambda: (separation, right_side),
    calibrate=calibrate,
    needs_frame=True,
)
