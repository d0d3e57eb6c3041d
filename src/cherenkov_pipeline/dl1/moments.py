"""Hillas parameters and concentrations of an image, compiled.

The formulas are those of ctapipe 0.32 [1]_ [2]_ [3]_, in the same order, and the results the same to rounding. There,
the calls of numpy and the units take a millisecond for a shower of ten pixels, and the weights of the fit of the axis
a matrix of all pairs of pixels; here it is some microseconds.

References
----------
.. [1] ctapipe.image.hillas_parameters, ctapipe.image.concentration_parameters
.. [2] Hillas, A. M. 1985, Proc. 19th ICRC, 3, 445
.. [3] github.com/fact-project/fact-tools, HillasParameters
"""

from typing import NamedTuple

import numpy as np
from numba import njit

ROUNDING = np.finfo(np.float64).eps
"""Variances below it are zero, as in ctapipe."""


class Moments(NamedTuple):
    """Parameters of one image; lengths in the unit of the pixels' positions, angles in rad."""

    intensity: float
    x: float
    y: float
    length: float
    length_uncertainty: float
    width: float
    width_uncertainty: float
    psi: float
    psi_uncertainty: float
    transverse_cog_uncertainty: float
    skewness: float
    kurtosis: float
    concentration_cog: float
    concentration_core: float


@njit(cache=True, error_model="numpy")
def moments(x: np.ndarray, y: np.ndarray, area: np.ndarray, pixel_width: np.ndarray, charge: np.ndarray):
    """Parametrise the selected pixels of an image.

    Parameters
    ----------
    x, y, area, pixel_width : ndarray
        (n,) of the pixels, float64.
    charge : ndarray
        (n,) float64, not negative, with a positive sum.

    Returns
    -------
    Moments
        Orientation, skewness, kurtosis and uncertainties of an image without extension are NaN.
    longitudinal : ndarray
        (n,) place of the pixels along the axis, from the centre of gravity.
    """
    size = charge.sum()
    cog_x, cog_y = (x * charge).sum() / size, (y * charge).sum() / size
    dx, dy = x - cog_x, y - cog_y
    covariance = np.empty((2, 2))
    covariance[0, 0] = (charge * dx * dx).sum() / size
    covariance[1, 1] = (charge * dy * dy).sum() / size
    covariance[0, 1] = covariance[1, 0] = (charge * dx * dy).sum() / size
    variances, axes = np.linalg.eigh(covariance)
    width, length = np.sqrt(np.where(np.abs(variances) > ROUNDING, variances, 0.0))

    psi = psi_uncertainty = transverse_uncertainty = skewness = kurtosis = np.nan
    if length > 0:
        psi = np.arctan(axes[1, 1] / axes[0, 1]) if axes[0, 1] != 0 else np.pi / 2
    longitudinal = dx * np.cos(psi) + dy * np.sin(psi)
    transverse = dy * np.cos(psi) - dx * np.sin(psi)
    if length > 0:
        skewness = (charge * longitudinal**3).sum() / size / length**3
        kurtosis = (charge * longitudinal**4).sum() / size / length**4
        psi_uncertainty, transverse_uncertainty = _axis_uncertainties(
            longitudinal, transverse, charge / area, width / length
        )
    length_uncertainty, width_uncertainty = _extension_uncertainties(dx, dy, charge, size, covariance, psi)
    in_core = (longitudinal / length) ** 2 + (transverse / width) ** 2 <= 1
    found = Moments(
        size,
        cog_x,
        cog_y,
        length,
        length_uncertainty / length if length > 0 else np.nan,
        width,
        width_uncertainty / width if width > 0 else np.nan,
        psi,
        psi_uncertainty,
        transverse_uncertainty,
        skewness,
        kurtosis,
        charge[dx**2 + dy**2 < pixel_width**2].sum() / size,
        charge[in_core].sum() / size if width > 0 else 0.0,
    )
    return found, longitudinal


@njit(cache=True, error_model="numpy")
def _axis_uncertainties(longitudinal, transverse, weight, elongation):
    """Of orientation and transverse position: covariance of the weighted straight line through the pixels."""
    squares, line, total = (weight * longitudinal**2).sum(), (weight * longitudinal).sum(), weight.sum()
    determinant = squares * total - line**2
    slope_variance, mixed, offset_variance = total / determinant, -line / determinant, squares / determinant
    slope = slope_variance * (weight * longitudinal * transverse).sum() + mixed * (weight * transverse).sum()
    psi = np.sqrt(slope_variance + slope**2) * (1 + np.tan(elongation * np.pi / 2) ** 2)
    return psi, np.sqrt(offset_variance * (1 + np.sin(slope) ** 2))


@njit(cache=True, error_model="numpy")
def _extension_uncertainties(dx, dy, charge, size, covariance, psi):
    """Of length times length, and of width times width."""
    a, b, c = (1 + np.cos(2 * psi)) / 2, (1 - np.cos(2 * psi)) / 2, np.sin(2 * psi)
    xx, yy = (dx**2 - covariance[0, 0]) / size, (dy**2 - covariance[1, 1]) / size
    xy = (dx * dy - covariance[0, 1]) / size
    along = np.sqrt(((a * xx + b * yy + c * xy) ** 2 * charge).sum()) / 2
    across = np.sqrt(((b * xx + a * yy - c * xy) ** 2 * charge).sum()) / 2
    return along, across
