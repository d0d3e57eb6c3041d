"""Is it the same camera? Fingerprint, and the way from one pixel order to another.

DigiCam, for one, comes with two pixel orders. Pixels are therefore matched by position, never by number.
"""

from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.fingerprints import fingerprint

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

TOLERANCE = 0.2
"""Two pixels are the same if their positions differ by less than this, in units of the pixel pitch."""


def pixel_directions(camera: "CameraGeometry") -> np.ndarray:
    """Directions of the pixels in the small-angle approximation.

    Parameters
    ----------
    camera : ctapipe.instrument.CameraGeometry
        In the camera frame, with a focal length.

    Returns
    -------
    ndarray
        (n_pixels, 2), rad.
    """
    focal_length = camera.frame.focal_length.to_value("m")
    return np.stack([camera.pix_x.to_value("m"), camera.pix_y.to_value("m")], axis=-1).astype(float) / focal_length


def pixel_pitch(directions: np.ndarray) -> float:
    """Median distance of a pixel to its nearest neighbour, in the unit of ``directions`` (n_pixels, 2)."""
    from scipy.spatial import cKDTree

    return float(np.median(cKDTree(directions).query(directions, k=2)[0][:, 1]))


def camera_fingerprint(camera: "CameraGeometry") -> str:
    """Fingerprint of the pixels' positions in their order, and of their angular size; the name does not count.

    Rounded to a hundredth of a pixel, so that single and double precision give the same.
    """
    directions = pixel_directions(camera)
    pitch = pixel_pitch(directions)
    places = np.rint(directions / pitch * 100).astype(int)
    return fingerprint(places.tolist(), f"{pitch:.4g}")


def pixel_order(reference: "CameraGeometry", other: "CameraGeometry") -> np.ndarray:
    """Find the pixel of ``other`` at the position of each pixel of ``reference``.

    Returns
    -------
    ndarray
        (n_pixels,) int: ``values_of_other[order]`` is in the order of ``reference``.

    Raises
    ------
    UserError
        If the cameras do not have the same pixels.
    """
    from scipy.spatial import cKDTree

    wanted, found = pixel_directions(reference), pixel_directions(other)
    if len(wanted) != len(found):
        raise UserError(_refusal(reference, other, f"they have {len(wanted)} and {len(found)} pixels"))
    pitch, other_pitch = pixel_pitch(wanted), pixel_pitch(found)
    distance, order = cKDTree(found).query(wanted)
    if distance.max() > TOLERANCE * pitch or len(np.unique(order)) != len(order):
        sizes = " and ".join(f"{(value * u.rad).to_value('deg'):.4f}" for value in (pitch, other_pitch))
        reason = (
            f"their pixels lie up to {distance.max() / pitch:.2f} of a pixel apart (pixel pitch {sizes} deg), "
            "so they cannot be matched by position"
        )
        raise UserError(_refusal(reference, other, reason))
    return order


def _refusal(reference: "CameraGeometry", other: "CameraGeometry", reason: str) -> str:
    return f"The cameras {reference.name} and {other.name} are not the same, {reason}: put them into separate sets."
