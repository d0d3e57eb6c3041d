"""What makes false alerts: disturbances of the detector and of the background, as expected counts by pixel.

None of it is published in detail; shapes and strengths are assumed. Strengths are in units of the square root of the
frame's counts, the noise that they compete with.
"""

import math
from dataclasses import dataclass

import numpy as np

from cherenkov_pipeline.alerts.simulation.earth import Earth, draw_earth, draw_glow
from cherenkov_pipeline.alerts.simulation.instrument import DETECTOR, MODULE

GHOST, LIMB = "ghost", "earth_limb"

_GLOWING = 0.6
"""Share of the frames with the Earth's limb in which some of it glows."""


@dataclass(frozen=True)
class Disturbance:
    """What is no source.

    Attributes
    ----------
    kind : str
        Of `FALSE_CAUSES`; empty: none.
    counts : ndarray or None
        (80, 80), expected counts in units of the square root of the frame's counts.
    bright : float
        Signal to noise of a source that is not cleaned and whose ghosts disturb; 0: none.
    earth : Earth or None
        Where it stands, if it is in the field.
    unfitted : float
        Share of what the Earth hides that the fit of the background misses.
    glow : ndarray or None
        (`SKY`, `SKY`), what glows at the Earth's limb: expected counts on the axis from each sky pixel, same units.
    """

    kind: str = ""
    counts: np.ndarray | None = None
    bright: float = 0.0
    earth: Earth | None = None
    unfitted: float = 0.0
    glow: np.ndarray | None = None


NO_DISTURBANCE = Disturbance()


def draw_disturbance(kind: str, factor: float, rng: np.random.Generator) -> Disturbance:
    """Draw a disturbance of a kind (of `FALSE_CAUSES`, empty: none); ``factor`` scales its strength."""
    if kind in _DETECTOR:
        return Disturbance(kind, counts=factor * _DETECTOR[kind](rng))
    if kind == GHOST:
        return Disturbance(kind, bright=factor * strength(rng, 35, 180))
    if kind == LIMB:
        earth = draw_earth(rng)
        unfitted = min(1.0, factor * rng.uniform(0.1, 1))
        spot = draw_glow(earth, rng) if rng.random() < _GLOWING else None
        glow = None if spot is None else factor * strength(rng, 8, 80) * spot
        return Disturbance(kind, earth=earth, unfitted=unfitted, glow=glow)
    return NO_DISTURBANCE


def strength(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a strength, uniform in its logarithm."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def flickering_modules(rng: np.random.Generator) -> np.ndarray:
    """Draw one to five modules that count too much for a while, unevenly among their pixels: (80, 80)."""
    rows, columns = MODULE
    counts = np.zeros((DETECTOR, DETECTOR))
    for _ in range(min(5, rng.geometric(0.5))):
        row, column = rows * rng.integers(DETECTOR // rows), columns * rng.integers(DETECTOR // columns)
        texture = rng.gamma(2.0, size=MODULE)
        counts[row : row + rows, column : column + columns] += rng.uniform(0.3, 1) * texture / texture.sum()
    return strength(rng, 1.5, 14) * counts


def hot_pixels(rng: np.random.Generator) -> np.ndarray:
    """Draw two to thirty pixels that count too much, most of them in one or two modules: (80, 80)."""
    rows, columns = MODULE
    counts = np.zeros((DETECTOR, DETECTOR))
    modules = [(rows * rng.integers(DETECTOR // rows), columns * rng.integers(DETECTOR // columns)) for _ in range(2)]
    n = rng.integers(2, 31)
    for pixel in range(n):
        if pixel % 4 == 3:
            row, column = rng.integers(DETECTOR, size=2)
        else:
            row, column = modules[pixel % 2] + rng.integers(MODULE)
        counts[row, column] += rng.exponential()
    return strength(rng, 1, 10) * counts / np.sqrt(n)


def particle_storm(rng: np.random.Generator) -> np.ndarray:
    """Draw particles that light up one side or corner of the detector: (80, 80)."""
    azimuth = rng.uniform(0, 2 * math.pi)
    centre = DETECTOR / 2 + DETECTOR * rng.uniform(0.4, 0.75) * np.array([math.sin(azimuth), math.cos(azimuth)])
    along, across = rng.uniform(3, 14), rng.uniform(6, 30)
    y, x = np.indices((DETECTOR, DETECTOR)) - centre[:, None, None]
    radial, tangential = y * math.sin(azimuth) + x * math.cos(azimuth), x * math.sin(azimuth) - y * math.cos(azimuth)
    shape = np.exp(-0.5 * ((radial / along) ** 2 + (tangential / across) ** 2))
    return strength(rng, 5, 60) * shape / max(shape.sum(), 1e-9)


_DETECTOR = {
    "flickering_modules": flickering_modules,
    "hot_pixels": hot_pixels,
    "particle_storm": particle_storm,
}
