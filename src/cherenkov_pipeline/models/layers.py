"""Layers for cameras: scaling, the mapping of pixels to an image, convolutions and pooling on a hexagonal lattice.

They are written in keras.ops and run on TensorFlow, JAX and torch.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cherenkov_pipeline.models.backend import PACKAGE, keras

if TYPE_CHECKING:
    from cherenkov_pipeline.store.mapping import ImageMapping


@keras.saving.register_keras_serializable(PACKAGE)
class Standardize(keras.layers.Layer):
    """Subtract a mean and divide by a deviation, one a channel.

    As `keras.layers.Normalization` with given numbers, which the conversion to ONNX takes for further inputs.

    Parameters
    ----------
    mean, deviation : sequence of float
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], **options: Any):
        # single precision also where the network computes in half precision, which ends at 65504
        super().__init__(**{"dtype": "float32", **options})
        self.mean = [float(value) for value in mean]
        self.deviation = [float(value) for value in deviation]

    def call(self, inputs: Any) -> Any:
        """Scale."""
        mean, deviation = (keras.ops.convert_to_tensor(x, dtype=inputs.dtype) for x in (self.mean, self.deviation))
        return (inputs - mean) / deviation

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "mean": self.mean, "deviation": self.deviation}


@keras.saving.register_keras_serializable(PACKAGE)
class StandardizeByType(Standardize):
    """`Standardize` with numbers of each telescope type.

    Called with values (n, n_telescopes, ..., channels) and ``telescope_types`` (n, n_telescopes, n_types).

    Parameters
    ----------
    mean, deviation : sequence of sequence of float
        (n_types, channels)
    """

    def __init__(self, mean: Sequence[Sequence[float]], deviation: Sequence[Sequence[float]], **options: Any):
        super().__init__([], [], **options)
        self.mean = [[float(value) for value in one] for one in mean]
        self.deviation = [[float(value) for value in one] for one in deviation]

    def call(self, inputs: Any, types: Any) -> Any:
        """Scale."""
        own, axes = [], [1] * (len(inputs.shape) - 3)
        for values in (self.mean, self.deviation):
            table = keras.ops.convert_to_tensor(values, dtype=types.dtype)
            # a matrix product may be rounded to TF32
            found = keras.ops.sum(keras.ops.expand_dims(types, -1) * table, axis=-2)
            own.append(keras.ops.reshape(found, (-1, inputs.shape[1], *axes, inputs.shape[-1])))
        return (inputs - own[0]) / own[1]

    def compute_output_shape(self, input_shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """Return the inputs' shape."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable(PACKAGE)
class MapPixels(keras.layers.Layer):
    """Map pixels (n, n_pixels, channels) to an image (n, rows, columns, channels), as the batches do.

    A telescope axis may stand before the pixels. Each cell is a weighted sum of some pixels: what it gathers is part
    of the layer's configuration, not of the weights.

    Parameters
    ----------
    shape : sequence of int
        Rows and columns.
    pixels : array-like of int
        (rows * columns, k) pixels of each cell.
    weights : array-like of float
        (rows * columns, k) and how much they count.
    """

    def __init__(
        self,
        shape: Sequence[int],
        pixels: Sequence[Sequence[int]],
        weights: Sequence[Sequence[float]],
        **options: Any,
    ):
        super().__init__(trainable=False, **options)
        self.shape = tuple(shape)
        self.pixels = np.asarray(pixels, dtype=np.int32)
        self.pixel_weights = np.asarray(weights, dtype=np.float32)

    @classmethod
    def of(cls, mapping: "ImageMapping", **options: Any) -> Self:
        """Make the layer of a camera's mapping."""
        return cls(mapping.shape, *mapping.gathered(), **options)

    def call(self, inputs: Any) -> Any:
        """Gather and sum, one of the k pixels after the other: the image is never k times in memory."""
        cells = 0
        for pixels, weights in zip(self.pixels.T, self.pixel_weights.T, strict=True):
            gathered = keras.ops.take(inputs, pixels, axis=-2)
            cells = cells + gathered * keras.ops.cast(weights[:, np.newaxis], gathered.dtype)
        return keras.ops.reshape(cells, (-1, *self.compute_output_shape(inputs.shape)[1:]))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape of the images."""
        return (*input_shape[:-2], *self.shape, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Plain values; the shortest decimals that give the same float32."""
        options = super().get_config()
        options.pop("trainable")
        return {
            **options,
            "shape": list(self.shape),
            "pixels": self.pixels.tolist(),
            "weights": [[float(str(value)) for value in row] for row in self.pixel_weights],
        }


@keras.saving.register_keras_serializable(PACKAGE)
class HexagonalConv2D(keras.layers.Conv2D):
    """Convolution over the neighbours on a hexagonal lattice, in an image of the mapping ``axial``.

    That mapping puts the six neighbours of a pixel into the cells (0, +-1), (+-1, 0), (1, 1) and (-1, -1) around it;
    the kernel is 0 at the two others of the 3 x 3, and at those further away than its radius in larger kernels.
    Hoogeboom et al. 2018, arXiv:1803.02108.

    Parameters
    ----------
    filters, kernel_size, **options
        Of `keras.layers.Conv2D`; ``kernel_size`` is odd.
    """

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights and the hexagon."""
        super().build(input_shape)
        self.hexagon = hexagon(self.kernel_size[0])[:, :, np.newaxis, np.newaxis]

    @property
    def kernel(self) -> Any:
        """Weights inside the hexagon."""
        kernel = super().kernel
        return kernel * keras.ops.cast(self.hexagon, kernel.dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class HexagonalMaxPooling2D(keras.layers.Layer):
    """Every other pixel of every other row, with the largest value of it and its six neighbours.

    The pixels that are kept are a hexagonal lattice of twice the pitch, in the same axial coordinates: hexagonal
    convolutions go on as before. A square of 2 x 2 cells would be a rhombus on the camera. Rows and columns become
    half as many, rounded up; a neighbour beyond the border does not count.
    """

    def call(self, inputs: Any) -> Any:
        """Largest of seven shifted images."""
        rows, columns = inputs.shape[1:3]
        # a finite number, for padding with infinities breaks some backends' gradients
        lowest = -1e30 if keras.backend.standardize_dtype(inputs.dtype) == "float32" else -6e4
        padded = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=lowest)
        shifts = np.argwhere(hexagon(3))
        return functools.reduce(
            keras.ops.maximum, (padded[:, a : a + rows : 2, b : b + columns : 2] for a, b in shifts.tolist())
        )

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Half of the rows and columns."""
        n, rows, columns, channels = input_shape
        return (n, -(-rows // 2), -(-columns // 2), channels)


def hexagon(size: int) -> np.ndarray:
    """Cells of a ``size`` x ``size`` square that are at most ``size // 2`` pixels away from its centre.

    Returns
    -------
    ndarray
        float32, 1 inside; for 3: [[1, 1, 0], [1, 1, 1], [0, 1, 1]].
    """
    steps = np.arange(size) - size // 2
    return (np.abs(steps[:, np.newaxis] - steps) <= size // 2).astype(np.float32)
