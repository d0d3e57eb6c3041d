"""An autoencoder: learns to draw the sub-images that it has seen, and draws others badly.

Hinton & Salakhutdinov 2006, doi:10.1126/science.1127647. Sub-images are squeezed into a few numbers and drawn again
from these. Noise does not fit in, so that it alone is left of a sub-image like those seen.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cherenkov_pipeline.alerts.networks.registry import AutoencoderOptions
from cherenkov_pipeline.models.backend import PACKAGE, keras
from cherenkov_pipeline.models.convolutions import convolved
from cherenkov_pipeline.models.export import export_onnx

ops = keras.ops

RECONSTRUCTION = "reconstruction"
"""Name of the output."""


def build_autoencoder(shape: tuple[int, int, int], options: AutoencoderOptions) -> keras.Model:
    """Build an autoencoder with random weights (Keras' seed).

    Parameters
    ----------
    shape : (int, int, int)
        Rows, columns and channels of ``image``; the first channel is drawn.
    options : AutoencoderOptions

    Returns
    -------
    keras.Model
        From a dict of ``image`` to the first channel as it is drawn, (n, rows, columns, 1).

    Raises
    ------
    ValueError
        If rows and columns cannot be halved once for each number of filters.
    """
    halvings = len(options.filters)
    if any(size % 2**halvings for size in shape[:2]):
        raise ValueError(f"{halvings} numbers of filters need a size that is a multiple of {2**halvings}: {shape[:2]}")
    image = keras.Input(shape, name="image")
    x = image
    for number, filters in enumerate(options.filters, start=1):
        x = convolved(x, filters, 3, f"encoder_{number}", strides=2)
    squeezed = x.shape[1:]
    x = keras.layers.Flatten(name="encoder_flat")(x)
    x = keras.layers.Dense(options.latent, name="latent")(x)
    x = keras.layers.Dense(squeezed[0] * squeezed[1] * squeezed[2], "relu", name="decoder_dense")(x)
    x = keras.layers.Reshape(squeezed, name="decoder_map")(x)
    for number, filters in enumerate(_reversed(options.filters), start=1):
        x = keras.layers.UpSampling2D(2, name=f"decoder_up_{number}")(x)
        x = convolved(x, filters, 3, f"decoder_{number}")
    drawn = keras.layers.Conv2D(1, 3, padding="same", name=RECONSTRUCTION)(x)
    return keras.Model({"image": image}, drawn, name="autoencoder")


def export_autoencoder(network: keras.Model, path: str | os.PathLike) -> Path:
    """Write an autoencoder as an ONNX file with the output ``reconstruction``.

    Raises
    ------
    UserError
        As `~cherenkov_pipeline.models.export.export_onnx`.
    """
    return export_onnx(keras.Model(network.input, {RECONSTRUCTION: network.output}, name=network.name), path)


def _reversed(filters: Sequence[int]) -> Sequence[int]:
    """Turn the encoder's filters into the decoder's: those before each halving, the first once more."""
    return (*filters[-2::-1], filters[0])


@keras.saving.register_keras_serializable(PACKAGE)
class UsableSquaredError(keras.losses.Loss):
    """Mean squared difference of the pixels that may be used: targets are image and usability, (..., 2)."""

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Error of each image."""
        image, usable = y_true[..., 0], y_true[..., 1]
        squares = usable * ops.square(y_pred[..., 0] - image)
        return ops.sum(squares, axis=(1, 2)) / ops.maximum(ops.sum(usable, axis=(1, 2)), 1.0)
