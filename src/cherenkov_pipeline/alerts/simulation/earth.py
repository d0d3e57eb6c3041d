"""The Earth in the field of view: what it hides of the sky, how it moves, and what glows at its limb.

The disk's radius and the orbit's period follow from the height of the orbit, 625 km, which is published. That spots
glow at the limb (aurora, precipitating electrons) is assumed, and so are their sizes and strengths.
"""

import math
from dataclasses import dataclass

import numpy as np

from cherenkov_pipeline.alerts.simulation.instrument import HEIGHT, SKY, SKY_CENTER, coding_fraction, cosines

RADIUS = math.radians(65.6)
"""Of the Earth's disk."""
PERIOD = 97.2 * 60
"""Of the orbit [s]: the pointing stays, the Earth goes round."""
_LIMB_RANGE = math.radians(35)
"""How far the limb may be from the axis."""
_STEP = math.radians(2)
"""Of the Earth's motion, between places that are averaged."""


@dataclass(frozen=True)
class Earth:
    """Where the Earth stands and how it moves, as unit vectors (x, y, z): x along columns, y along rows, z the axis.

    Attributes
    ----------
    centre : ndarray
        (3,), towards its centre in the middle of the window.
    pole : ndarray
        (3,), about which it turns.
    """

    centre: np.ndarray
    pole: np.ndarray

    def at(self, angle: float) -> np.ndarray:
        """Turn the direction to its centre."""
        return math.cos(angle) * self.centre + math.sin(angle) * np.cross(self.pole, self.centre)


def draw_earth(rng: np.random.Generator) -> Earth:
    """Draw an Earth whose limb lies in the field."""
    distance, azimuth = RADIUS + rng.uniform(-_LIMB_RANGE, _LIMB_RANGE), rng.uniform(0, 2 * math.pi)
    centre = np.array(
        [math.sin(distance) * math.cos(azimuth), math.sin(distance) * math.sin(azimuth), math.cos(distance)]
    )
    pole = np.cross(centre, rng.normal(size=3))
    return Earth(centre, pole / np.linalg.norm(pole))


def hidden_share(earth: Earth, timescale: float) -> np.ndarray:
    """Find for which share of a window the Earth hides each sky pixel: (`SKY`, `SKY`), 0 to 1."""
    turned = 2 * math.pi * timescale / PERIOD
    n = max(1, math.ceil(turned / _STEP))
    angles = turned * ((np.arange(n) + 0.5) / n - 0.5)
    return np.mean([_nearness(earth.at(angle)) > math.cos(RADIUS) for angle in angles], axis=0)


def draw_glow(earth: Earth, rng: np.random.Generator) -> np.ndarray | None:
    """Draw a spot that glows at the limb: (`SKY`, `SKY`), sum 1; None where the limb is out of sight."""
    nearness = _nearness(earth.centre)
    limb = (np.abs(nearness - math.cos(RADIUS)) < 0.015) & (coding_fraction() > 0.1)
    if not limb.any():
        return None
    row, column = rng.choice(np.argwhere(limb)) + rng.uniform(-0.5, 0.5, 2)
    here = int(row), int(column)
    slope_rows, slope_columns = (np.gradient(nearness, axis=axis)[here] for axis in (0, 1))
    size = math.hypot(slope_rows, slope_columns)
    rows, columns = np.arange(SKY)[:, None] - row, np.arange(SKY) - column
    across = (rows * slope_rows + columns * slope_columns) / size
    along = (rows * slope_columns - columns * slope_rows) / size
    depth = rng.uniform(0.7, 3)
    spot = np.exp(-0.5 * ((across / depth) ** 2 + (along / (depth * rng.uniform(1, 5))) ** 2))
    return spot / spot.sum()


def _nearness(centre: np.ndarray) -> np.ndarray:
    """Compute the cosine of the angle between sky pixels and a direction: (`SKY`, `SKY`)."""
    tangent = (np.arange(SKY) - SKY_CENTER) / HEIGHT
    return cosines() * (centre[0] * tangent + centre[1] * tangent[:, None] + centre[2])
