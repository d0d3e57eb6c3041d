"""Several models of one task as one: their predicted densities are mixed, as far as the likelihood's columns can say.

Each member predicts a density; the ensemble's is their mean. What the columns of the likelihood hold of that mixture:

- ``gaussian``: its mean and standard deviation, so that members who disagree give a larger error;
- ``bernoulli``: the mean probability;
- ``head_tail``: the mean probability of the head, and for each side mean and spread over the members, which count there
  by the probability that they give to that side; the spread is that of a Laplace distribution with the mixture's
  variance, 2 b^2;
- ``point``: mean place, and the scale whose density has the mixture's mean square distance, 6 b^2;
- several tasks in one network: each part by itself.

Two sharp peaks become one broad one by that: the columns have no room for two.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.models.backend import PACKAGE, keras
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, OutputLayer
from cherenkov_pipeline.models.likelihoods.base import Constants, log_factor
from cherenkov_pipeline.models.likelihoods.joint import parse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ops = keras.ops


@keras.saving.register_keras_serializable(PACKAGE)
class MixedOutput(OutputLayer):
    """Outputs of the members, each (n, n_outputs), to outputs of the ensemble in the same columns.

    Parameters
    ----------
    mean, deviation : sequence of float
        One a target; only their number counts.
    likelihood : str
        Name in `~cherenkov_pipeline.models.likelihoods.LIKELIHOODS`.

    Notes
    -----
    The mixture of calibrated members is too broad: it is calibrated anew. Constants are those of the likelihood's own
    output layer that a calibration finds.
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], likelihood: str, **kwargs: Any):
        self.likelihood = likelihood
        super().__init__(mean, deviation, **kwargs)

    def neutral(self) -> Constants:
        """Constants before any calibration."""
        own = LIKELIHOODS[self.likelihood].output_layer(self.mean, self.deviation)
        return {
            name: value
            for name, value in own.constants.items()
            if not name.rpartition(".")[2].startswith(("target_", "bias"))
        }

    def set_constants(self, constants: "Mapping[str, ArrayLike]") -> None:
        """Set those of the constants that a mixture has."""
        super().set_constants({name: value for name, value in constants.items() if name in self._held})

    def call(self, outputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Mix."""
        stacked = ops.stack([ops.cast(one, self.compute_dtype) for one in outputs])
        if self.likelihood in MIXTURES:
            return MIXTURES[self.likelihood](stacked, self._constants(""))
        parts = parse(self.likelihood)
        mixed = [
            MIXTURES[part.name](stacked[:, :, part.outputs], self._constants(f"{number}."))
            for number, part in enumerate(parts)
        ]
        return ops.concatenate([*mixed, ops.mean(stacked[:, :, parts[-1].outputs.stop :], axis=0)], axis=-1)

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Shape of one member's outputs."""
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "likelihood": self.likelihood}

    def _constants(self, prefix: str) -> dict[str, Any]:
        return {
            name.removeprefix(prefix): ops.convert_to_tensor(weight)
            for name, weight in self._held.items()
            if name.startswith(prefix)
        }


def _gaussian(outputs: Any, constants: Mapping[str, Any]) -> Any:
    means, log_scales = ops.split(outputs, 2, axis=-1)
    mean = ops.mean(means, axis=0)
    variance = ops.mean(ops.exp(2 * log_scales) + ops.square(means - mean), axis=0)
    return ops.concatenate([mean, 0.5 * ops.log(variance) + _log_factor(mean, constants)], axis=-1)


def _bernoulli(outputs: Any, constants: Mapping[str, Any]) -> Any:
    return _mean_logit(outputs) / constants["temperature"]


def _head_tail(outputs: Any, constants: Mapping[str, Any]) -> Any:
    logit, head, log_head, tail, log_tail, across, log_across = (outputs[:, :, i : i + 1] for i in range(7))
    equal = ops.ones_like(logit) / outputs.shape[0]
    sides = [
        _laplace(head, log_head, ops.softmax(-ops.softplus(-logit), axis=0)),
        _laplace(tail, log_tail, ops.softmax(-ops.softplus(logit), axis=0)),
        _laplace(across, log_across, equal),
    ]
    mixed = _mean_logit(logit)
    likely = ops.abs(ops.where(mixed > 0, sides[0][0], sides[1][0]))
    factor = _log_factor(likely, constants)
    columns = [column for place, scale in sides for column in (place, scale + factor)]
    return ops.concatenate([mixed / constants["temperature"], *columns, outputs[0, :, 7:]], axis=-1)


def _point(outputs: Any, constants: Mapping[str, Any]) -> Any:
    places, log_scales = outputs[:, :, :2], outputs[:, :, 2:3]
    place = ops.mean(places, axis=0)
    distance = ops.sum(ops.square(places - place), axis=-1, keepdims=True)
    scale = 0.5 * ops.log(ops.mean(6 * ops.exp(2 * log_scales) + distance, axis=0) / 6)
    return ops.concatenate([place, scale + _log_factor(scale, constants)], axis=-1)


MIXTURES: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "gaussian": _gaussian,
    "bernoulli": _bernoulli,
    "head_tail": _head_tail,
    "point": _point,
}
"""Likelihood of one task -> ``(outputs (n_members, n, n_outputs), constants) -> (n, n_outputs)``."""


def mix_models(models: Sequence[keras.Model], likelihood: str, n_targets: int, name: str) -> keras.Model:
    """Make one model of several that read the same inputs.

    Parameters
    ----------
    models : sequence of keras.Model
        From a dict of named inputs to outputs of the likelihood; not changed.
    likelihood : str
        Name in `~cherenkov_pipeline.models.likelihoods.LIKELIHOODS`.
    n_targets : int
    name : str
        Of the model.

    Returns
    -------
    keras.Model
        With the models as sub-models ``member_1``, ``member_2``, ...
    """
    inputs = {tensor.name: keras.Input(tensor.shape[1:], name=tensor.name) for tensor in models[0].inputs}
    outputs = []
    for number, model in enumerate(models, start=1):
        member = model.__class__.from_config({**model.get_config(), "name": f"member_{number}"})
        member.set_weights(model.get_weights())
        outputs.append(member(inputs))
    nothing = [0.0] * n_targets
    mixed = MixedOutput(nothing, [1.0] * n_targets, likelihood, name="head_mixture")(outputs)
    return keras.Model(inputs, mixed, name=name)


def _mean_logit(logits: Any) -> Any:
    """Logit of the mean probability, over the first axis."""
    yes, no = (ops.logsumexp(-ops.softplus(sign * logits), axis=0) for sign in (-1, 1))
    return yes - no


def _laplace(places: Any, log_scales: Any, weights: Any) -> tuple[Any, Any]:
    """Place and log-scale of the Laplace distribution with mean and variance of a mixture of such."""
    place = ops.sum(weights * places, axis=0)
    variance = ops.sum(weights * (2 * ops.exp(2 * log_scales) + ops.square(places - place)), axis=0)
    return place, 0.5 * (ops.log(variance) - math.log(2))


def _log_factor(predictor: Any, constants: Mapping[str, Any]) -> Any:
    return log_factor(predictor, constants["factor_places"], constants["log_factors"])
