"""What makes false alerts: disturbances of the detector and of the background, as expected counts by pixel.

None of it is published in detail; shapes and strengths are assumed. Strengths are in units of the square root of the
frame's counts, the noise that they compete with.
"""

import math

import numpy as np

from cherenkov_pipeline.alerts.simulation.instrument import DETECTOR, MODULE


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


DETECTOR_DISTURBANCES = {
    "flickering_modules": flickering_modules,
    "hot_pixels": hot_pixels,
    "particle_storm": particle_storm,
}
