"""Background of the detector: the cosmic X-rays that come through the mask."""

from functools import cache

import numpy as np
from scipy import fft

from cherenkov_pipeline.alerts.simulation.decoding import LENGTH
from cherenkov_pipeline.alerts.simulation.instrument import DETECTOR, MASK, SKY, cosines, mask_pattern, sampled_mask

COSMIC_SHARE = 0.8
"""Of the background that comes through the mask; the rest is the instrument's own, the same in all pixels (assumed)."""


def background_shape(pattern: int, hidden: np.ndarray | None = None) -> np.ndarray:
    """Find the background behind a mask pattern.

    Parameters
    ----------
    pattern : int
        Of the mask.
    hidden : ndarray, optional
        (`SKY`, `SKY`), share of each sky pixel that the Earth hides. Default: none.

    Returns
    -------
    ndarray
        (80, 80), in units of the mean background of an open field.
    """
    if hidden is None:
        return _whole_sky(pattern)
    return _whole_sky(pattern) - COSMIC_SHARE * through_mask(pattern, _brightness() * hidden) / _open_sky(pattern)


def through_mask(pattern: int, sky: np.ndarray) -> np.ndarray:
    """Sum the shadows of all sky pixels.

    Parameters
    ----------
    pattern : int
        Of the mask.
    sky : ndarray
        (`SKY`, `SKY`), counts in a fully open detector pixel.

    Returns
    -------
    ndarray
        (80, 80)
    """
    spectrum = np.conj(fft.rfft2(sky, s=(LENGTH, LENGTH))) * _spectrum(pattern)
    seen = np.arange(DETECTOR) - (SKY - MASK)
    return fft.irfft2(spectrum, s=(LENGTH, LENGTH))[np.ix_(seen, seen)]


@cache
def _whole_sky(pattern: int) -> np.ndarray:
    return COSMIC_SHARE * through_mask(pattern, _brightness()) / _open_sky(pattern) + 1 - COSMIC_SHARE


@cache
def _open_sky(pattern: int) -> float:
    """Give the mean counts of a detector pixel under the whole sky."""
    return float(through_mask(pattern, _brightness()).mean())


@cache
def _brightness() -> np.ndarray:
    """Give the counts of a uniform sky by pixel: solid angle times projected area of the detector."""
    return cosines() ** 4


@cache
def _spectrum(pattern: int) -> np.ndarray:
    return fft.rfft2(sampled_mask(mask_pattern(pattern)), s=(LENGTH, LENGTH))
