"""Convolutions with pooling on one telescope's image: CTLearn's ``SingleCNN``.

Brill et al., CTLearn: https://github.com/ctlearn-project/ctlearn, ``ctlearn/core/model.py``.
"""

from collections.abc import Mapping, Sequence

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.layers import HexagonalConv2D


def single_tel(
    inputs: Mapping[str, keras.KerasTensor],
    filters: Sequence[int],
    kernel_size: int,
    convolution: str,
    pooling: str,
    batch_normalization: bool,
) -> keras.KerasTensor:
    """Build the backbone.

    Parameters
    ----------
    inputs : mapping
        ``image``: (rows, columns, channels). A pooling that would leave less than one cell is left out.
    filters, kernel_size, convolution, pooling, batch_normalization
        See `~cherenkov_pipeline.models.registry.SingleTelOptions`.

    Returns
    -------
    keras.KerasTensor
        Features, one dimension.
    """
    layer = HexagonalConv2D if convolution == "hexagonal" else keras.layers.Conv2D
    x = inputs["image"]
    for index, n_filters in enumerate(filters, start=1):
        x = layer(n_filters, kernel_size, padding="same", activation="relu", name=f"backbone_convolution_{index}")(x)
        if batch_normalization:
            x = keras.layers.BatchNormalization(name=f"backbone_normalization_{index}")(x)
        if min(x.shape[1:3]) > 1:
            x = keras.layers.MaxPooling2D(2, name=f"backbone_pooling_{index}")(x)
    if pooling == "average":
        return keras.layers.GlobalAveragePooling2D(name="backbone_average")(x)
    return keras.layers.Flatten(name="backbone_flatten")(x)
