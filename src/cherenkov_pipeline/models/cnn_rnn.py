"""One convolutional network for all telescopes, and a recurrent network over them: CTLearn's ``CNN-RNN``.

Brill et al. 2019, arXiv:1912.09877; Shilon et al. 2018, arXiv:1803.10698.
"""

from collections.abc import Mapping, Sequence

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.convolutions import stack
from cherenkov_pipeline.models.telescopes import PresentTelescopes, each_telescope

LARGEST_UNROLLED = 16
"""Telescopes up to which the steps of the LSTM are laid out one after the other: faster, but a larger graph."""


def cnn_rnn(
    inputs: Mapping[str, keras.KerasTensor],
    filters: Sequence[int],
    kernel_size: int,
    convolution: str,
    units: int,
    states: str,
    order: str,
    batch_normalization: bool,
    dropout: float,
    l2: float,
) -> keras.KerasTensor:
    """Build the backbone.

    Parameters
    ----------
    inputs : mapping
        See `~cherenkov_pipeline.models.telescopes.each_telescope`.
    filters, kernel_size, convolution, units, states, order, batch_normalization, dropout, l2
        See `~cherenkov_pipeline.models.options.CnnRnnOptions`.

    Returns
    -------
    keras.KerasTensor
        States of the LSTM; absent telescopes are passed over, and the states of their steps are 0.
    """

    def encode(image: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.Flatten(name="backbone_flatten")(
            stack(image, filters, kernel_size, convolution, batch_normalization, l2)
        )

    features, further, telescopes = each_telescope(inputs, encode, order)
    if dropout:
        features = keras.layers.Dropout(dropout, name="backbone_dropout")(features)
    if further is not None:
        features = keras.layers.Concatenate(name="backbone_joined")([features, further])
    x = keras.layers.LSTM(
        units,
        return_sequences=states == "all",
        unroll=features.shape[1] <= LARGEST_UNROLLED,
        # cuDNN wants the absent telescopes last, which a given order does not promise
        use_cudnn=False,
        name="backbone_lstm",
    )(features, mask=telescopes)
    if states == "all":
        # the backends do not agree about what comes out of a step that is passed over
        x = PresentTelescopes(name="backbone_states_present")(x, telescopes)
        x = keras.layers.Flatten(name="backbone_states")(x)
    return keras.layers.Dropout(dropout, name="backbone_lstm_dropout")(x) if dropout else x
