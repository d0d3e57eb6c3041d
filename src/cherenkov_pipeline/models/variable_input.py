"""One convolutional network for all telescopes, whose features are read side by side: CTLearn's ``variable input``.

Brill et al. 2019, arXiv:1912.09877. Features of absent telescopes are 0; the head is told which they are.
"""

from collections.abc import Mapping, Sequence

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.convolutions import convolved, halved, stack
from cherenkov_pipeline.models.telescopes import each_telescope


def variable_input(
    inputs: Mapping[str, keras.KerasTensor],
    filters: Sequence[int],
    kernel_size: int,
    convolution: str,
    combination: str,
    array_filters: Sequence[int],
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
    filters, kernel_size, convolution, combination, array_filters, order, batch_normalization, dropout, l2
        See `~cherenkov_pipeline.models.options.VariableInputOptions`.

    Returns
    -------
    keras.KerasTensor
        Features, one dimension.
    """

    def encode(image: keras.KerasTensor) -> keras.KerasTensor:
        maps = stack(image, filters, kernel_size, convolution, batch_normalization, l2)
        return maps if combination == "maps" else keras.layers.Flatten(name="backbone_flatten")(maps)

    features, further, telescopes = each_telescope(inputs, encode, order)
    if combination == "maps":
        n_telescopes, rows, columns, channels = features.shape[1:]
        x = keras.layers.Permute((2, 3, 1, 4), name="backbone_cells")(features)
        x = keras.layers.Reshape((rows, columns, n_telescopes * channels), name="backbone_maps")(x)
        for index, n_filters in enumerate(array_filters, start=1):
            x = convolved(
                x, n_filters, kernel_size, f"backbone_array_{index}",
                convolution=convolution, batch_normalization=batch_normalization, l2=l2,
            )  # fmt: skip
            x = halved(x, convolution, f"backbone_array_pooling_{index}")
        x = keras.layers.GlobalAveragePooling2D(name="backbone_average")(x)
    else:
        x = keras.layers.Flatten(name="backbone_features")(features)
    beside = [telescopes] if further is None else [telescopes, keras.layers.Flatten(name="backbone_beside")(further)]
    x = keras.layers.Concatenate(name="backbone_joined")([x, *beside])
    return keras.layers.Dropout(dropout, name="backbone_dropout")(x) if dropout else x
