"""From images to what a network reads: one function for training, evaluation and reconstruction.

Inputs of a network, by name:

- ``image``: (rows, columns, channels), where a mapping is chosen;
- ``pixels``: (n_pixels, channels), where none is;
- ``parameters``: (k,), image parameters.

All are float32 and finite: a broken pixel or a parameter that could not be computed counts as 0.
"""

from typing import TYPE_CHECKING

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.chunks import EventChunk
from cherenkov_pipeline.store.mapping import ImageMapping, image_mapping
from cherenkov_pipeline.store.packing import mean_time
from cherenkov_pipeline.store.parameters import Channel, InputParameters

if TYPE_CHECKING:
    from astropy.table import Table
    from ctapipe.instrument import CameraGeometry


def input_mapping(camera: "CameraGeometry", parameters: InputParameters) -> ImageMapping | None:
    """Make the mapping that the parameters name, for a camera; None where pixel vectors are wanted."""
    if parameters.mapping is None or not parameters.channels:
        return None
    return image_mapping(camera, parameters.mapping, parameters.size)


def input_shapes(
    parameters: InputParameters, mapping: ImageMapping | None, n_pixels: int
) -> dict[str, tuple[int, ...]]:
    """Shape of one event of each input, as `make_inputs` makes it."""
    shapes: dict[str, tuple[int, ...]] = {}
    if parameters.channels:
        shape = (n_pixels,) if mapping is None else mapping.shape
        shapes["pixels" if mapping is None else "image"] = (*shape, len(parameters.channels))
    if parameters.parameters:
        shapes["parameters"] = (len(parameters.parameters),)
    return shapes


def make_inputs(chunk: EventChunk, parameters: InputParameters, mapping: ImageMapping | None) -> dict[str, np.ndarray]:
    """Make a network's inputs.

    Parameters
    ----------
    chunk : EventChunk
        n images; not changed.
    parameters : InputParameters
    mapping : ImageMapping or None
        From `input_mapping` for the chunk's camera.

    Returns
    -------
    dict
        Name -> (n, ...) float32 array, finite; shapes as `input_shapes` says.

    Raises
    ------
    UserError
        If the table lacks an image parameter.
    """
    inputs: dict[str, np.ndarray] = {}
    if parameters.channels:
        pixels = np.empty((*chunk.image.shape, len(parameters.channels)), dtype=np.float32)
        for index, name in enumerate(parameters.channels):
            pixels[..., index] = _channel(chunk, name)
        if mapping is None:
            inputs["pixels"] = pixels
        else:
            inputs["image"] = mapping.map(pixels)
    if parameters.parameters:
        inputs["parameters"] = _image_parameters(chunk.table, parameters.parameters)
    return inputs


def _channel(chunk: EventChunk, name: Channel) -> np.ndarray:
    """One channel (n, n_pixels), finite."""
    kind = name.removeprefix("cleaned_")
    if kind == "image":
        values = chunk.image
    elif kind == "log_image":
        values = np.copysign(np.log10(1 + np.abs(chunk.image)), chunk.image)
    elif kind == "peak_time":
        values = chunk.peak_time
    else:
        values = chunk.peak_time - mean_time(chunk.peak_time, chunk.image_mask)[:, np.newaxis]
    used = np.isfinite(values)
    if name.startswith("cleaned_"):
        used &= chunk.image_mask
    return np.where(used, values, np.float32(0))


def _image_parameters(table: "Table", names: tuple[str, ...]) -> np.ndarray:
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
