"""Networks from parameters: inputs, backbone, head and the task's output layer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cherenkov_pipeline.errors import UserError, reason
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.layers import MapPixels, Standardize, StandardizeByType
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, Likelihood
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.pretrained import Pretrained, load_pretrained
from cherenkov_pipeline.models.registry import HEADS, REGISTRY, ModelEntry, resolve
from cherenkov_pipeline.store.inputs import UNSCALED
from cherenkov_pipeline.tasks import Task

if TYPE_CHECKING:
    from cherenkov_pipeline.store.mapping import ImageMapping

JOINED = ("parameters", "positions")
"""Inputs that are joined to the features of one image where the backbone does not read them itself."""

OPTIONAL = tuple(name for name in UNSCALED if name not in JOINED)
"""Inputs that are offered to a backbone and need not be read: masks, the shower's frame and kinds."""

LAST_LAYER = "head_raw"
"""Name of the dense layer that gives the raw numbers of the output layer."""

ZERO_IS_NOTHING = ("image", "pixels", "brightest")
"""Inputs that are scaled without being moved: an empty pixel stays empty."""

SAME = {"image": "pixels", "pixels": "image"}
"""The same input, mapped by the batches or by the network."""


@dataclass(frozen=True)
class Scales:
    """Means and deviations of the training data, which become part of the network.

    Attributes
    ----------
    target_mean, target_deviation : sequence of float
        One a target.
    inputs : mapping
        Name of the input -> (mean, deviation), each one number a channel, or (n_types, channels) of several telescope
        types. An input without an entry is used as it is.
    """

    target_mean: Sequence[float]
    target_deviation: Sequence[float]
    inputs: Mapping[str, tuple[Sequence[Any], Sequence[Any]]] = field(default_factory=dict)


@dataclass
class _Moments:
    """Number, mean and sum of squared deviations of the values of each channel, of all that was added."""

    n: int = 0
    mean: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Add values (..., channels), as Chan et al. 1979 do."""
        values = values.reshape(-1, values.shape[-1])
        if not len(values):
            return
        mean, before, self.n = values.mean(axis=0, dtype=float), self.n, self.n + len(values)
        step = mean - self.mean
        self.squares += np.square(values - mean.astype(values.dtype)).sum(axis=0, dtype=float)
        self.squares += np.square(step) * before * len(values) / self.n
        self.mean += step * len(values) / self.n

    def scale(self, keeps_zero: bool) -> tuple[list[float], list[float]]:
        """Mean, or 0, and deviation from it; that of a constant is 1."""
        variance = self.squares / self.n + (np.square(self.mean) if keeps_zero else 0)
        mean = np.zeros_like(self.mean) if keeps_zero else self.mean
        return mean.tolist(), np.where(variance > 0, np.sqrt(variance), 1.0).tolist()


def measure_scales(
    inputs: Mapping[str, np.ndarray] | Iterable[Mapping[str, np.ndarray]], targets: np.ndarray
) -> Scales:
    """Measure `Scales` on training events.

    Parameters
    ----------
    inputs : mapping, or iterable of such
        Of all events, or of one batch after the other. Name -> array (n, ..., channels), finite. Of `UNSCALED` ones
        only ``telescopes`` counts: absent telescopes are left out; and with ``telescope_types``, each type is measured
        by itself.
    targets : ndarray
        (n, n_targets); what is not finite is left out.

    Returns
    -------
    Scales
        Images keep their zero: an empty pixel stays empty. A constant has deviation 1.

    Raises
    ------
    UserError
        If no event has one of the targets.
    """
    moments: dict[str, list[_Moments]] = {}
    for batch in [inputs] if isinstance(inputs, Mapping) else inputs:
        present, types = batch.get("telescopes"), batch.get("telescope_types")
        chosen = [... if present is None else present > 0]
        if types is not None:
            chosen += [present * types[..., number] > 0 for number in range(types.shape[-1])]
        for name in batch.keys() - set(UNSCALED):
            for one, images in zip(moments.setdefault(name, [_Moments() for _ in chosen]), chosen, strict=True):
                one.add(batch[name][images])

    def scale(name: str) -> tuple[list[Any], list[Any]]:
        together, *by_type = moments[name]
        # a type without an image in the sample is scaled as all are
        found = [(one if one.n else together).scale(name in ZERO_IS_NOTHING) for one in by_type or [together]]
        return tuple(map(list, zip(*found, strict=True))) if by_type else found[0]

    known = np.isfinite(targets)
    if not known.any(axis=0).all():
        raise UserError("A target is missing in all training events: check the labels and the particles of the task.")
    mean, deviation = (function(targets, axis=0, dtype=float, where=known) for function in (np.mean, np.std))
    return Scales(
        mean.tolist(),
        np.where(deviation > 0, deviation, 1.0).tolist(),
        {name: scale(name) for name in sorted(moments)},
    )


def task_likelihood(task: Task, stereo: bool) -> Likelihood:
    """Likelihood of a task's outputs, of one telescope or of several."""
    return LIKELIHOODS[task.likelihood_of("stereo" if stereo else "mono")]


def build_model(
    parameters: ModelParameters,
    task: Task,
    shapes: Mapping[str, tuple[int, ...]],
    scales: Scales,
    mapping: "ImageMapping | None" = None,
) -> keras.Model:
    """Build a network; its weights are random (Keras' seed) but for those of another training.

    Parameters
    ----------
    parameters : ModelParameters
    task : Task
    shapes : mapping
        Name of the input -> shape of one event. With ``telescopes`` it is an event seen by several.
    scales : Scales
        Inputs that pre-trained layers read keep the scales that those were trained with.
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
        If the backbone or head cannot be imported, does not take its options, raises anything or returns something
        else than features of one dimension, if the backbone reads an input that is not there or leaves one unread, if
        it is for one telescope and the input for several or the other way round, if hexagonal convolutions are wanted
        of an image that is no hexagonal lattice, or if the pre-trained weights do not fit.
    """
    _check_entry(parameters, shapes, mapping)
    likelihood = task_likelihood(task, stereo="telescopes" in shapes)
    if likelihood.needs_frame and "shower_frame" not in shapes:
        raise UserError(f"The task {task.name} needs the shower's frame: set shower_frame in its input.")
    backbone = resolve(parameters.name, REGISTRY, parameters.options)
    head = resolve(parameters.head.name, HEADS, parameters.head.options)
    pretrained = load_pretrained(parameters.pretrained) if parameters.pretrained else None
    if pretrained:
        scales = _learnt_scales(scales, pretrained, shapes)
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    seen = {name: _normalized(x, name, scales, inputs.get("telescope_types")) for name, x in inputs.items()}
    if "pixels" in seen and mapping is not None:
        seen["image"] = MapPixels.of(mapping, name="input_image_map")(seen.pop("pixels"))
    features, point = _features(backbone, seen, parameters)
    with _own_code(parameters.head.name, HEADS):
        features = head(features, **parameters.head.options)
    _check_features(features, parameters.head.name)
    # zeros: training starts from the targets' mean and deviation, whatever the size of the features
    n_raw = likelihood.n_raw(task.n_targets)
    raw = keras.layers.Dense(n_raw, kernel_initializer="zeros", name=LAST_LAYER)(features)
    output_layer = likelihood.output_layer(
        scales.target_mean, scales.target_deviation, name=f"head_{_plain(task.name)}"
    )
    second = inputs["shower_frame"] if likelihood.needs_frame else point if likelihood.takes_point else None
    outputs = output_layer(raw if second is None else [raw, second])
    model = keras.Model(inputs, outputs, name=network_name(parameters, task))
    if pretrained:
        pretrained.apply(model)
    return model


def network_name(parameters: ModelParameters, task: Task) -> str:
    """Name of the network of a model for a task."""
    return f"{_plain(parameters.name.rpartition(':')[2])}_{_plain(task.name)}"


def _plain(name: str) -> str:
    """Name that all backends take for a scope."""
    return name.replace("+", "_")


def _check_entry(
    parameters: ModelParameters, shapes: Mapping[str, tuple[int, ...]], mapping: "ImageMapping | None"
) -> None:
    """Refuse what the registry knows to be wrong."""
    if parameters.options.get("convolution") == "hexagonal" and (mapping is None or mapping.name != "axial"):
        given = None if mapping is None else mapping.name
        raise UserError(f"Hexagonal convolutions need the mapping 'axial': choose it, not {given!r}, or square ones.")
    entry, mode = REGISTRY.get(parameters.name), "stereo" if "telescopes" in shapes else "mono"
    if entry and entry.mode != mode:
        fitting = ", ".join(name for name, other in REGISTRY.items() if other.mode == mode)
        raise UserError(
            f"The model {parameters.name} is for {entry.mode} input, but the task's input is {mode}: set mode to"
            f" {entry.mode}, or choose one of {fitting}."
        )
    if entry and entry.trainer != "gradient":
        raise UserError(f"The model {parameters.name} is grown from data and not built: train a task with it.")


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

    def __contains__(self, name: object) -> bool:
        return name in self._inputs


def _features(
    backbone: Callable[..., keras.KerasTensor], inputs: Mapping[str, keras.KerasTensor], parameters: ModelParameters
) -> tuple[keras.KerasTensor, keras.KerasTensor | None]:
    """Features of the backbone, and the point that it offers, if it does.

    An input that it needs and does not get, or gets and does not read, is an error.
    """
    offered = _Offered(inputs)
    try:
        with _own_code(parameters.name, REGISTRY):
            features = backbone(offered, **parameters.options)
            features, point = features if isinstance(features, tuple) else (features, None)
    except (KeyError, UserError) as error:
        missing = offered.asked - inputs.keys()
        if missing and isinstance(error.__cause__ or error, KeyError):
            raise UserError(
                f"The model {parameters.name} reads the input {missing.pop()!r}, but the task's input makes"
                f" {', '.join(inputs)}: change the input, or choose another model."
            ) from error
        raise
    _check_features(features, parameters.name)
    unread = [name for name in inputs if name not in offered.asked and name not in OPTIONAL]
    joined = [inputs[name] for name in unread if name in JOINED and len(inputs[name].shape) == 2]
    if joined:
        features = keras.layers.Concatenate(name="backbone_with_parameters")([features, *joined])
    if others := [name for name in unread if not (name in JOINED and len(inputs[name].shape) == 2)]:
        raise UserError(
            f"The model {parameters.name} does not read {', '.join(sorted(others))}: take it out of the task's input,"
            " or choose a model that does."
        )
    return features, point


@contextmanager
def _own_code(name: str, entries: Mapping[str, ModelEntry]) -> Iterator[None]:
    """Say in one line what a user's own builder raises."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if name in entries:
            raise
        raise UserError(f"{name} cannot be built ({reason(error)}): correct it.") from error


def _check_features(features: Any, name: str) -> None:
    if not isinstance(features, keras.KerasTensor):
        raise UserError(f"{name} returns {type(features).__name__}, not a Keras tensor: return the features.")
    if len(features.shape) != 2 or features.shape[1] is None:
        raise UserError(f"The features of {name} have the shape {features.shape[1:]}: return one dimension.")


def _learnt_scales(scales: Scales, pretrained: Pretrained, shapes: Mapping[str, tuple[int, ...]]) -> Scales:
    """Scales with those that the pre-trained layers know."""
    # pixels that the network maps have the image's scale: mapping is linear
    known = {name if name in scales.inputs else SAME.get(name, name): one for name, one in pretrained.scales.items()}
    learnt = {name: scale for name, scale in known.items() if name in scales.inputs}
    for name, (mean, _) in learnt.items():
        if np.ndim(mean) == 2 and np.shape(mean)[0] != shapes.get("telescope_types", (0, 1))[-1]:
            raise UserError(
                f"{pretrained.path} was trained on {len(mean)} telescope types, which these data do not have: take a"
                " model of these types, or of one alone."
            )
        if np.shape(mean)[-1] != shapes[name][-1]:
            raise UserError(
                f"{pretrained.path} was trained with {np.shape(mean)[-1]} channels of the input {name!r}, this task's"
                f" input has {shapes[name][-1]}: take the same."
            )
    return replace(scales, inputs={**scales.inputs, **learnt})


def _normalized(x: keras.KerasTensor, name: str, scales: Scales, types: keras.KerasTensor | None) -> keras.KerasTensor:
    if name not in scales.inputs:
        return x
    mean, deviation = scales.inputs[name]
    if np.ndim(mean) == 2:
        return StandardizeByType(mean, deviation, name=f"input_{name}")(x, types)
    return Standardize(mean, deviation, name=f"input_{name}")(x)
