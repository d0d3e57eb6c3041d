"""Pixel vectors to square images: dl1-data-handler's mapping tables, as one sparse product for a batch of images.

dl1-data-handler rounds pixel positions to a millimetre and looks for equal coordinates. Where the pixel pitch falls
between (SST-1M: 24.3 mm) one line of pixels becomes two, pixels are lost and images are torn apart. Such cameras are
given to it with their pixels put on an exact hexagonal lattice. Its tables for nearest-neighbour and bicubic mapping
multiply the charge by about 3.5; here they are scaled to conserve the charge of an evenly lit camera. A single
pixel's charge is conserved exactly by axial, shifting and oversampling, within 6 % by bilinear mapping.

References
----------
Nieto et al. 2019, arXiv:1912.09898 (the mappings); https://github.com/cta-observatory/dl1-data-handler.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cherenkov_pipeline.dl1.cameras import camera_fingerprint, pixel_pitch
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.parameters import RESIZABLE, MappingName
from cherenkov_pipeline.store.sparse import SparseProduct, padded_rows

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry
    from scipy.sparse import csr_array

MAPPERS: dict[MappingName, str] = {
    "axial": "AxialMapper",
    "shifting": "ShiftingMapper",
    "oversampling": "OversamplingMapper",
    "nearest_neighbor": "NearestNeighborMapper",
    "bilinear": "BilinearMapper",
    "bicubic": "BicubicMapper",
    "square": "SquareMapper",
}
"""Name in the parameters -> dl1-data-handler's class."""

_NOT_NORMALIZED = ("nearest_neighbor", "bicubic")
_LATTICE_PITCH_MM = 200
"""Pitch of the exact lattice: dl1-data-handler's rounding to 1 mm then moves a pixel by less than 0.3 %."""


@dataclass(frozen=True)
class ImageMapping:
    """Linear map from the pixels of a camera to a square image.

    Attributes
    ----------
    name : str
        Name in `MAPPERS`.
    shape : tuple of int
        Rows and columns of the image.
    table : scipy.sparse.csr_array
        (rows * columns, n_pixels) float32, weight of each pixel in each cell.
    camera_fingerprint : str
        Of the camera that it is made for.
    """

    name: str
    shape: tuple[int, int]
    table: "csr_array"
    camera_fingerprint: str

    @property
    def n_pixels(self) -> int:
        """Pixels of the camera."""
        return self.table.shape[1]

    def map(self, values: np.ndarray) -> np.ndarray:
        """Map pixel values; the input is not changed.

        Parameters
        ----------
        values : ndarray
            (n, n_pixels) or (n, n_pixels, channels), finite.

        Returns
        -------
        ndarray
            (n, rows, columns) or (n, rows, columns, channels), float32, contiguous.
        """
        n, n_pixels, *channels = values.shape
        images = self._product(np.asarray(values, dtype=np.float32).reshape(n, n_pixels, -1))
        return images.reshape(n, *self.shape, *channels)

    def gathered(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of each cell and how much they count, both (rows * columns, k); k is 1 for the axial mapping."""
        return padded_rows(self.table)

    @cached_property
    def _product(self) -> SparseProduct:
        return SparseProduct(self.table)


def image_mapping(geometry: "CameraGeometry", name: MappingName, size: int | None = None) -> ImageMapping:
    """Make the mapping of a camera.

    Parameters
    ----------
    geometry : ctapipe.instrument.CameraGeometry
        Camera frame; not changed.
    name : str
        One of `MAPPERS`.
    size : int, optional
        Rows and columns, for mappings that interpolate. Default: dl1-data-handler's for this camera.

    Returns
    -------
    ImageMapping

    Raises
    ------
    UserError
        If the mapping does not fit the shape of the camera's pixels, or the size cannot be chosen.
    """
    from dl1_data_handler import image_mapper
    from scipy.sparse import csr_array

    if name not in MAPPERS:
        raise UserError(f"There is no mapping {name!r}: choose one of {', '.join(MAPPERS)}.")
    if size is not None and name not in RESIZABLE:
        raise UserError(f"The size of mapping {name!r} is given by the camera: leave size away.")
    options = {} if size is None else {"interpolation_image_shape": size}
    try:
        # the mappers rotate the geometry that they are given
        mapper = getattr(image_mapper, MAPPERS[name])(geometry=on_exact_lattice(geometry), **options)
    except ValueError as error:
        raise UserError(f"Camera {geometry.name} cannot be mapped by {name!r}: {error}") from error
    table = csr_array(mapper.mapping_table.T)
    if name in _NOT_NORMALIZED:
        table *= np.float32(mapper.n_pixels / table.sum(dtype=float))
    return ImageMapping(name, (mapper.image_shape, mapper.image_shape), table, camera_fingerprint(geometry))


def on_exact_lattice(geometry: "CameraGeometry") -> "CameraGeometry":
    """Copy a camera so that dl1-data-handler recognises its lines of pixels.

    Hexagonal pixels whose lines it would split are put on an exact lattice, in units of its own; others stay.
    """
    import astropy.units as u
    from ctapipe.instrument.camera import PixelShape
    from dl1_data_handler.image_mapper import ImageMapper

    copy = deepcopy(geometry)
    if geometry.pix_type != PixelShape.HEXAGON:
        return copy
    mapper = ImageMapper(geometry=deepcopy(geometry))
    copy.rotate(copy.pix_rotation)
    places = np.stack([copy.pix_x.to_value("m"), copy.pix_y.to_value("m")], axis=-1).astype(float)
    pitch = pixel_pitch(places)
    # rows of hexagons lie half a pitch (along) and sqrt(3)/2 pitch (across) apart; which is which differs
    steps = np.array([0.5, np.sqrt(3) / 2]) * pitch
    if _distance_to_grid(places, steps) > _distance_to_grid(places, steps[::-1]):
        steps = steps[::-1]
    numbers = np.rint((places - places[0]) / steps).astype(int)
    n_lines = [len(np.unique(axis)) for axis in numbers.T]
    if n_lines == [len(np.unique(axis)) for axis in (mapper.pix_x, mapper.pix_y)]:
        return deepcopy(geometry)
    exact = numbers * np.rint(steps / pitch * _LATTICE_PITCH_MM) * u.mm
    copy.pix_x, copy.pix_y = exact.T.to("m")
    return copy


def _distance_to_grid(places: np.ndarray, steps: np.ndarray) -> float:
    numbers = (places - places[0]) / steps
    return float(np.abs(numbers - np.rint(numbers)).mean())
