"""A small convolutional network, made by hand and trained from random weights: a baseline."""

from collections.abc import Mapping, Sequence

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.convolutions import stack

MOMENTUM = 0.9
"""Of the moving statistics of the batch normalisation. An epoch of some hundred images has ten steps: statistics that
follow within hundreds of them belong to another network than the one that is validated, and the learning rate, which
goes by the validation loss, falls before anything is learnt.
"""


def cnn(
    inputs: Mapping[str, keras.KerasTensor],
    filters: Sequence[int],
    kernel_size: int,
    batch_normalization: bool,
    l2: float,
) -> keras.KerasTensor:
    """Build the network.

    Parameters
    ----------
    inputs : mapping
        ``image``: (rows, columns, channels).
    filters, kernel_size, batch_normalization, l2
        See `~cherenkov_pipeline.alerts.networks.registry.CnnOptions`.

    Returns
    -------
    keras.KerasTensor
        The last map.
    """
    return stack(inputs["image"], filters, kernel_size, "square", batch_normalization, l2, momentum=MOMENTUM)
