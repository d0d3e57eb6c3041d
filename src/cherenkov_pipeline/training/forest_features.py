"""What the random forests see of an image, and what they learn: columns of DL1 made into features and targets.

Features are those of sst1mpipe's configuration for one telescope (mono), in the telescope frame (degrees) instead of
the camera frame (metres): trees do not know the difference. Directions are given by the *disp* method (Lessard et
al. 2001, Astropart. Phys. 15, 1): the source lies on the image's main axis, at a distance from the centroid, on one of
its two sides.
"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import angular_separation
from astropy.table import Table

from cherenkov_pipeline.errors import UserError

GAMMA = 0  # true_shower_primary_id, in CORSIKA's numbers

#: features that DL1 has under the same name
PLAIN = (
    "hillas_width",
    "hillas_length",
    "hillas_skewness",
    "hillas_kurtosis",
    "timing_slope",
    "leakage_intensity_width_2",
    "hillas_fov_lon",
    "hillas_fov_lat",
)
SHAPE = ("log_intensity", "width_over_length", *PLAIN[:6])
PLACE = PLAIN[6:]

#: features of each forest; energy and particle type depend on the place in the camera as well
FEATURES = {
    "energy": SHAPE + PLACE,
    "type": SHAPE + PLACE,
    "disp": SHAPE,
    "sign": SHAPE,
}
TIMING = ("timing_slope",)

#: DL1 columns behind the features and the direction
REQUIRED = ("hillas_intensity", "hillas_psi", *PLAIN)


def derived_columns(table: Table) -> dict[str, np.ndarray]:
    """Make all features of DL1 columns.

    Parameters
    ----------
    table : astropy.table.Table
        n images with ctapipe's DL1 parameters in the telescope frame.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        Angles in deg; NaN where an image has no parameters.

    Raises
    ------
    UserError
        If a column is missing.
    """
    if missing := [name for name in REQUIRED if name not in table.colnames]:
        raise UserError(f"The random forest needs the DL1 parameters {', '.join(missing)}: make the DL1 with them.")
    columns = {name: plain(table, name) for name in PLAIN}
    with np.errstate(divide="ignore", invalid="ignore"):
        columns["log_intensity"] = np.log10(plain(table, "hillas_intensity"))
        columns["width_over_length"] = columns["hillas_width"] / columns["hillas_length"]
    return columns


def feature_names(forest: str, *, timing: bool) -> tuple[str, ...]:
    """Name the features of a forest (a key of `FEATURES`), in their order."""
    return tuple(name for name in FEATURES[forest] if timing or name not in TIMING)


def plain(table: Table, name: str) -> np.ndarray:
    """Column as float64; angles in deg, energies in TeV, masked values NaN."""
    column = table[name]
    mask = getattr(column, "mask", None)
    values = np.asarray(getattr(column, "unmasked", column), dtype=np.float64)
    unit = getattr(column, "unit", None)
    if unit is not None:
        values = values * next((unit.to(wanted) for wanted in (u.deg, u.TeV) if unit.is_equivalent(wanted)), 1)
    return values if mask is None else np.where(mask, np.nan, values)


@dataclass(frozen=True)
class Direction:
    """Directions in the telescope frame, deg."""

    lon: np.ndarray
    lat: np.ndarray

    def separation(self, other: "Direction") -> np.ndarray:
        """Angle to other directions on the sphere [deg]."""
        angles = (np.deg2rad(value) for value in (self.lon, self.lat, other.lon, other.lat))
        return np.rad2deg(angular_separation(*angles))


def true_direction(table: Table) -> Direction:
    """Direction of the primary, seen from the telescope's pointing.

    Parameters
    ----------
    table : astropy.table.Table
        With ``true_alt``, ``true_az`` and the telescope's pointing.

    Returns
    -------
    Direction
        NaN where the truth is not known.
    """
    from ctapipe.coordinates import altaz_to_nominal

    azimuth, pointing_azimuth = (plain(table, name) << u.deg for name in ("true_az", "telescope_pointing_azimuth"))
    # in single precision the zenith may lie above 90 deg
    altitude, pointing_altitude = (
        np.clip(plain(table, name), -90, 90) << u.deg for name in ("true_alt", "telescope_pointing_altitude")
    )
    found = altaz_to_nominal(azimuth, altitude, pointing_azimuth, pointing_altitude)
    lon, lat = found.to_value(u.deg).T
    return Direction(lon, lat)


def along_axis(table: Table, direction: Direction) -> np.ndarray:
    """Place of a direction on the image's main axis: *disp* with its sign [deg]."""
    psi = np.deg2rad(plain(table, "hillas_psi"))
    lon, lat = direction.lon - plain(table, "hillas_fov_lon"), direction.lat - plain(table, "hillas_fov_lat")
    return lon * np.cos(psi) + lat * np.sin(psi)


def on_axis(table: Table, disp: np.ndarray) -> Direction:
    """Direction at a place on the image's main axis: the inverse of `along_axis`."""
    psi = np.deg2rad(plain(table, "hillas_psi"))
    return Direction(
        plain(table, "hillas_fov_lon") + disp * np.cos(psi),
        plain(table, "hillas_fov_lat") + disp * np.sin(psi),
    )
