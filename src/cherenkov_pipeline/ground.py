"""Places on the ground, and across the direction in which a telescope looks or a shower comes.

The ground frame is ctapipe's `~ctapipe.coordinates.GroundFrame`: x to the north, y to the west, z up [m]. An image
tells where a shower falls relative to its telescope and across the direction that this looks in, not where that is on
the map: the same shower at another telescope, or the same sky turned about the zenith, gives the same image.

The plane across a direction is that of ctapipe's `~ctapipe.coordinates.TiltedGroundFrame`, whose axes -y and -x are the
first and the second here: along longitude and latitude, as images are mirrored and turned.
"""

import astropy.units as u
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.directions import POINTING, pointing_of

TELESCOPE = ("pos_x", "pos_y", "pos_z")
"""Place of the image's telescope, under ctapipe's names; of events of several, the origin of the ground frame."""

TRUE_CORE = ("true_core_x", "true_core_y")
CORE_COLUMNS = (*TRUE_CORE, *TELESCOPE, *POINTING)
"""Columns that `core_seen` reads."""


def pointing_axes(altitude: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Axes of a pointing, or of the direction that a shower comes from, in the ground frame.

    The first goes the way in which the azimuth grows (and the longitude of the telescope frame), the second that of
    the altitude (and the latitude), the third there.

    Parameters
    ----------
    altitude, azimuth : ndarray
        (...,) rad; azimuth from north to east.

    Returns
    -------
    ndarray
        (..., 3, 3): unit vectors, one a row.
    """
    altitude, azimuth = np.asarray(altitude, dtype=float), np.asarray(azimuth, dtype=float)
    (sin_alt, sin_az), (cos_alt, cos_az) = np.sin([altitude, azimuth]), np.cos([altitude, azimuth])
    axes = [
        [-sin_az, -cos_az, np.zeros_like(sin_az)],
        [-sin_alt * cos_az, sin_alt * sin_az, cos_alt],
        [cos_alt * cos_az, -cos_alt * sin_az, sin_alt],
    ]
    return np.moveaxis(np.array(axes), (0, 1), (-2, -1))


def shadows(axes: np.ndarray) -> np.ndarray:
    """Where the first two axes of `pointing_axes` fall on the ground, along the third: (..., 2, 2), one a row."""
    across, along = axes[..., :2, :], axes[..., 2:, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (across - across[..., 2:] / along[..., 2:] * along)[..., :2]


def core_seen(table: Table) -> np.ndarray:
    """Tell where the true core is, from the telescope and along the first two axes of its pointing.

    Parameters
    ----------
    table : astropy.table.Table
        n events, with `CORE_COLUMNS`.

    Returns
    -------
    ndarray
        (n, 2) m; NaN where core or pointing is not known.
    """
    core = np.stack([*_metres(table, TRUE_CORE), np.zeros(len(table))], axis=-1)
    return np.einsum("nfg,ng->nf", _axes(table)[:, :2], core - _telescope(table))


def core_on_ground(seen: np.ndarray, scale: np.ndarray, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `core_seen`, with errors.

    Parameters
    ----------
    seen, scale : ndarray
        (n, 2) m: core as `core_seen` gives it, and independent errors of its two components.
    table : astropy.table.Table
        n events: the pointing, and `TELESCOPE`.

    Returns
    -------
    core, error : ndarray
        (n, 2) m: x and y in the ground frame. NaN where the pointing is not known.
    """
    axes, telescope = _axes(table), _telescope(table)
    shadow, along = shadows(axes), axes[:, 2]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        foot = telescope - telescope[:, 2:] / along[:, 2:] * along
        core = foot[:, :2] + np.einsum("nf,nfg->ng", seen, shadow)
        error = np.sqrt(np.einsum("nf,nfg->ng", scale**2, shadow**2))
    return core, error


def _axes(table: Table) -> np.ndarray:
    return pointing_axes(*np.deg2rad(pointing_of(table)))


def _telescope(table: Table) -> np.ndarray:
    return np.stack(_metres(table, TELESCOPE), axis=-1)


def _metres(table: Table, names: tuple[str, ...]) -> list[np.ndarray]:
    return [u.Quantity(table[name], u.m).value.astype(float) for name in names]
