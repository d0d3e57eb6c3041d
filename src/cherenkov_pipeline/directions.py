"""Directions, from one frame to the other, and what the outputs of networks say about them.

Angles are in degrees, plain numpy:

- sky: altitude and azimuth;
- telescope frame, as ctapipe's `~ctapipe.coordinates.TelescopeFrame`: ``fov_lon``, ``fov_lat`` relative to the
  telescope's pointing, longitude in the sense of the azimuth;
- camera frame, as ctapipe's `~ctapipe.coordinates.CameraFrame`: x, y in the focal plane [m], by the equivalent focal
  length f and the camera's rotation; for a camera that is not rotated, x = f lat and y = f lon (in rad).

CTLearn's cameradirection learns the same place (``cam_coord_offset_x``, ``cam_coord_offset_y``), except that
dl1-data-handler turns it by the rotation of the pixels (``pix_rotation``) instead of that of the camera.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.coordinates import angular_separation
from astropy.table import Table

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

ONE_SIGMA = 0.6826894921370859
"""Probability that a predicted radius or interval holds."""

POINTING = ("telescope_pointing_altitude", "telescope_pointing_azimuth")
TRUE_DIRECTION = ("true_alt", "true_az", *POINTING)
"""Columns that `true_direction` reads."""

POINT_RADIUS = 2.3597369
"""Radius that holds 68.27 % of the density exp(-r / b) / (2 pi b^2), in units of b."""

_PIECES = (np.arange(16) + 0.5) / 16
_STEPS = 18


@dataclass(frozen=True)
class Direction:
    """Directions in the telescope frame, deg."""

    lon: np.ndarray
    lat: np.ndarray

    def separation(self, other: "Direction") -> np.ndarray:
        """Angle to other directions on the sphere [deg]."""
        return separation(self.lon, self.lat, other.lon, other.lat)


def separation(lon: np.ndarray, lat: np.ndarray, other_lon: np.ndarray, other_lat: np.ndarray) -> np.ndarray:
    """Angle between directions on the sphere, of telescope frame or sky (azimuth, altitude) [deg]."""
    return np.rad2deg(angular_separation(*(np.deg2rad(value) for value in (lon, lat, other_lon, other_lat))))


def plain(table: Table, name: str) -> np.ndarray:
    """Column as float64; angles in deg, energies in TeV, masked values NaN."""
    column = table[name]
    mask = getattr(column, "mask", None)
    values = np.asarray(getattr(column, "unmasked", column), dtype=np.float64)
    unit = getattr(column, "unit", None)
    if unit is not None:
        values = values * next((unit.to(wanted) for wanted in (u.deg, u.TeV) if unit.is_equivalent(wanted)), 1)
    return values if mask is None else np.where(mask, np.nan, values)


def from_sky(altitude: np.ndarray, azimuth: np.ndarray, pointing: Sequence[np.ndarray]) -> Direction:
    """Directions on the sky, seen from the telescope's pointing.

    Parameters
    ----------
    altitude, azimuth : ndarray
        (n,), deg.
    pointing : sequence of ndarray
        Altitude and azimuth of the pointing, deg.
    """
    altitude, azimuth, at, around = np.deg2rad(np.broadcast_arrays(altitude, azimuth, *pointing))
    x = np.cos(altitude) * np.cos(azimuth - around)
    y = np.cos(altitude) * np.sin(azimuth - around)
    z = np.sin(altitude)
    lon, lat = _angles(x * np.cos(at) + z * np.sin(at), y, z * np.cos(at) - x * np.sin(at))
    return Direction(lon, lat)


def to_sky(direction: Direction, pointing: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Altitude and azimuth (0 to 360) of directions in the telescope frame [deg]: the inverse of `from_sky`.

    Any number is taken for an angle, also one beyond the poles: an untrained network may predict it.
    """
    lon, lat, at, around = np.deg2rad(np.broadcast_arrays(direction.lon, direction.lat, *pointing))
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    azimuth, altitude = _angles(x * np.cos(at) - z * np.sin(at), y, x * np.sin(at) + z * np.cos(at))
    return altitude, (azimuth + np.rad2deg(around)) % 360


def _angles(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.rad2deg(np.arctan2(y, x)), np.rad2deg(np.arctan2(z, np.hypot(x, y)))


def pointing_of(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Altitude and azimuth of the telescope's pointing, rad where the columns have no unit, as deg."""
    altitude, azimuth = (u.Quantity(table[name], copy=None, dtype=float) for name in POINTING)
    return tuple((value if value.unit.is_equivalent(u.deg) else value.value * u.rad).to_value(u.deg)
                 for value in (altitude, azimuth))  # fmt: skip


def true_direction(table: Table) -> Direction:
    """Direction of the primary, seen from the telescope's pointing.

    Parameters
    ----------
    table : astropy.table.Table
        With ``true_alt``, ``true_az`` (deg where they have no unit) and the telescope's pointing.

    Returns
    -------
    Direction
        NaN where the truth is not known.
    """
    return from_sky(plain(table, "true_alt"), plain(table, "true_az"), pointing_of(table))


def to_camera(direction: Direction, camera: "CameraGeometry") -> tuple[np.ndarray, np.ndarray]:
    """Place x, y [m] in the camera frame, as ctapipe's transformation gives it.

    Parameters
    ----------
    direction : Direction
    camera : ctapipe.instrument.CameraGeometry
        In the camera frame, with focal length and rotation.
    """
    focal_length, cosine, sine = _optics(camera)
    x, y = np.deg2rad(direction.lat) * focal_length, np.deg2rad(direction.lon) * focal_length
    return x * cosine + y * sine, y * cosine - x * sine


def from_camera(x: np.ndarray, y: np.ndarray, camera: "CameraGeometry") -> Direction:
    """Direction of a place [m] in the camera frame: the inverse of `to_camera`."""
    focal_length, cosine, sine = _optics(camera)
    turned_x, turned_y = x * cosine - y * sine, x * sine + y * cosine
    return Direction(np.rad2deg(turned_y / focal_length), np.rad2deg(turned_x / focal_length))


def _optics(camera: "CameraGeometry") -> tuple[float, float, float]:
    frame = camera.frame
    rotation = frame.rotation.to_value(u.rad)
    return float(frame.focal_length.to_value(u.m)), float(np.cos(rotation)), float(np.sin(rotation))


def along_axis(table: Table, direction: Direction) -> np.ndarray:
    """Place of a direction on the image's main axis: *disp* with its sign [deg]."""
    psi = np.deg2rad(plain(table, "hillas_psi"))
    lon, lat = direction.lon - plain(table, "hillas_fov_lon"), direction.lat - plain(table, "hillas_fov_lat")
    return lon * np.cos(psi) + lat * np.sin(psi)


@dataclass(frozen=True)
class HeadTail:
    """Outputs of the likelihood ``head_tail`` by their names, see `cherenkov_pipeline.models.likelihoods.head_tail`.

    Attributes
    ----------
    probability : ndarray
        (n,), that the source is on the head's side.
    along, scale : ndarray
        (n, 2), deg: places of head and tail on the axis, and their scales.
    across, scale_across : ndarray
        (n,), deg.
    frame : ndarray
        (n, 4): centre_lon, centre_lat [deg], cos_axis, sin_axis.
    """

    probability: np.ndarray
    along: np.ndarray
    scale: np.ndarray
    across: np.ndarray
    scale_across: np.ndarray
    frame: np.ndarray

    @classmethod
    def of(cls, outputs: np.ndarray) -> "HeadTail":
        """Take the (n, 11) outputs apart."""
        outputs = np.asarray(outputs, dtype=np.float64)
        with np.errstate(over="ignore"):  # what overflows is not finite, and invalid
            probability = 1 / (1 + np.exp(-outputs[:, 0]))
            scales = np.exp(outputs[:, [2, 4, 6]])
        return cls(probability, outputs[:, [1, 3]], scales[:, :2], outputs[:, 5], scales[:, 2], outputs[:, 7:11])

    def places(self) -> tuple[Direction, Direction]:
        """Points of head and tail in the telescope frame."""
        lon, lat, cosine, sine = self.frame.T
        return tuple(
            Direction(lon + along * cosine - self.across * sine, lat + along * sine + self.across * cosine)
            for along in self.along.T
        )

    def radii(self) -> np.ndarray:
        """Radius about each side's point that holds 68.27 % of that side's density [deg]: (n, 2)."""
        zero = np.zeros(len(self.scale))
        radii = [_radius([(zero + 1, zero, scale)], self.scale_across) for scale in self.scale.T]
        return np.stack(radii, axis=1)


def head_tail_point(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Point and error of a mixture along the shower's axis.

    Parameters
    ----------
    outputs : ndarray
        (n, 11), of the likelihood ``head_tail``.

    Returns
    -------
    lon, lat : ndarray
        (n,), deg: mean of the more probable side.
    radius : ndarray
        (n,), deg: about the point, it holds 68.27 % of the density of both sides. Where the sides are nearly as
        probable as each other, it reaches from one to the other.
    head_probability : ndarray
        (n,)
    """
    mixture = HeadTail.of(outputs)
    is_head = mixture.probability > 0.5
    head, tail = mixture.places()
    lon, lat = np.where(is_head, head.lon, tail.lon), np.where(is_head, head.lat, tail.lat)
    scale_head, scale_tail = mixture.scale.T
    likely, other = np.where(is_head, scale_head, scale_tail), np.where(is_head, scale_tail, scale_head)
    weight = np.maximum(mixture.probability, 1 - mixture.probability)
    distance = np.abs(mixture.along[:, 0] - mixture.along[:, 1])
    parts = [(weight, np.zeros_like(weight), likely), (1 - weight, distance, other)]
    return lon, lat, _radius(parts, mixture.scale_across), mixture.probability


def point(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Point and 68.27 % radius [deg] of the (n, 3) outputs of the likelihood ``point``."""
    lon, lat, log_scale = np.asarray(outputs, dtype=np.float64).T
    with np.errstate(over="ignore"):
        return lon, lat, POINT_RADIUS * np.exp(log_scale)


def _radius(parts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], scale_across: np.ndarray) -> np.ndarray:
    """Radius about the origin that holds 68.27 % of a mixture of Laplace densities.

    Parameters
    ----------
    parts : sequence of (weight, distance, scale)
        Of each part, (n,): its place and scale along the axis.
    scale_across : ndarray
        (n,), of all parts.

    Notes
    -----
    The content of a disc grows with its radius, so the radius is found by halving an interval.
    """
    low = np.zeros(len(scale_across))
    high = sum(distance + 8 * scale for _, distance, scale in parts) + 8 * scale_across
    finite = np.isfinite(high) & np.isfinite([weight for weight, *_ in parts]).all(axis=0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for _ in range(_STEPS):
            middle = 0.5 * (low + high)
            content = sum(weight * _content(middle, distance, scale, scale_across) for weight, distance, scale in parts)
            low, high = np.where(content < ONE_SIGMA, middle, low), np.where(content < ONE_SIGMA, high, middle)
    return np.where(finite, 0.5 * (low + high), np.nan)


def _content(radius: np.ndarray, distance: np.ndarray, scale: np.ndarray, scale_across: np.ndarray) -> np.ndarray:
    """Content of discs about the origin, of Laplace densities at a distance along the axis.

    Along the axis, the part of the density inside the disc is cut into pieces of equal content; across, the content of
    the disc's chord is known.
    """
    first, last = (_laplace_cdf((x - distance) / scale) for x in (-radius, radius))
    inside = last - first
    quantile = first[:, np.newaxis] + inside[:, np.newaxis] * _PIECES
    along = distance[:, np.newaxis] + scale[:, np.newaxis] * _laplace_quantile(quantile)
    chord = np.sqrt(np.maximum(radius[:, np.newaxis] ** 2 - along**2, 0))
    return inside * -np.expm1(-chord / scale_across[:, np.newaxis]).mean(axis=1)


def _laplace_cdf(x: np.ndarray) -> np.ndarray:
    return 0.5 - 0.5 * np.sign(x) * np.expm1(-np.abs(x))


def _laplace_quantile(probability: np.ndarray) -> np.ndarray:
    return -np.sign(probability - 0.5) * np.log1p(-2 * np.abs(probability - 0.5))
