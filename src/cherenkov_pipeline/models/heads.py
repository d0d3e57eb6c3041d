"""Heads: from the backbone's features to the layer that the task's output layer reads."""

from collections.abc import Sequence

from cherenkov_pipeline.models.backend import keras


def dense(features: keras.KerasTensor, units: Sequence[int], dropout: float) -> keras.KerasTensor:
    """Dense layers with ReLU.

    Parameters
    ----------
    features : keras.KerasTensor
        (n_features,).
    units, dropout
        See `~cherenkov_pipeline.models.registry.DenseOptions`.
    """
    x = features
    for index, n_units in enumerate(units, start=1):
        x = keras.layers.Dense(n_units, activation="relu", name=f"head_dense_{index}")(x)
        if dropout > 0:
            x = keras.layers.Dropout(dropout, name=f"head_dropout_{index}")(x)
    return x
