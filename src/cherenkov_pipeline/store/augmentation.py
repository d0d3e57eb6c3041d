"""Training images in other positions and under other night skies: the physics stays, the numbers do not.

A camera whose pixels fall on themselves when it is mirrored, or turned about its centre, shows the same shower from
another direction just by another order of its pixels: nothing is interpolated. What has a direction, among labels and
image parameters, is mirrored and turned alike. A few pixels at the edge may miss: DigiCam falls on itself when it is
turned by a third, but its mirror lacks 36 of 1296 pixels, which are dark then. More night-sky light is Poisson noise
around its mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.packing import unpack
from cherenkov_pipeline.store.parameters import AugmentationParameters

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

TOLERANCE = 0.2
"""By how much a pixel may miss another's place, in units of the distance between neighbours."""

STREAM = 1
"""Sets these random numbers apart from those of the order of an epoch."""

ANGLES = np.arange(0, 360, 15)
"""Angles that are tried [deg]: those of square and hexagonal lattices, and mirrors between them."""

LARGEST_LOSS = 0.05
"""Largest share of pixels that may miss any other's place."""

VECTOR = ("hillas_fov_lon", "hillas_fov_lat")
"""Image parameters that are the two components of a place in the camera."""

ANGLE = "hillas_phi"
"""Image parameter that is the polar angle of a place in the camera [deg]."""

AXIS = "hillas_psi"
"""Image parameter that is the angle of an axis without a head, -90 to 90 deg."""

ALONG_AXIS = ("hillas_skewness", "timing_slope")
"""Image parameters whose sign tells the direction along that axis."""

OTHER_FRAME = "camera_frame_"
"""How the names of ctapipe's image parameters in the camera frame begin."""


@dataclass(frozen=True)
class Symmetries:
    """Ways in which a camera's pixels fall on themselves; the first is to stay as they are.

    Attributes
    ----------
    matrices : ndarray
        (n, 2, 2): place in the camera before (lon, lat) -> after.
    orders : ndarray
        (n, n_pixels): ``image[orders[i]]`` is the image after,
    dark : ndarray of bool
        (n, n_pixels): but for these pixels, which are dark.
    """

    matrices: np.ndarray
    orders: np.ndarray
    dark: np.ndarray

    def __len__(self) -> int:
        return len(self.matrices)


def camera_symmetries(camera: "CameraGeometry", mirror: bool, rotation: bool) -> Symmetries:
    """Find the symmetries of a camera.

    Parameters
    ----------
    camera : ctapipe.instrument.CameraGeometry
        In the camera frame.
    mirror, rotation : bool
        What is wanted. A mirror alone is the one whose axis is nearest to the vertical: for a shower nothing else is
        changed by it than its azimuth.

    Raises
    ------
    UserError
        If the camera has no such symmetry.
    """
    from ctapipe.coordinates import TelescopeFrame

    seen = camera.transform_to(TelescopeFrame())
    places = np.stack([axis.to_value("deg") for axis in (seen.pix_x, seen.pix_y)], axis=-1)
    identity = [(np.eye(2), np.arange(len(places)), np.zeros(len(places), dtype=bool))]
    turned = _found(places, [_rotation(angle) for angle in ANGLES[1:]])
    # a mirror that leaves the direction at an angle from the latitude axis where it is
    mirrored = _found(places, [_rotation(2 * angle) @ np.diag([-1.0, 1.0]) for angle in _nearest_first()])
    for wanted, found, option in ((mirror, mirrored, "mirror"), (rotation, turned, "rotation")):
        if wanted and not found:
            raise UserError(
                f"The pixels of {camera.name} do not fall on themselves: set training.augmentation.{option} to false."
            )
    chosen = identity + (turned if rotation else []) + ((mirrored if rotation else mirrored[:1]) if mirror else [])
    return Symmetries(*(np.stack(arrays) for arrays in zip(*chosen, strict=True)))


@dataclass(frozen=True)
class Changes:
    """What is done to some images.

    Attributes
    ----------
    symmetry : ndarray of int
        (n,) number of the symmetry of each.
    noise : numpy.random.Generator
        For the night sky.
    """

    symmetry: np.ndarray
    noise: np.random.Generator


class Augmentation:
    """Changes of a camera's images, drawn anew for each of them; the same whenever the same batch is made.

    Parameters
    ----------
    parameters : AugmentationParameters
    camera : ctapipe.instrument.CameraGeometry
        In the camera frame.
    vectors : sequence of int
        First of the two columns of each vector among the targets, along lon and lat of the telescope frame.

    Raises
    ------
    UserError
        If the camera has no such symmetry.
    """

    def __init__(self, parameters: AugmentationParameters, camera: "CameraGeometry", vectors: Sequence[int] = ()):
        self.parameters = parameters
        self.vectors = tuple(vectors)
        self.symmetries = camera_symmetries(camera, parameters.mirror, parameters.rotation)

    def draw(self, n: int, seed: int, epoch: int, batch: int) -> Changes:
        """Draw the changes of n images of a batch: a function of the arguments alone."""
        rng = np.random.default_rng(np.random.SeedSequence((seed, epoch, batch, STREAM)))
        return Changes(rng.integers(len(self.symmetries), size=n), rng)

    def images(self, records: np.ndarray, rows: np.ndarray, changes: Changes) -> tuple[np.ndarray, ...]:
        """Change packed images.

        Parameters
        ----------
        records : ndarray
            See `cherenkov_pipeline.store.packing`.
        rows : ndarray of int
            (n,), positions in ``records``; -1 is an image without any light, which stays one.
        changes : Changes

        Returns
        -------
        image, peak_time : ndarray
            (n, n_pixels) float32, p.e. and ns.
        image_mask : ndarray
            (n, n_pixels) bool.
        """
        image, peak_time, image_mask = unpack(records[np.maximum(rows, 0)])
        absent = rows < 0
        if absent.any():
            image[absent], peak_time[absent], image_mask[absent] = 0, 0, False
        if self.parameters.night_sky:
            amount = changes.noise.uniform(0, self.parameters.night_sky, (len(rows), 1))
            noise = (changes.noise.poisson(amount, image.shape) - amount).astype(np.float32)
            image += np.where(absent[:, np.newaxis], np.float32(0), noise)
        if len(self.symmetries) > 1:
            order = self.symmetries.orders[changes.symmetry]
            image, peak_time, image_mask = (
                np.take_along_axis(values, order, axis=1) for values in (image, peak_time, image_mask)
            )
            dark = self.symmetries.dark[changes.symmetry]
            image[dark], peak_time[dark], image_mask[dark] = 0, np.nan, False
        return image, peak_time, image_mask

    def targets(self, targets: np.ndarray, changes: Changes) -> np.ndarray:
        """Change the vectors among the targets (n, n_targets) of the images."""
        changed = targets.copy()
        matrices = self.symmetries.matrices[changes.symmetry].astype(targets.dtype)
        for first in self.vectors:
            place = slice(first, first + 2)
            changed[:, place] = np.einsum("nij,nj->ni", matrices, targets[:, place])
        return changed

    def image_parameters(self, values: np.ndarray, names: Sequence[str], changes: Changes) -> np.ndarray:
        """Change the image parameters (n, k) of these names that have a direction.

        Raises
        ------
        UserError
            If one component of a place is there without the other, or a sign along the axis without the axis.
        """
        if len(self.symmetries) == 1:
            return values
        changed = values.copy()
        matrices = self.symmetries.matrices[changes.symmetry]
        columns = [names.index(name) for name in VECTOR if name in names]
        if columns:
            changed[:, columns] = np.einsum("nij,nj->ni", matrices, values[:, columns])
        if ANGLE in names:
            column = names.index(ANGLE)
            changed[:, column] = _turned(values[:, column], matrices)
        if AXIS in names:
            column = names.index(AXIS)
            angle = _turned(values[:, column], matrices)
            # an axis that points the other way is the same axis: what is signed along it changes its sign
            reversed_axis = np.abs(angle) > 90
            changed[:, column] = np.where(reversed_axis, angle - np.copysign(180, angle), angle)
            for name in ALONG_AXIS:
                if name in names:
                    changed[reversed_axis, names.index(name)] *= -1
        return changed


def check_parameters(names: Sequence[str], augmentation: AugmentationParameters) -> None:
    """Refuse image parameters that cannot be mirrored or turned, as a part of what it takes is missing.

    Raises
    ------
    UserError
        Says which.
    """
    if not (augmentation.mirror or augmentation.rotation):
        return
    for name in names:
        if name.removeprefix("log_").startswith(OTHER_FRAME):
            raise UserError(
                f"The image parameter {name} is in another frame than images are mirrored and turned in: take that of "
                "the telescope frame, or set training.augmentation.mirror and .rotation to false."
            )
    if len(set(VECTOR) & set(names)) == 1:
        _refuse(*sorted(VECTOR, key=lambda name: name not in names))
    for name in ALONG_AXIS:
        if name in names and AXIS not in names:
            _refuse(name, AXIS)


def _refuse(name: str, missing: str) -> None:
    raise UserError(
        f"The image parameter {name} cannot be mirrored or turned without {missing}: add it to input.parameters, or "
        "set training.augmentation.mirror and .rotation to false."
    )


def _rotation(angle: float) -> np.ndarray:
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[cosine, -sine], [sine, cosine]])


def _nearest_first() -> list[float]:
    """Angles between a mirror's axis and the latitude axis [deg], small ones first."""
    return sorted(np.arange(-90, 90, ANGLES[1] / 2).tolist(), key=abs)


def _found(places: np.ndarray, matrices: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Those of the matrices that bring each pixel to the place of another, with the order that they make."""
    from scipy.spatial import cKDTree

    tree = cKDTree(places)
    pitch = np.median(tree.query(places, k=2)[0][:, 1])
    found = []
    for matrix in matrices:
        # the pixel that comes to a place was at the inverse of it
        distance, order = tree.query(places @ matrix)
        dark = distance > TOLERANCE * pitch
        if dark.mean() <= LARGEST_LOSS and len(np.unique(order[~dark])) == len(places) - dark.sum():
            found.append((matrix, order, dark))
    return found


def _turned(angle: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Angles [deg] of directions after the changes, -180 to 180."""
    radian = np.deg2rad(angle)
    x, y = np.einsum("nij,jn->in", matrices, np.stack([np.cos(radian), np.sin(radian)]))
    return np.rad2deg(np.arctan2(y, x))
