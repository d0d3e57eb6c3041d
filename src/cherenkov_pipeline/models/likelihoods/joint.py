"""Several likelihoods in one network: their outputs side by side, their losses summed with given or learned weights.

A joint likelihood is named by its parts, ``"gaussian(1)+bernoulli(1)+head_tail(2)"`` with the number of targets of
each, or with given weights, ``"1.0*gaussian(1)+0.5*bernoulli(1)"``. A target that is NaN counts nothing: so protons
are left out of the regressions.

Without given weights they are learned, as the logarithms s of the variances of homoscedastic noise (Kendall et al.
2018, arXiv:1705.07115): each part counts exp(-s) (L - L_low) + s, with L_low the part's lowest possible loss, as a
likelihood of a continuous target may be larger than 1 and its loss negative.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cherenkov_pipeline.models.backend import PACKAGE, keras
from cherenkov_pipeline.models.likelihoods.base import Constants, Likelihood, OutputLayer
from cherenkov_pipeline.models.likelihoods.simple import SIMPLE

ops = keras.ops

PART = re.compile(r"(?:(\d+(?:\.\d+)?)\*)?(\w+)\((\d+)\)")
LARGEST_LOG_VARIANCE = 4.0


@dataclass(frozen=True)
class Part:
    """One of several likelihoods, and its columns among the targets, raw numbers and outputs of all."""

    name: str
    n_targets: int
    weight: float | None
    targets: slice
    raw: slice
    outputs: slice

    @property
    def likelihood(self) -> Likelihood:
        """What it is."""
        return SIMPLE[self.name]

    @property
    def reads_more(self) -> bool:
        """Whether its output layer reads the frame or point that comes with the raw numbers."""
        return self.likelihood.needs_frame or self.likelihood.takes_point


@functools.cache
def parse(name: str) -> tuple[Part, ...]:
    """Parts of a joint likelihood's name.

    Raises
    ------
    ValueError
        If it is not one, names an unknown likelihood, or gives some parts a weight and others none.
    """
    parts: list[Part] = []
    ends = 0, 0, 0
    for text in name.replace(" ", "").split("+"):
        match = PART.fullmatch(text)
        if not match or match[2] not in SIMPLE:
            raise ValueError(
                f"a likelihood is one of {', '.join(SIMPLE)}, or several as in 'gaussian(1)+bernoulli(1)'."
                f" Received: {name!r}"
            )
        weight, n_targets, likelihood = match[1], int(match[3]), SIMPLE[match[2]]
        widths = n_targets, likelihood.n_raw(n_targets), likelihood.n_outputs(n_targets)
        places = [slice(end, end + width) for end, width in zip(ends, widths, strict=True)]
        ends = tuple(place.stop for place in places)
        parts.append(Part(match[2], n_targets, None if weight is None else float(weight), *places))
    if len({part.weight is None for part in parts}) > 1:
        raise ValueError(f"give all parts of a likelihood a weight, or none. Received: {name!r}")
    return tuple(parts)


@keras.saving.register_keras_serializable(PACKAGE)
class JointOutput(OutputLayer):
    """Outputs of all parts side by side, then, for each part, its log-variance s and its lowest loss.

    Parameters
    ----------
    mean, deviation : sequence of float
        Of all training targets.
    parts : str
        Name of the joint likelihood.

    Notes
    -----
    Constants are those of the parts, under ``<number of the part>.<constant>``.
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], parts: str, **kwargs: Any):
        self.parts = parts
        super().__init__(mean, deviation, **kwargs)
        self._layers_of_parts = [
            part.likelihood.output_layer(
                self.mean[part.targets], self.deviation[part.targets], name=f"{self.name}_{part.name}_{number}"
            )
            for number, part in enumerate(parse(parts))
        ]
        self.log_variances = self.add_weight(
            shape=(len(self._layers_of_parts),),
            initializer="zeros",
            trainable=parse(parts)[0].weight is None,
            name="log_variances",
        )

    def neutral(self) -> Constants:
        """Return nothing: the parts hold the constants."""
        return {}

    def build(self, input_shape: Any) -> None:
        """Build the layers of the parts."""
        raw_shape = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
        for part, layer in zip(parse(self.parts), self._layers_of_parts, strict=True):
            own = (raw_shape[0], part.raw.stop - part.raw.start)
            second = input_shape[1:] if raw_shape is not input_shape else ()
            layer.build([own, *second] if second and part.reads_more else own)
        self.built = True

    def call(self, inputs: Any) -> keras.KerasTensor:
        """Give each part its raw numbers."""
        raw, *second = inputs if isinstance(inputs, list | tuple) else (inputs,)
        outputs = [
            layer([raw[:, part.raw], *second] if second and part.reads_more else raw[:, part.raw])
            for part, layer in zip(parse(self.parts), self._layers_of_parts, strict=True)
        ]
        lowest = ops.convert_to_tensor([layer.lowest_loss for layer in self._layers_of_parts], dtype=outputs[0].dtype)
        limited = LARGEST_LOG_VARIANCE * ops.tanh(ops.convert_to_tensor(self.log_variances) / LARGEST_LOG_VARIANCE)
        carried = ops.concatenate([limited, lowest])[np.newaxis]
        return ops.concatenate([*outputs, ops.zeros_like(raw[:, :1], dtype=outputs[0].dtype) + carried], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Shape of the outputs."""
        raw_shape = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
        return (raw_shape[0], n_outputs(self.parts))

    @property
    def constants(self) -> Constants:
        """Constants of all parts."""
        return {
            f"{number}.{name}": value
            for number, layer in enumerate(self._layers_of_parts)
            for name, value in layer.constants.items()
        }

    def set_constants(self, constants: dict[str, Any]) -> None:
        """Set some or all constants of the parts."""
        for key, value in constants.items():
            number, _, name = key.partition(".")
            self._layers_of_parts[int(number)].set_constants({name: value})

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "parts": self.parts}


def n_outputs(parts: str) -> int:
    """Columns that a joint likelihood has."""
    found = parse(parts)
    return found[-1].outputs.stop + 2 * len(found)


@keras.saving.register_keras_serializable(PACKAGE)
class JointLikelihood(keras.losses.Loss):
    """Weighted sum of the parts' losses; a part of which an event has no target counts nothing there.

    Parameters
    ----------
    parts : str
        Name of the joint likelihood.
    """

    def __init__(self, parts: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.parts = parts

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Loss of each event."""
        total = ops.zeros_like(y_pred[:, 0])
        n_parts = len(parse(self.parts))
        for number, (part, targets, present) in enumerate(_targets(self.parts, y_true, y_pred.dtype)):
            loss = part.likelihood.loss().call(targets, y_pred[:, part.outputs])
            if part.weight is None:
                log_variance, lowest = (y_pred[:, number - n_parts * (2 - group)] for group in range(2))
                loss = ops.exp(-log_variance) * (loss - lowest) + log_variance
            else:
                loss = part.weight * loss
            total = total + ops.where(present, loss, 0.0)
        return total

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "parts": self.parts}


class PartMetric(keras.metrics.Mean):
    """Mean of a part's metric over the events that have its targets."""

    def __init__(self, function: Callable[..., Any], part: Part, name: str):
        super().__init__(name=name)
        self.function, self.part = function, part

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        y_pred = ops.convert_to_tensor(y_pred)
        targets, present = _present(self.part, ops.convert_to_tensor(y_true), y_pred.dtype)
        weight = ops.cast(present, y_pred.dtype)
        if sample_weight is not None:
            weight = weight * ops.cast(ops.reshape(sample_weight, (-1,)), y_pred.dtype)
        super().update_state(self.function(targets, y_pred[:, self.part.outputs]), weight)


def joint(name: str) -> Likelihood:
    """Make the likelihood of a name such as ``gaussian(1)+bernoulli(1)``.

    Raises
    ------
    ValueError
        See `parse`.
    """
    parts = parse(name)
    total = parts[-1].targets.stop

    def checked(number: int) -> Callable[[int], int]:
        def count(n_targets: int) -> int:
            if n_targets != total:
                raise ValueError(f"the likelihood {name} has {total} targets. Received: {n_targets}")
            return number

        return count

    return Likelihood(
        n_raw=checked(parts[-1].raw.stop),
        n_outputs=checked(n_outputs(name)),
        output_layer=functools.partial(JointOutput, parts=name),
        loss=functools.partial(JointLikelihood, name),
        make_metrics=lambda: [
            PartMetric(metric, part, f"{part.name}_{number}_{metric.__name__}")
            for number, part in enumerate(parts)
            for metric in part.likelihood.metrics
            if not isinstance(metric, keras.metrics.Metric)
        ],
        calibrate=functools.partial(_calibrate, parts),
        needs_frame=any(part.likelihood.needs_frame for part in parts),
        takes_point=any(part.likelihood.takes_point for part in parts),
    )


def with_auxiliary_parts(name: str) -> Likelihood:
    """Make the likelihood of a task, the first part, with auxiliary ones; otherwise as `joint`."""
    own, *_ = parse(name)

    def own_loss(y_true: Any, y_pred: Any) -> Any:
        targets, present = _present(own, y_true, y_pred.dtype)
        return ops.where(present, own.likelihood.loss().call(targets, y_pred[:, own.outputs]), 0.0)

    return replace(joint(name), own_loss=own_loss)


def _calibrate(parts: Sequence[Part], outputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Constants:
    """Calibrate each part on the events that have its targets."""
    constants = {}
    for number, part in enumerate(parts):
        present = np.isfinite(targets[:, part.targets]).all(axis=1)
        found = part.likelihood.calibrate(
            outputs[present, part.outputs], targets[present, part.targets], weights[present]
        )
        constants |= {f"{number}.{name}": value for name, value in found.items()}
    return constants


def _present(part: Part, y_true: Any, dtype: str) -> tuple[Any, Any]:
    """Targets of a part, 0 where there is none, and whether an event has them."""
    own = ops.cast(y_true[:, part.targets], dtype)
    finite = ops.isfinite(own)
    return ops.where(finite, own, ops.zeros_like(own)), ops.all(finite, axis=-1)


def _targets(parts: str, y_true: Any, dtype: str) -> Iterator[tuple[Part, Any, Any]]:
    for part in parse(parts):
        yield part, *_present(part, y_true, dtype)
