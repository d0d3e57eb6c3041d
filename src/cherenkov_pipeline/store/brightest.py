"""The brightest pixels of an image in the shower's own frame: the input of set networks.

The cleaned image gives the frame: charge-weighted centre of gravity and main axis [1]_, pointing the way in which the
skewness of the charge along it is positive. Of the cleaned pixels and some rings of neighbours, the brightest are
taken: the light below the thresholds of the cleaning counts too.
All lengths are in degrees, in the telescope frame of ctapipe's image parameters.

References
----------
.. [1] ctapipe.image.hillas_parameters
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

FEATURES = ("charge", "along", "across", "time", "cleaned", "distance", "share")
"""asinh(q / 5 p.e.); offsets from the centre of gravity along and across the axis [deg]; time relative to the mean of
the cleaned pixels [ns]; 1 where the cleaning kept the pixel; distance to the camera's centre [deg]; charge over that of
all cleaned pixels."""

FRAME = ("centre_lon", "centre_lat", "cos_axis", "sin_axis")
"""Centre of gravity [deg] and direction of the axis: they lead from the shower's frame back to the camera."""

RINGS = 2
"""Rings of neighbours around the cleaned pixels."""

CHARGE_SCALE = np.float32(5)
"""p.e.; below, the feature is linear in the charge, above, logarithmic."""


@dataclass(frozen=True)
class PixelPlaces:
    """Where the pixels of a camera are, and which of them touch.

    Attributes
    ----------
    lon, lat : ndarray
        (n_pixels,) float32, deg in the telescope frame.
    neighbors, first : ndarray
        Neighbours of pixel i: ``neighbors[first[i]:first[i + 1]]``.
    """

    lon: np.ndarray
    lat: np.ndarray
    neighbors: np.ndarray
    first: np.ndarray


def pixel_places(camera: "CameraGeometry") -> PixelPlaces:
    """Places of a camera's pixels.

    Parameters
    ----------
    camera : ctapipe.instrument.CameraGeometry
        In the camera frame, with a focal length.
    """
    from ctapipe.coordinates import TelescopeFrame

    seen = camera.transform_to(TelescopeFrame())
    neighbors = camera.neighbor_matrix_sparse.tocsr()
    return PixelPlaces(
        *(axis.to_value("deg").astype(np.float32) for axis in (seen.pix_x, seen.pix_y)),
        neighbors.indices.astype(np.int32),
        neighbors.indptr.astype(np.int32),
    )


def brightest_pixels(
    charge: np.ndarray, relative_time: np.ndarray, image_mask: np.ndarray, places: PixelPlaces, n_brightest: int
) -> dict[str, np.ndarray]:
    """Find the brightest pixels.

    Parameters
    ----------
    charge, relative_time : ndarray
        (n, n_pixels) float32, p.e. and ns, finite.
    image_mask : ndarray
        (n, n_pixels) bool.
    places : PixelPlaces
    n_brightest : int

    Returns
    -------
    dict
        ``brightest`` (n, n_brightest, `FEATURES`), brightest first, 0 where there are fewer;
        ``brightest_mask`` (n, n_brightest), 1 where there is a pixel;
        ``shower_frame`` (n, `FRAME`). All are float32; of an image without a cleaned charge, all are 0.
    """
    n = len(charge)
    features = np.zeros((n, n_brightest, len(FEATURES)), dtype=np.float32)
    present = np.zeros((n, n_brightest), dtype=np.float32)
    frame = np.zeros((n, len(FRAME)), dtype=np.float32)
    _find(
        charge, relative_time, image_mask,
        places.lon, places.lat, places.neighbors, places.first,
        features, present, frame,
    )  # fmt: skip
    return {"brightest": features, "brightest_mask": present, "shower_frame": frame}


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _find(charge, time, image_mask, lon, lat, neighbors, first, features, present, frame):
    n_images, n_pixels = charge.shape
    taken, brightness = np.empty(n_pixels, dtype=np.int32), np.empty(n_pixels, dtype=np.float32)
    stamp = np.full(n_pixels, -1, dtype=np.int32)
    for image in range(n_images):
        q, cleaned = charge[image], image_mask[image]
        total, x, y, cosine, sine = _shower_frame(q, cleaned, lon, lat)
        if not total > 0:
            continue
        frame[image, 0], frame[image, 1], frame[image, 2], frame[image, 3] = x, y, cosine, sine
        # the cleaned pixels, then ring after ring of neighbours, each pixel once
        n = 0
        for pixel in range(n_pixels):
            if cleaned[pixel]:
                stamp[pixel] = image
                taken[n] = pixel
                n += 1
        begin = 0
        for _ in range(RINGS):
            end = n
            for i in range(begin, end):
                for place in range(first[taken[i]], first[taken[i] + 1]):
                    neighbor = neighbors[place]
                    if stamp[neighbor] != image:
                        stamp[neighbor] = image
                        taken[n] = neighbor
                        n += 1
            begin = end
        for i in range(n):
            brightness[i] = -q[taken[i]]
        order = np.argsort(brightness[:n], kind="mergesort")
        for i in range(min(n, features.shape[1])):
            pixel = taken[order[i]]
            dx, dy = lon[pixel] - x, lat[pixel] - y
            features[image, i, 0] = np.arcsinh(q[pixel] / CHARGE_SCALE)
            features[image, i, 1] = dx * cosine + dy * sine
            features[image, i, 2] = dy * cosine - dx * sine
            features[image, i, 3] = time[image, pixel]
            features[image, i, 4] = cleaned[pixel]
            features[image, i, 5] = np.hypot(lon[pixel], lat[pixel])
            features[image, i, 6] = q[pixel] / total
            present[image, i] = 1


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _shower_frame(q, cleaned, lon, lat):
    """Total charge, centre of gravity, cosine and sine of the axis of one image."""
    total, x, y = 0.0, 0.0, 0.0
    for pixel in range(len(q)):
        if cleaned[pixel] and q[pixel] > 0:
            total += q[pixel]
            x += q[pixel] * lon[pixel]
            y += q[pixel] * lat[pixel]
    if not total > 0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    x /= total
    y /= total
    xx, yy, xy = 0.0, 0.0, 0.0
    for pixel in range(len(q)):
        if cleaned[pixel] and q[pixel] > 0:
            dx, dy = lon[pixel] - x, lat[pixel] - y
            xx += q[pixel] * dx * dx
            yy += q[pixel] * dy * dy
            xy += q[pixel] * dx * dy
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    cosine, sine = np.cos(angle), np.sin(angle)
    third = 0.0
    for pixel in range(len(q)):
        if cleaned[pixel] and q[pixel] > 0:
            third += q[pixel] * ((lon[pixel] - x) * cosine + (lat[pixel] - y) * sine) ** 3
    if third < 0:
        cosine, sine = -cosine, -sine
    return total, x, y, cosine, sine
