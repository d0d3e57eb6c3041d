"""Networks with their head: the last map averaged, joined with the side inputs, and one logit.

Features by hand go through two layers of their own first, as no sum of them tells what they tell together.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cherenkov_pipeline.alerts.networks.cnn import MOMENTUM
from cherenkov_pipeline.alerts.networks.registry import NETWORKS, NetworkParameters
from cherenkov_pipeline.alerts.networks.resnet18 import FILTERS, LAST_OF_STAGE, stage
from cherenkov_pipeline.alerts.preparation import BY_HAND
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import LAST_LAYER
from cherenkov_pipeline.models.likelihoods import BernoulliOutput
from cherenkov_pipeline.models.registry import resolve

POOLED = "pooled"
"""Name of the layer that averages the last map."""

LOGIT = "logit"
"""Name of the output layer."""

FEATURES = "features"
"""Name of the input of a network that begins in the middle."""

BY_HAND_UNITS = 32
"""Of each layer that the features by hand go through."""


def build_network(
    parameters: NetworkParameters, shapes: Mapping[str, tuple[int, ...]], share_real: float = 0.5
) -> keras.Model:
    """Build a network with random weights (Keras' seed).

    Parameters
    ----------
    parameters : NetworkParameters
    shapes : mapping
        See `~cherenkov_pipeline.alerts.preparation.PreparationParameters.shapes`.
    share_real : float
        Of the training images: the probability that the untrained head gives.

    Returns
    -------
    keras.Model
        From a dict of inputs to (n, 1) logits of being a real source.

    Raises
    ------
    UserError
        If the network cannot be imported or does not take its options.
    """
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    last_map = resolve(parameters.name, NETWORKS, parameters.options)(inputs, **parameters.options)
    name = parameters.name.rpartition(":")[2]
    return keras.Model(inputs, _judged(last_map, inputs, share_real), name=name)


def begin_after(network: keras.Model, last_frozen: str, share_real: float = 0.5) -> tuple[keras.Model, keras.Model]:
    """Divide a ResNet18 after a stage.

    Parameters
    ----------
    network : keras.Model
        From `build_network`.
    last_frozen : str
        ``layer1`` to ``layer4``.
    share_real : float
        As the network was built with.

    Returns
    -------
    frozen : keras.Model
        From images to the map of that stage, with the network's layers.
    rest : keras.Model
        From ``features``, this map, and the side inputs to logits; layers of its own with the same names and weights.
    """
    frozen = keras.Model(network.input["image"], network.get_layer(LAST_OF_STAGE.format(last_frozen)).output)
    shapes = {name: tensor.shape[1:] for name, tensor in network.input.items() if name != "image"}
    shapes[FEATURES] = frozen.output.shape[1:]
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    x, stages = inputs[FEATURES], list(FILTERS)
    for name in stages[stages.index(last_frozen) + 1 :]:
        x = stage(x, name)
    rest = keras.Model(inputs, _judged(x, inputs, share_real), name=f"{network.name}_rest")
    copy_weights(network, rest)
    return frozen, rest


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give all layers of ``target`` the weights of those of the same names, and nothing to other layers."""
    names = {layer.name for layer in source.layers}
    for layer in target.layers:
        if layer.weights and layer.name in names:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def _judged(
    last_map: keras.KerasTensor, inputs: Mapping[str, keras.KerasTensor], share_real: float
) -> keras.KerasTensor:
    x = keras.layers.GlobalAveragePooling2D(name=POOLED)(last_map)
    if "scalars" in inputs:
        x = keras.layers.Concatenate(name="with_scalars")([x, inputs["scalars"]])
    if BY_HAND in inputs:
        side = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=1e-6, name=f"{BY_HAND}_scaled")(
            inputs[BY_HAND]
        )
        for number in (1, 2):
            side = keras.layers.Dense(BY_HAND_UNITS, "relu", name=f"{BY_HAND}_{number}")(side)
        x = keras.layers.Concatenate(name=f"with_{BY_HAND}")([x, side])
    raw = keras.layers.Dense(1, kernel_initializer="zeros", name=LAST_LAYER)(x)
    deviation = float(np.sqrt(share_real * (1 - share_real)))
    return BernoulliOutput([share_real], [deviation], name=LOGIT)(raw)


def last_map_of(network: keras.Model) -> Any:
    """Symbolic last map of a network, before it is averaged."""
    return network.get_layer(POOLED).input
