"""From images to what a network reads: one maker for training, evaluation and reconstruction.

Inputs of a network, by name:

- ``image``: (rows, columns, channels), where pixels are mapped while the batch is made;
- ``pixels``: (n_pixels, channels), where the network maps them or reads them as they are;
- ``brightest``: (n, features) of the brightest pixels and ``brightest_mask``: (n,), 1 where there is one;
- ``shower_frame``: (4,), centre and axis of the shower, see `cherenkov_pipeline.store.brightest`;
- ``parameters``: (k,), image parameters.

Stereo batches have a telescope axis before these, and ``telescopes``, ``positions`` and, of several telescope types,
``telescope_types``, see `cherenkov_pipeline.store.stereo`. All are float32 and finite: a broken pixel or a parameter
that could not be computed counts as 0.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.brightest import FEATURES, FRAME, PixelPlaces, brightest_pixels, pixel_places
from cherenkov_pipeline.store.chunks import EventChunk
from cherenkov_pipeline.store.mapping import ImageMapping, image_mapping
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.store.pixels import channels_of_images, channels_of_records, finite_images, unpack_rows

if TYPE_CHECKING:
    from astropy.table import Table
    from ctapipe.instrument import CameraGeometry

UNSCALED = ("brightest_mask", "shower_frame", "telescopes", "positions", "telescope_types")
"""Inputs that a network must see as they are: masks, directions, places and kinds."""


@dataclass(frozen=True)
class InputMaker:
    """Makes a network's inputs from the images of one camera.

    Attributes
    ----------
    parameters : InputParameters
    n_pixels : int
    mapping : ImageMapping or None
        Also where the network maps.
    places : PixelPlaces or None
        Where the brightest pixels or the shower's frame are wanted.
    """

    parameters: InputParameters
    n_pixels: int
    mapping: ImageMapping | None
    places: PixelPlaces | None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one image of each input."""
        wanted = self.parameters
        shapes: dict[str, tuple[int, ...]] = {}
        if wanted.channels:
            name = "image" if self._maps else "pixels"
            shapes[name] = (*(self.mapping.shape if self._maps else (self.n_pixels,)), len(wanted.channels))
        if wanted.brightest:
            shapes["brightest"] = (wanted.brightest, len(FEATURES))
            shapes["brightest_mask"] = (wanted.brightest,)
        if wanted.brightest or wanted.shower_frame:
            shapes["shower_frame"] = (len(FRAME),)
        if wanted.parameters:
            shapes["parameters"] = (len(wanted.parameters),)
        return shapes

    def from_chunk(self, chunk: EventChunk) -> dict[str, np.ndarray]:
        """Make all inputs of n images.

        Parameters
        ----------
        chunk : EventChunk
            n images in the camera's pixel order; not changed.

        Returns
        -------
        dict
            Name -> (n, ...) float32 array, finite; shapes as `shapes` says.

        Raises
        ------
        UserError
            If the table lacks an image parameter.
        """
        inputs = self.from_images(chunk.image, chunk.peak_time, chunk.image_mask)
        if self.parameters.parameters:
            inputs["parameters"] = image_parameters(chunk.table, self.parameters.parameters)
        return inputs

    def from_images(self, image: np.ndarray, peak_time: np.ndarray, image_mask: np.ndarray) -> dict[str, np.ndarray]:
        """Make the inputs that come from pixels, all but ``parameters``, of images (n, n_pixels); not changed."""
        channels, inputs = self.parameters.channels, {}
        if channels:
            inputs |= self._channels(channels_of_images(image, peak_time, image_mask, channels))
        if self.places:
            inputs |= self._brightest(*finite_images(image, peak_time, image_mask), image_mask)
        return inputs

    def from_records(self, records: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Make the inputs that come from pixels, all but ``parameters``.

        Parameters
        ----------
        records : ndarray
            Packed images, see `cherenkov_pipeline.store.packing`.
        rows : ndarray of int
            (n,), positions in ``records``; -1 is an image without any light.
        """
        channels, inputs = self.parameters.channels, {}
        if channels:
            inputs |= self._channels(channels_of_records(records, rows, channels))
        if self.places:
            inputs |= self._brightest(*unpack_rows(records, rows))
        return inputs

    @property
    def _maps(self) -> bool:
        return self.mapping is not None and self.parameters.map_in == "batch"

    def _channels(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": self.mapping.map(pixels)} if self._maps else {"pixels": pixels}

    def _brightest(self, charge: np.ndarray, time: np.ndarray, image_mask: np.ndarray) -> dict[str, np.ndarray]:
        found = brightest_pixels(charge, time, image_mask, self.places, self.parameters.brightest or 0)
        return found if self.parameters.brightest else {"shower_frame": found["shower_frame"]}


def input_maker(camera: "CameraGeometry", parameters: InputParameters) -> InputMaker:
    """Prepare the inputs of a camera's images.

    Parameters
    ----------
    camera : ctapipe.instrument.CameraGeometry
        In the camera frame.
    parameters : InputParameters

    Raises
    ------
    UserError
        If the mapping does not fit the camera.
    """
    mapped = parameters.channels and parameters.mapping is not None
    return InputMaker(
        parameters,
        camera.n_pixels,
        image_mapping(camera, parameters.mapping, parameters.size) if mapped else None,
        pixel_places(camera) if parameters.brightest or parameters.shower_frame else None,
    )


def image_parameters(table: "Table", names: tuple[str, ...]) -> np.ndarray:
    """Image parameters of a table as `InputParameters.parameters` names them: (n, k) float32, finite.

    Raises
    ------
    UserError
        If the table lacks one.
    """
    values = np.empty((len(table), len(names)), dtype=np.float32)
    for index, name in enumerate(names):
        column = name.removeprefix("log_")
        if column not in table.colnames:
            raise UserError(f"There is no image parameter {column!r}; the data have: {', '.join(table.colnames)}.")
        values[:, index] = table[column]
        if name.startswith("log_"):
            with np.errstate(divide="ignore", invalid="ignore"):
                values[:, index] = np.log10(values[:, index])
    return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
