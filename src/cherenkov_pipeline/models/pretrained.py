"""Weights of one training as the beginning of another: an old backbone under a new head, frozen or not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.layers import Standardize
from cherenkov_pipeline.models.parameters import ModelParameters, PretrainedParameters
from cherenkov_pipeline.models.saved import load_network

INPUT_PREFIX = "input_"


@dataclass(frozen=True)
class Pretrained:
    """A trained network whose layers another one takes over.

    Attributes
    ----------
    path : Path
    model : keras.Model
    parameters : PretrainedParameters
    """

    path: Path
    model: keras.Model
    parameters: PretrainedParameters

    @property
    def scales(self) -> dict[str, tuple[Sequence[Any], Sequence[Any]]]:
        """Name of the input -> mean and deviation that the network was trained with, see `Scales`."""
        return {
            layer.name.removeprefix(INPUT_PREFIX): (layer.mean, layer.deviation)
            for layer in self.model.layers
            if isinstance(layer, Standardize)
        }

    def apply(self, model: keras.Model) -> None:
        """Give a network the weights, and freeze what is to be frozen.

        Raises
        ------
        UserError
            If a prefix fits no layer, a layer has other weights in the two networks, or nothing is left to train.
        """
        wanted = self.parameters
        old = {layer.name: layer for layer in self.model.layers if layer.weights}
        for layer in _beginning_with(wanted.prefixes, model, self.path):
            if not layer.weights:
                continue
            if layer.name not in old:
                raise UserError(f"{self.path} has no layer {layer.name}: name prefixes that both networks have.")
            weights = old[layer.name].get_weights()
            shapes = [[tuple(value.shape) for value in values] for values in (layer.weights, weights)]
            if shapes[0] != shapes[1]:
                raise UserError(
                    f"The layer {layer.name} has other weights in {self.path} ({shapes[1]}) than here ({shapes[0]}):"
                    " take the same options and inputs, or leave it out of the prefixes."
                )
            layer.set_weights(weights)
        if wanted.freeze:
            for layer in _beginning_with(wanted.freeze, model, self.path):
                layer.trainable = False
        if not model.trainable_weights:
            raise UserError("All layers are frozen and nothing is left to train: shorten the list of frozen prefixes.")
        learning_rate_factors(model, wanted)


def load_pretrained(parameters: PretrainedParameters) -> Pretrained:
    """Load the network that the parameters name.

    Raises
    ------
    UserError
        If it cannot be loaded.
    """
    path, model = load_network(parameters.path)
    return Pretrained(path, model, parameters)


def learning_rate_factors(model: keras.Model, parameters: ModelParameters | PretrainedParameters | None) -> list[float]:
    """Factor of the learning rate of each trainable variable of a network.

    The *step* of a variable is to be multiplied by it. To multiply its gradient is the same for plain SGD alone: Adam
    and its relatives divide by the gradient's size.

    Parameters
    ----------
    model : keras.Model
    parameters : ModelParameters or PretrainedParameters or None

    Returns
    -------
    list of float
        In the order of ``model.trainable_variables``; 1 where nothing was said.

    Raises
    ------
    UserError
        If a prefix fits no layer that is trained.
    """
    if isinstance(parameters, ModelParameters):
        parameters = parameters.pretrained
    factors: Mapping[str, float] = parameters.learning_rate_factors if parameters else {}
    by_variable: dict[int, float] = {}
    for prefix in sorted(factors, key=len):  # the longest last: it counts
        layers = _beginning_with([prefix], model, parameters.path)
        variables = [variable for layer in layers for variable in layer.trainable_variables]
        if not variables:
            raise UserError(f"No layer {prefix}... is trained, so that it has no learning rate: take its factor out.")
        by_variable |= {id(variable): factors[prefix] for variable in variables}
    return [by_variable.get(id(variable), 1.0) for variable in model.trainable_variables]


def _beginning_with(prefixes: Iterable[str], model: keras.Model, path: str | Path) -> list[keras.layers.Layer]:
    prefixes = tuple(prefixes)
    for prefix in prefixes:
        if not any(layer.name.startswith(prefix) for layer in model.layers):
            begins = sorted({"_".join(layer.name.split("_")[:2]) for layer in model.layers if layer.weights})
            raise UserError(
                f"No layer's name begins with {prefix!r}, named for the weights of {path}; there are"
                f" {', '.join(begins)}: correct it."
            )
    return [layer for layer in model.layers if layer.name.startswith(prefixes)]
