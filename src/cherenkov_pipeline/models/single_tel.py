"""Convolutions with pooling on one telescope's image: CTLearn's ``SingleCNN``.

Brill et al. 2019, arXiv:1912.09877; https://github.com/ctlearn-project/ctlearn, ``ctlearn/core/model.py``.
"""

from collections.abc import Mapping, Sequence

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.convolutions import stack


def single_tel(
    inputs: Mapping[str, keras.KerasTensor],
    filters: Sequence[int],
    kernel_size: int,
    convolution: str,
    pooling: str,
    batch_normalization: bool,
    dropout: float,
    l2: float,
) -> keras.KerasTensor:
    """Build the backbone.

    Parameters
    ----------
    inputs : mapping
        ``image``: (rows, columns, channels). A pooling that would leave less than one cell is left out.
    filters, kernel_size, convolution, pooling, batch_normalization, dropout, l2
        See `~cherenkov_pipeline.models.options.SingleTelOptions`.

    Returns
    -------
    keras.KerasTensor
        Features, one dimension.
    """
    x = stack(inputs["image"], filters, kernel_size, convolution, batch_normalization, l2)
    if pooling == "average":
        x = keras.layers.GlobalAveragePooling2D(name="backbone_average")(x)
    else:
        x = keras.layers.Flatten(name="backbone_flatten")(x)
    return keras.layers.Dropout(dropout, name="backbone_dropout")(x) if dropout else x
