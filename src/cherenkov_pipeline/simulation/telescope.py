"""Telescopes as the light collection needs them: positions, pointing, optics and a table from camera to pixel."""

import math
from typing import NamedTuple

import astropy.units as u
import numba
import numpy as np
from ctapipe.instrument import SubarrayDescription

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.ground import pointing_axes
from cherenkov_pipeline.simulation.parameters import OpticsParameters

#: diameter of the circle with 80 % of a two-dimensional Gaussian, in standard deviations
D80 = 2 * math.sqrt(2 * math.log(5))


class Telescopes(NamedTuple):
    """Telescopes of one type that point in one direction; a tuple, so that numba takes it."""

    position: np.ndarray  # (n_telescopes, 3), m: North, West, up
    axes: np.ndarray  # (3, 3): pointing, and the sky directions of camera x (altitude) and y (azimuth)
    focal_length: float  # m
    mirror_area: float  # m2
    efficiency: float  # photo-electrons per photon on the mirror
    psf_sigma: float  # rad, on the axis
    psf_slope: float  # rad per rad off the axis
    pixel_table: np.ndarray  # pixel at axial coordinates, -1 outside the camera
    pixel_origin: np.ndarray  # (2,), m: position of the table's first cell
    pixel_pitch: float  # m
    field_radius: float  # rad, of the outermost pixel
    n_pixels: int


def direction(altitude: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Give unit vectors (North, West, up) towards directions of the sky [rad]; the last axis has length 3."""
    return np.stack(
        [np.cos(altitude) * np.cos(azimuth), -np.cos(altitude) * np.sin(azimuth), np.sin(altitude)], axis=-1
    )


def telescopes(
    subarray: SubarrayDescription, optics: OpticsParameters, altitude: u.Quantity, azimuth: u.Quantity
) -> Telescopes:
    """Prepare the telescopes of an array that consists of one telescope type with hexagonal pixels.

    Parameters
    ----------
    subarray : ctapipe.instrument.SubarrayDescription
    optics : OpticsParameters
    altitude, azimuth : astropy.units.Quantity
        Pointing of all telescopes.

    Returns
    -------
    Telescopes
        Photo-electrons are placed with the effective focal length, that of the real images, aberrations included.

    Raises
    ------
    UserError
        If the pixels do not fill columns of a hexagonal lattice along y.
    """
    (telescope,) = subarray.telescope_types
    geometry = telescope.camera.geometry
    focal_length = telescope.optics.effective_focal_length.to_value(u.m)
    pixel_x, pixel_y = geometry.pix_x.to_value(u.m), geometry.pix_y.to_value(u.m)
    pitch = float(np.hypot(np.diff(pixel_x), np.diff(pixel_y)).min())
    column, row = _axial(pixel_x - pixel_x[0], pixel_y - pixel_y[0], pitch)
    first_column, first_row = column.min(), row.min()
    table = np.full((column.max() - first_column + 1, row.max() - first_row + 1), -1)
    table[column - first_column, row - first_row] = np.arange(geometry.n_pixels)
    origin = np.array(
        [
            pixel_x[0] + first_column * pitch * np.sqrt(3) / 2,
            pixel_y[0] + (first_row + first_column / 2) * pitch,
        ]
    )
    slope = optics.psf_d80_slope / D80
    prepared = Telescopes(
        position=np.array([p.to_value(u.m) for p in subarray.positions.values()]),
        axes=pointing_axes(altitude.to_value(u.rad), azimuth.to_value(u.rad))[::-1].copy(),
        focal_length=focal_length,
        mirror_area=telescope.optics.mirror_area.to_value(u.m**2),
        efficiency=optics.throughput * optics.photon_detection_efficiency,
        psf_sigma=optics.psf_d80_axis.to_value(u.rad) / D80,
        psf_slope=slope,
        pixel_table=table,
        pixel_origin=origin,
        pixel_pitch=pitch,
        field_radius=float(np.arctan(np.hypot(pixel_x, pixel_y).max() / focal_length)),
        n_pixels=geometry.n_pixels,
    )
    found = [pixel_at(prepared, x, y) for x, y in zip(pixel_x, pixel_y, strict=True)]
    if not np.array_equal(found, np.arange(geometry.n_pixels)):
        raise UserError(
            f"Camera {geometry.name} cannot be simulated: its pixels do not form columns of a hexagonal lattice along"
            " y; rotate the camera."
        )
    return prepared


def _axial(x: np.ndarray, y: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Axial coordinates of pixels in columns sqrt(3)/2 pitches apart."""
    column = np.rint(x / (pitch * np.sqrt(3) / 2)).astype(int)
    return column, np.rint(y / pitch - column / 2).astype(int)


@numba.njit(cache=True)
def pixel_at(telescopes: Telescopes, x: float, y: float) -> int:
    """Pixel at a position of the camera [m], -1 outside: rounding in cubic coordinates."""
    a = (x - telescopes.pixel_origin[0]) / (telescopes.pixel_pitch * 0.8660254037844386)
    b = (y - telescopes.pixel_origin[1]) / telescopes.pixel_pitch - a / 2
    c = -a - b
    column, row, third = round(a), round(b), round(c)
    da, db, dc = abs(column - a), abs(row - b), abs(third - c)
    if da > db and da > dc:
        column = -row - third
    elif db > dc:
        row = -column - third
    if column < 0 or row < 0 or column >= telescopes.pixel_table.shape[0] or row >= telescopes.pixel_table.shape[1]:
        return -1
    return telescopes.pixel_table[int(column), int(row)]
