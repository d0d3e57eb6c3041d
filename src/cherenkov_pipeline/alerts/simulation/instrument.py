"""Mask and detector of ECLAIRs, and the shadow that a source casts.

Lengths along the detector are in its pixels. A sky pixel (row, column) looks through the mask shifted by
(row - `SKY_CENTER`, column - `SKY_CENTER`) detector pixels, so that sky pixels are equal in the tangent of the angle.

Published: 80 x 80 CdTe pixels of 4 mm at a pitch of 4.5 mm in modules of 8 x 4 (detection plane: arXiv:2604.24253); a
mask of 54 x 54 cm with 46 x 46 elements, 40 % of them open, 46 cm above the detector (mask: arXiv:2604.24261); sky
images of 199 x 199 pixels. The pattern of the flight mask is not used: ours are random, and nothing supports them.
"""

from functools import cache

import numpy as np

DETECTOR = 80
"""Pixels along each side of the detector."""
PITCH = 4.5  # mm
ACTIVE = 4.0 / PITCH
"""Sensitive part of a pixel's width."""
MODULE = 8, 4
"""Rows and columns of pixels that are read out together."""
ELEMENTS = 46
"""Elements along each side of the mask."""
MASK = round(540 / PITCH)
"""Width of the mask, in detector pixels."""
HEIGHT = 460 / PITCH
"""Of the mask above the detector, in detector pixels."""
OPEN_FRACTION = 0.4

SKY = MASK + DETECTOR - 1
"""Pixels along each side of a sky image."""
SKY_CENTER = SKY // 2

_MARGIN = (MASK - DETECTOR) / 2


@cache
def mask_pattern(number: int) -> np.ndarray:
    """Draw a random pattern: (`ELEMENTS`, `ELEMENTS`) float, 1 where open; another for each number."""
    elements = np.zeros(ELEMENTS**2)
    elements[: round(OPEN_FRACTION * elements.size)] = 1
    return np.random.default_rng((ELEMENTS, number)).permutation(elements).reshape(ELEMENTS, ELEMENTS)


def overlaps(low: np.ndarray, width: float, size: float, n: int) -> np.ndarray:
    """Share of each interval that lies in each of ``n`` neighbouring ones.

    Parameters
    ----------
    low : ndarray
        (m,), where the intervals begin.
    width : float
        Of the intervals.
    size : float
        Of the neighbouring ones, the first of which begins at 0.
    n : int

    Returns
    -------
    ndarray
        (m, n)
    """
    edges = size * np.arange(n + 1)
    inside = np.clip(edges[None, :] - low[:, None], 0, width)
    return np.diff(inside, axis=1) / width


def shadow(pattern: np.ndarray, row: float, column: float) -> np.ndarray:
    """Open share of the sensitive part of each detector pixel, seen from a direction; exact.

    Parameters
    ----------
    pattern : ndarray
        (`ELEMENTS`, `ELEMENTS`), 1 where open.
    row, column : float
        Direction as place in the sky image, in its pixels; fractions are allowed.

    Returns
    -------
    ndarray
        (`DETECTOR`, `DETECTOR`)
    """
    begin = np.arange(DETECTOR) + _MARGIN + 0.5 * (1 - ACTIVE) - SKY_CENTER
    rows, columns = (overlaps(begin + at, ACTIVE, MASK / ELEMENTS, ELEMENTS) for at in (row, column))
    return rows @ pattern @ columns.T


def sampled_mask(pattern: np.ndarray) -> np.ndarray:
    """Open share of the mask on the grid of the detector's pixels: (`MASK`, `MASK`)."""
    share = overlaps(np.arange(MASK, dtype=float), 1.0, MASK / ELEMENTS, ELEMENTS)
    return share @ pattern @ share.T


@cache
def cosines() -> np.ndarray:
    """(`SKY`, `SKY`), cosine of the angle between the direction of a sky pixel and the axis."""
    tangent = (np.arange(SKY) - SKY_CENTER) / HEIGHT
    return 1 / np.sqrt(1 + tangent[:, None] ** 2 + tangent**2)


@cache
def coding_fraction() -> np.ndarray:
    """(`SKY`, `SKY`), share of the detector that sees a sky pixel through the mask."""
    shift = np.abs(np.arange(SKY) - SKY_CENTER)
    side = np.clip((MASK / 2 + DETECTOR / 2 - shift) / DETECTOR, 0, 1)
    return side[:, None] * side


def cosine(row: float, column: float) -> float:
    """Cosine of the angle between a direction and the axis; the direction as place in the sky image."""
    tangent = np.hypot(row - SKY_CENTER, column - SKY_CENTER) / HEIGHT
    return float(1 / np.hypot(1, tangent))
