"""Stacks of convolutions that several backbones begin with."""

from collections.abc import Sequence
from typing import Any

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.layers import HexagonalConv2D, HexagonalMaxPooling2D

CONVOLUTIONS = {"square": keras.layers.Conv2D, "hexagonal": HexagonalConv2D}


MOMENTUM = 0.99
"""Of the moving statistics of a batch normalisation, as in Keras: they follow within hundreds of steps."""


def regularizer(l2: float) -> keras.regularizers.Regularizer | None:
    """L2 regularizer; none for 0."""
    return keras.regularizers.L2(l2) if l2 else None


def convolved(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    name: str,
    *,
    convolution: str = "square",
    activation: str | None = "relu",
    batch_normalization: bool = False,
    l2: float = 0.0,
    strides: int = 1,
    momentum: float = MOMENTUM,
) -> keras.KerasTensor:
    """One convolution, then normalisation, where wanted, and activation.

    Parameters
    ----------
    x : keras.KerasTensor
        (rows, columns, channels).
    name : str
        Of the convolution's layer; those of the others begin with it.
    momentum : float
        Of the moving statistics of the normalisation.
    **others
        See the options of the models.
    """
    options: dict[str, Any] = {"padding": "same", "strides": strides, "kernel_regularizer": regularizer(l2)}
    if not batch_normalization:
        return CONVOLUTIONS[convolution](filters, kernel_size, activation=activation, name=name, **options)(x)
    x = CONVOLUTIONS[convolution](filters, kernel_size, use_bias=False, name=name, **options)(x)
    x = keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_normalization")(x)
    return keras.layers.Activation(activation, name=f"{name}_activation")(x) if activation else x


def halved(x: keras.KerasTensor, convolution: str, name: str, size: int = 2) -> keras.KerasTensor:
    """Half of the rows and columns, by the largest value; an image of one cell is left as it is.

    Parameters
    ----------
    convolution : str
        Hexagonal: the largest of a pixel and its six neighbours.
    size : int
        Cells along a side of which the largest is taken, on a square lattice.
    """
    if min(x.shape[1:3]) == 1:
        return x
    if convolution == "hexagonal":
        return HexagonalMaxPooling2D(name=name)(x)
    # cells of 2 x 2 do not overlap: a last odd row is left out, as in CTLearn
    return keras.layers.MaxPooling2D(size, 2, padding="valid" if size == 2 else "same", name=name)(x)


def stack(
    x: keras.KerasTensor,
    filters: Sequence[int],
    kernel_size: int,
    convolution: str,
    batch_normalization: bool,
    l2: float,
    momentum: float = MOMENTUM,
) -> keras.KerasTensor:
    """Convolutions, each followed by a pooling that halves rows and columns.

    Parameters
    ----------
    x : keras.KerasTensor
        (rows, columns, channels).
    filters, kernel_size, convolution, batch_normalization, l2
        See `~cherenkov_pipeline.models.options.ConvolutionOptions`.
    momentum : float
        Of the moving statistics of the normalisation.

    Returns
    -------
    keras.KerasTensor
        The last map.
    """
    for index, n_filters in enumerate(filters, start=1):
        x = convolved(
            x,
            n_filters,
            kernel_size,
            f"backbone_convolution_{index}",
            convolution=convolution,
            batch_normalization=batch_normalization,
            l2=l2,
            momentum=momentum,
        )
        x = halved(x, convolution, f"backbone_pooling_{index}")
    return x
