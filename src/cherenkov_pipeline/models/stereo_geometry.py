"""Layers with the geometry of a shower that several telescopes see.

All directions are in the telescope frame [deg], all telescopes point the same way; positions are those of
`cherenkov_pipeline.store.stereo.pointing_positions`, in units of 100 m and along the same axes. A shower from the
direction d, with its core at x, has the maximum of its light at the distance H from the telescopes; the telescope at r
then sees the centre of its image at ::

    c = d + (x - r) / H

with H in units of 100 m / deg: the images lie on lines through d (Hofmann et al. 1999, astro-ph/9904234, algorithm 1),
and two telescopes see the maximum under a parallax, c1 - c2 = (r2 - r1) / H, wherever the shower comes from.

The layers are written in keras.ops. A telescope that is absent (``telescopes`` 0) counts nothing; what is said about a
single telescope is 0 where there is nothing to compare it with.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cherenkov_pipeline.models.backend import PACKAGE, keras

ops = keras.ops

PAIR = (
    "along",
    "across",
    "higher",
    "image_along",
    "image_across",
    "cosine",
    "sine",
    "side",
    "crossing",
    "log_distance",
)
"""Of another telescope, seen from one: place relative to it along and across its image's axis, and above it [100 m];
the same of the centre of the other image [deg]; the angle between the axes; its cosine, times -1 if
one of the two frames is mirrored; where the other axis crosses [deg]; and the logarithm of H by their parallax."""

SHOWER = ("along", "across", "distance", "log_impact", "log_distance")
"""Of a telescope, given the direction: centre of its image relative to the direction, along and across its axis, and
their distance [deg]; logarithms of the distance to the core [100 m] and of H."""

ESTIMATE = ("logit_head", "head", "tail", "across", "log_head", "log_tail", "log_across")
"""What a telescope says about the direction: whether the source lies ahead of the image's centre, how far along the
axis it then is, or behind, how far beside it [deg]; and the logarithms of the precisions [1/deg] of these."""

START = (0.0, 1.0, -1.0, 0.0, 0.0, 0.0, 2.0)
"""`ESTIMATE` before any training: a degree from the centre of the image, on its axis."""

LOG_PRECISION = (-1.5, 3.5)
"""Logarithms of 1/deg: 4.5 to 0.03 deg. Single precision solves the equations with such weights to a per mille."""
CROSSING_ANGLE = 0.1
"""rad; axes at smaller angles say little about where they cross."""
SMALLEST_DETERMINANT = 1e-3
"""1/deg^4; that of a single telescope is at least twice this."""
SMALLEST_PARALLAX = 0.03
"""deg."""
LARGEST_DISTANCE = 10.0
"""100 m / deg: 57 km."""
SMALLEST_IMPACT = 0.05
"""100 m."""
LARGEST_OFFSET = 10.0
"""deg; what lies further away is as far away as this."""


class _Geometry(keras.layers.Layer):
    """Geometry is computed in single precision, also where the network computes in half precision."""

    # Keras' own configuration of a layer has its name only where these are called kwargs
    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})


@keras.saving.register_keras_serializable(PACKAGE)
class PairGeometry(_Geometry):
    """How each telescope sees the others: called with ``shower_frame``, ``positions`` and ``telescopes``.

    Returns
    -------
    tensor
        (n, n_telescopes, n_telescopes, `PAIR`); the second axis is the telescope that sees, the third the other one. 0
        for a telescope and itself, and where one of the two is absent.
    """

    def call(self, frame: Any, positions: Any, telescopes: Any) -> Any:
        """Compare all pairs."""
        centre, axis, normal = _frame(frame)
        place, offset = _others(positions), ops.clip(_others(centre), -LARGEST_OFFSET, LARGEST_OFFSET)
        own, beside = (ops.expand_dims(vector, 2) for vector in (axis, normal))
        other = ops.expand_dims(axis, 1)
        cosine, sine = _dot(own, other), _dot(beside, other)
        turn = _cross(own, other)
        crossing = _cross(offset, other) * turn / (ops.square(turn) + CROSSING_ANGLE**2)
        seen = ops.stack(
            [
                _dot(place[..., :2], own),
                _dot(place[..., :2], beside),
                place[..., 2],
                _dot(offset, own),
                _dot(offset, beside),
                cosine,
                sine,
                _dot(beside, ops.expand_dims(normal, 1)),
                crossing,
                ops.log(_distance(-_dot(place[..., :2], offset), _dot(offset, offset)) + SMALLEST_IMPACT),
            ],
            axis=-1,
        )
        return seen * ops.expand_dims(_pairs(telescopes), -1)

    def compute_output_shape(self, frame_shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """All pairs."""
        return (frame_shape[0], frame_shape[1], frame_shape[1], len(PAIR))


@keras.saving.register_keras_serializable(PACKAGE)
class OtherTelescopes(_Geometry):
    """Mean and greatest value of what a telescope knows of the others, and whether there are any.

    Called with values (n, n_telescopes, n_telescopes, k), not negative, and ``telescopes``; gives (n, n_telescopes,
    2k + 1).
    """

    def call(self, values: Any, telescopes: Any) -> Any:
        """Pool over the others."""
        pairs = ops.expand_dims(_pairs(telescopes), -1)
        values = ops.cast(values, "float32") * pairs
        n_others = ops.sum(pairs, axis=2)
        mean = ops.sum(values, axis=2) / ops.maximum(n_others, 1.0)
        return ops.concatenate([mean, ops.max(values, axis=2), ops.minimum(n_others, 1.0)], axis=-1)

    def compute_output_shape(self, shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """One vector a telescope."""
        return (shape[0], shape[1], 2 * shape[-1] + 1)


@keras.saving.register_keras_serializable(PACKAGE)
class JoinDirections(_Geometry):
    """The direction that fits what all telescopes say, each with its precision along its axis and across it.

    Called with `ESTIMATE` of each telescope, relative to `START`, ``shower_frame`` and ``telescopes``; gives (n, 2)
    [deg]. Each telescope offers two points, ahead of its image and behind, weighted by their probabilities. Each point
    is a line as long as the distance along the axis is uncertain, so that the weighted mean of the points, with
    matrices as weights, is the crossing of the axes where they cross well, and a mean along them where they do not.
    """

    def call(self, estimates: Any, frame: Any, telescopes: Any) -> Any:
        """Solve the two normal equations."""
        estimate = ops.cast(estimates, "float32") + np.array(START, dtype=np.float32)
        centre, axis, normal = _frame(frame)
        precision = ops.exp(2 * ops.clip(estimate[..., 4:], *LOG_PRECISION))
        matrix, vector = 0.0, 0.0
        for side, sign in enumerate((1.0, -1.0)):
            weight = telescopes * ops.sigmoid(sign * estimate[..., 0])
            point = centre + estimate[..., 1 + side, None] * axis + estimate[..., 3, None] * normal
            lines = [
                (weight * precision[..., number])[..., None, None] * direction[..., :, None] * direction[..., None, :]
                for number, direction in ((side, axis), (2, normal))
            ]
            matrix += ops.sum(lines[0] + lines[1], axis=1)
            vector += ops.sum(ops.sum((lines[0] + lines[1]) * point[..., None, :], axis=-1), axis=1)
        xx, xy, yy = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 1]
        determinant = ops.maximum(xx * yy - xy * xy, SMALLEST_DETERMINANT)
        x, y = vector[:, 0], vector[:, 1]
        found = ops.stack([yy * x - xy * y, xx * y - xy * x], axis=-1) / determinant[:, None]
        return ops.clip(found, -LARGEST_OFFSET, LARGEST_OFFSET)

    def compute_output_shape(self, shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """One direction an event."""
        return (shape[0], 2)


@keras.saving.register_keras_serializable(PACKAGE)
class ShowerGeometry(_Geometry):
    """Where the shower is, given its direction: distance of its maximum, and of its core to each telescope.

    Called with the direction (n, 2), ``shower_frame``, ``positions`` and ``telescopes``; gives (n, n_telescopes,
    `SHOWER`). H is the one that fits the parallaxes of all images best; the core is at H (c - d) from a telescope.
    """

    def call(self, direction: Any, frame: Any, positions: Any, telescopes: Any) -> Any:
        """Measure."""
        centre, axis, normal = _frame(frame)
        present = ops.expand_dims(ops.cast(telescopes, "float32"), -1)
        total = ops.maximum(ops.sum(present, axis=1, keepdims=True), 1.0)

        def deviation(values: Any) -> Any:
            return (values - ops.sum(values * present, axis=1, keepdims=True) / total) * present

        image, place = deviation(centre), deviation(ops.cast(positions, "float32")[..., :2])
        distance = _distance(-ops.sum(image * place, axis=(1, 2)), ops.sum(image * image, axis=(1, 2)))
        distance = ops.expand_dims(distance, 1) + ops.zeros_like(telescopes, dtype="float32")
        offset = ops.clip(centre - ops.expand_dims(direction, 1), -LARGEST_OFFSET, LARGEST_OFFSET)
        length = ops.sqrt(_dot(offset, offset) + 1e-6)  # its gradient is finite at the centre
        seen = [
            _dot(offset, axis),
            _dot(offset, normal),
            length,
            ops.log(distance * length + SMALLEST_IMPACT),
            ops.log(distance + SMALLEST_IMPACT),
        ]
        return ops.stack(seen, axis=-1) * present

    def compute_output_shape(
        self, direction_shape: Sequence[int | None], frame_shape: Sequence[int | None], *_: Any
    ) -> tuple[int | None, ...]:
        """One vector a telescope."""
        return (*frame_shape[:2], len(SHOWER))


@keras.saving.register_keras_serializable(PACKAGE)
class PoolTelescopes(keras.layers.Layer):
    """Mean and greatest value over the telescopes that are present, and the logarithm of their number.

    Called with values (n, n_telescopes, k), not negative, and ``telescopes``; gives (n, 2k + 1).
    """

    def call(self, values: Any, telescopes: Any) -> Any:
        """Pool."""
        present = ops.expand_dims(ops.cast(telescopes, values.dtype), -1)
        number = ops.maximum(ops.sum(present, axis=1), 1.0)
        values = values * present
        return ops.concatenate([ops.sum(values, axis=1) / number, ops.max(values, axis=1), ops.log(number)], axis=-1)

    def compute_output_shape(self, shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """One vector an event."""
        return (shape[0], 2 * shape[-1] + 1)


def _frame(frame: Any) -> tuple[Any, Any, Any]:
    """Centre of each image, its axis and what is perpendicular to that: (n, n_telescopes, 2) each.

    The perpendicular leads to the side on which the camera's centre lies, as in `set_network.SideOfCamera`.
    """
    frame = ops.cast(frame, "float32")
    centre, axis = frame[..., :2], frame[..., 2:4]
    normal = ops.stack([-axis[..., 1], axis[..., 0]], axis=-1)
    away = _dot(centre, normal)[..., None]
    return centre, axis, ops.where(away > 0, -normal, normal)


def _others(values: Any) -> Any:
    """Values of the third axis' telescopes relative to those of the second: (n, n_telescopes, n_telescopes, k)."""
    values = ops.cast(values, "float32")
    return ops.expand_dims(values, 1) - ops.expand_dims(values, 2)


def _pairs(telescopes: Any) -> Any:
    """1 for each pair of different telescopes that are both present: (n, n_telescopes, n_telescopes)."""
    present = ops.cast(telescopes, "float32")
    different = 1 - np.eye(telescopes.shape[1], dtype=np.float32)
    return ops.expand_dims(present, 1) * ops.expand_dims(present, 2) * different


def _distance(product: Any, square: Any) -> Any:
    """H from the product of baselines and parallaxes and the square of the parallaxes, between 0 and the largest."""
    return ops.clip(product / (square + SMALLEST_PARALLAX**2), 0.0, LARGEST_DISTANCE)


def _dot(a: Any, b: Any) -> Any:
    return ops.sum(a * b, axis=-1)


def _cross(a: Any, b: Any) -> Any:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
