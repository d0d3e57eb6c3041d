"""What a network's outputs mean: output layer, loss, metrics and calibration of each likelihood, in ``keras.ops``.

``LIKELIHOODS[name]`` is a `Likelihood`:

- ``gaussian``: k means and k logarithms of scales (energy, core, shower maximum);
- ``bernoulli``: a logit (particle type);
- ``head_tail``: a mixture of two points along the shower's axis (direction from one telescope);
- ``point``: one point and its error (direction from several telescopes);
- several in one network: ``"gaussian(1)+bernoulli(1)+head_tail(2)"``, see `likelihoods.joint`.

The output layer holds mean and deviation of the training targets, so that the layers before it work with numbers of
order one and the saved model speaks the target's units; and what `calibrate_model` finds after the training on the
validation events, so that an interval of 68.27 % holds 68.27 % and a probability is one.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.likelihoods.base import TASK_LOSS, Constants, Likelihood, OutputLayer
from cherenkov_pipeline.models.likelihoods.bernoulli import BernoulliLikelihood, BernoulliOutput
from cherenkov_pipeline.models.likelihoods.calibration import MINIMUM_EVENTS
from cherenkov_pipeline.models.likelihoods.gaussian import (
    MINIMUM_SCALE,
    GaussianLikelihood,
    GaussianOutput,
    absolute_error,
)
from cherenkov_pipeline.models.likelihoods.head_tail import HeadTailLikelihood, HeadTailOutput
from cherenkov_pipeline.models.likelihoods.joint import (
    JointLikelihood,
    JointOutput,
    joint,
    with_auxiliary_parts,
)
from cherenkov_pipeline.models.likelihoods.point import PointLikelihood, PointOutput
from cherenkov_pipeline.models.likelihoods.simple import SIMPLE

__all__ = [
    "LIKELIHOODS",
    "MINIMUM_SCALE",
    "TASK_LOSS",
    "BernoulliLikelihood",
    "BernoulliOutput",
    "GaussianLikelihood",
    "GaussianOutput",
    "HeadTailLikelihood",
    "HeadTailOutput",
    "JointLikelihood",
    "JointOutput",
    "Likelihood",
    "OutputLayer",
    "PointLikelihood",
    "PointOutput",
    "absolute_error",
    "calibrate_model",
    "output_layer",
    "predict_events",
    "with_auxiliary_parts",
]

logger = logging.getLogger(__name__)


class _Likelihoods(dict[str, Likelihood]):
    """The simple likelihoods; a joint one is made when it is asked for."""

    def __missing__(self, name: str) -> Likelihood:
        if "(" not in name:
            raise KeyError(name)
        return joint(name)


LIKELIHOODS: dict[str, Likelihood] = _Likelihoods(SIMPLE)


def output_layer(model: keras.Model) -> OutputLayer:
    """Return the layer that gives a model's outputs."""
    return next(layer for layer in reversed(model.layers) if isinstance(layer, OutputLayer))


def calibrate_model(model: keras.Model, likelihood: Likelihood, batches: Sequence[tuple[Any, ...]]) -> Constants:
    """Calibrate a trained model: set the constants of its output layer.

    Parameters
    ----------
    model : keras.Model
    likelihood : Likelihood
        Of its outputs.
    batches : sequence
        ``(inputs, targets)`` or ``(inputs, targets, weights)`` of events that it was not trained on: the validation
        events, weighted as the training events were.

    Returns
    -------
    dict
        The constants that were set: neutral ones where there are too few events, which is logged.
    """
    layer = output_layer(model)
    before = layer.constants
    # outputs as an uncalibrated layer gives them: calibrating twice is calibrating once
    neutral = likelihood.output_layer(layer.mean, layer.deviation).constants
    layer.set_constants({name: value for name, value in neutral.items() if "target_" not in name})
    try:
        events = predict_events(model, batches)
        constants = likelihood.calibrate(*events)
    except BaseException:
        layer.set_constants(before)
        raise
    if len(events[0]) < MINIMUM_EVENTS:
        logger.warning(
            "The model is not calibrated: there are %d validation events, and %d are needed.",
            len(events[0]), MINIMUM_EVENTS,
        )  # fmt: skip
    layer.set_constants(constants)
    return constants


def predict_events(model: keras.Model, batches: Sequence[tuple[Any, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return outputs (n, n_outputs), targets (n, n_targets) and weights (n,) of the events of batches.

    The batches are as in `calibrate_model`; without weights all events count 1. Events that the model cannot predict,
    as a forest those without image parameters, and events without any target are left out. The model stays uncompiled,
    as a loaded one is.
    """
    outputs, targets, weights = [], [], []
    for inputs, target, *weight in (batches[number] for number in range(len(batches))):
        outputs.append(np.asarray(model.predict_on_batch(inputs)))
        targets.append(np.asarray(target))
        weights.append(np.asarray(weight[0]) if weight else np.ones(len(target)))
    events = np.concatenate(outputs), np.concatenate(targets), np.concatenate(weights)
    known = np.isfinite(events[0]).all(axis=1) & np.isfinite(events[1]).any(axis=1)
    return tuple(values[known] for values in events)
