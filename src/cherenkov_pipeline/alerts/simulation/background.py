"""Background of the detector: the cosmic X-rays that come through the mask, and what the Earth hides of them."""

from functools import cache

import numpy as np
from scipy import fft

from cherenkov_pipeline.alerts.simulation.decoding import LENGTH
from cherenkov_pipeline.alerts.simulation.instrument import (
    DETECTOR,
    HEIGHT,
    MASK,
    SKY,
    SKY_CENTER,
    cosines,
    mask_pattern,
    sampled_mask,
)

EARTH_RADIUS = 65.6  # deg, of its disk seen from an orbit 625 km high
COSMIC_SHARE = 0.8
"""Of the background that comes through the mask; the rest is the instrument's own, the same in all pixels (assumed)."""


@cache
def whole_sky(pattern: int) -> np.ndarray:
    """Shape of the background with no Earth in the field: (80, 80), mean 1."""
    cosmic = _through_mask(pattern, _brightness())
    return COSMIC_SHARE * cosmic / _open_sky(pattern) + 1 - COSMIC_SHARE


def hidden_by_earth(pattern: int, distance: float, azimuth: float) -> np.ndarray:
    """Find what the Earth takes from the background.

    Parameters
    ----------
    pattern : int
        Of the mask.
    distance, azimuth : float
        Of the Earth's centre from the axis, and the direction to it in the sky image [rad].

    Returns
    -------
    ndarray
        (80, 80), in units of the mean background of an open field; 0 or more.
    """
    hidden = _through_mask(pattern, _brightness() * behind_earth(distance, azimuth))
    return COSMIC_SHARE * hidden / _open_sky(pattern)


def behind_earth(distance: float, azimuth: float) -> np.ndarray:
    """(`SKY`, `SKY`) bool, which sky pixels the Earth covers."""
    tangent = (np.arange(SKY) - SKY_CENTER) / HEIGHT
    along = np.sin(azimuth) * tangent[:, None] + np.cos(azimuth) * tangent
    return cosines() * (np.sin(distance) * along + np.cos(distance)) > np.cos(np.deg2rad(EARTH_RADIUS))


@cache
def _brightness() -> np.ndarray:
    """Give the counts of a uniform sky by pixel: solid angle times projected area of the detector."""
    return cosines() ** 4


@cache
def _open_sky(pattern: int) -> float:
    """Give the mean counts of a detector pixel under the whole sky."""
    return float(_through_mask(pattern, _brightness()).mean())


def _through_mask(pattern: int, sky: np.ndarray) -> np.ndarray:
    """Sum the shadows of all sky pixels: (80, 80)."""
    spectrum = np.conj(fft.rfft2(sky, s=(LENGTH, LENGTH))) * _spectrum(pattern)
    seen = np.arange(DETECTOR) - (SKY - MASK)
    return fft.irfft2(spectrum, s=(LENGTH, LENGTH))[np.ix_(seen, seen)]


@cache
def _spectrum(pattern: int) -> np.ndarray:
    return fft.rfft2(sampled_mask(mask_pattern(pattern)), s=(LENGTH, LENGTH))
