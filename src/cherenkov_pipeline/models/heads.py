"""Heads: from the backbone's features to the layer that the task's output layer reads."""

from collections.abc import Sequence

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.convolutions import regularizer


def dense(
    features: keras.KerasTensor, units: Sequence[int], dropout: float, batch_normalization: bool, l2: float
) -> keras.KerasTensor:
    """Dense layers with ReLU.

    Parameters
    ----------
    features : keras.KerasTensor
        (n_features,).
    units, dropout, batch_normalization, l2
        See `~cherenkov_pipeline.models.options.DenseOptions`.
    """
    x = features
    for index, n_units in enumerate(units, start=1):
        name, kernel_regularizer = f"head_dense_{index}", regularizer(l2)
        if batch_normalization:
            x = keras.layers.Dense(n_units, use_bias=False, kernel_regularizer=kernel_regularizer, name=name)(x)
            x = keras.layers.BatchNormalization(name=f"{name}_normalization")(x)
            x = keras.layers.ReLU(name=f"{name}_activation")(x)
        else:
            x = keras.layers.Dense(n_units, "relu", kernel_regularizer=kernel_regularizer, name=name)(x)
        if dropout > 0:
            x = keras.layers.Dropout(dropout, name=f"head_dropout_{index}")(x)
    return x
