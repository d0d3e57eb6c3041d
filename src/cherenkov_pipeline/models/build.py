"""Networks from parameters: inputs, backbone, head and the task's output layer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.layers import MapPixels
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import HEADS, REGISTRY, resolve
from cherenkov_pipeline.tasks import Task

if TYPE_CHECKING:
    from cherenkov_pipeline.store.mapping import ImageMapping


@dataclass(frozen=True)
class Scales:
    """Means and deviations of the training data, which become part of the network.

    Attributes
    ----------
    target_mean, target_deviation : sequence of float
        One a target.
    inputs : mapping
        Name of the input -> (mean, deviation), each one number a channel. An input without an entry is used as it is.
    """

    target_mean: Sequence[float]
    target_deviation: Sequence[float]
    inputs: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)


def measure_scales(inputs: Mapping[str, np.ndarray], targets: np.ndarray) -> Scales:
    """Measure `Scales` on training events.

    Parameters
    ----------
    inputs : mapping
        Name -> array (n, ..., channels), finite.
    targets : ndarray
        (n, n_targets), finite.

    Returns
    -------
    Scales
        Images (more than one dimension) keep their zero: an empty pixel stays empty. A constant has deviation 1.
    """

    def scale(values: np.ndarray) -> tuple[list[float], list[float]]:
        axes = tuple(range(values.ndim - 1))
        mean = values.mean(axes, dtype=float)
        if values.ndim > 2:
            mean = np.zeros_like(mean)
        deviation = np.sqrt(np.square(values - mean.astype(values.dtype)).mean(axes, dtype=float))
        return mean.tolist(), np.where(deviation > 0, deviation, 1.0).tolist()

    mean, deviation = scale(targets)
    return Scales(mean, deviation, {name: scale(values) for name, values in inputs.items()})


def build_model(
    parameters: ModelParameters,
    task: Task,
    shapes: Mapping[str, tuple[int, ...]],
    scales: Scales,
    mapping: "ImageMapping | None" = None,
) -> keras.Model:
    """Build a network; its weights are random (Keras' seed).

    Parameters
    ----------
    parameters : ModelParameters
    task : Task
    shapes : mapping
        Name of the input -> shape of one event.
    scales : Scales
    mapping : ImageMapping, optional
        Of the camera's pixels to the image. An input ``pixels`` is mapped by the network's first layer, and the
        backbone gets ``image``.

    Returns
    -------
    keras.Model
        From a dict of named inputs to the outputs of the task's likelihood, in the target's units.

    Raises
    ------
    UserError
        If the backbone or head cannot be imported or does not take its options, if the backbone reads an input that
        is not there or leaves one unread, or if hexagonal convolutions are wanted
        of an image that is no hexagonal lattice.
    """
    likelihood = LIKELIHOODS[task.likelihood]
    backbone = resolve(parameters.name, REGISTRY, parameters.options)
    head = resolve(parameters.head.name, HEADS, parameters.head.options)
    if parameters.options.get("convolution") == "hexagonal" and (mapping is None or mapping.name != "axial"):
        given = None if mapping is None else mapping.name
        raise UserError(f"Hexagonal convolutions need the mapping 'axial': choose it, not {given!r}, or square ones.")
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    seen = {name: _normalized(x, name, scales) for name, x in inputs.items()}
    if "pixels" in seen and mapping is not None:
        seen["image"] = MapPixels.of(mapping, name="input_image")(seen.pop("pixels"))
    features = _features(backbone, seen, parameters)
    features = head(features, **parameters.head.options)
    n_outputs = task.n_targets * likelihood.outputs_per_target
    # zeros: training starts from the targets' mean and deviation, whatever the size of the features
    raw = keras.layers.Dense(n_outputs, kernel_initializer="zeros", name="head_raw")(features)
    outputs = likelihood.output_layer(scales.target_mean, scales.target_deviation, name=f"head_{task.name}")(raw)
    name = parameters.name.rpartition(":")[2]
    return keras.Model(inputs, outputs, name=f"{name}_{task.name}")


class _Offered(Mapping):
    """Inputs that are offered to a backbone; remembers which it asked for."""

    def __init__(self, inputs: Mapping[str, keras.KerasTensor]):
        self._inputs = inputs
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> keras.KerasTensor:
        self.asked.add(name)
        return self._inputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)


def _features(
    backbone: Callable[..., keras.KerasTensor], inputs: Mapping[str, keras.KerasTensor], parameters: ModelParameters
) -> keras.KerasTensor:
    """Features of the backbone; an input that it needs and does not get, or gets and does not read, is an error."""
    offered = _Offered(inputs)
    try:
        features = backbone(offered, **parameters.options)
    except KeyError as error:
        if missing := offered.asked - inputs.keys():
            raise UserError(
                f"The model {parameters.name} reads the input {missing.pop()!r}, but the task's input makes"
                f" {', '.join(inputs)}: change the input, or choose another model."
            ) from error
        raise
    if unread := inputs.keys() - offered.asked:
        raise UserError(
            f"The model {parameters.name} does not read {', '.join(sorted(unread))}: take it out of the task's input,"
            " or choose a model that does."
        )
    return features


def _normalized(x: keras.KerasTensor, name: str, scales: Scales) -> keras.KerasTensor:
    if name not in scales.inputs:
        return x
    mean, deviation = scales.inputs[name]
    variance = np.square(deviation).tolist()
    return keras.layers.Normalization(axis=-1, mean=list(mean), variance=variance, name=f"input_{name}")(x)
