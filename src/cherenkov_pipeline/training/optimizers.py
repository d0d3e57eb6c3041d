"""Keras' optimizers and schedules from parameters.

Schedules are functions of the optimizer's step, which is one of its variables: a resumed training goes on with the
learning rate that it had. The plateau, which depends on the validation loss, is a callback.
"""

from collections.abc import Sequence
from typing import Any

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import LAST_LAYER
from cherenkov_pipeline.training.parameters import (
    CosineSchedule,
    OptimizerParameters,
    PlateauSchedule,
    StepsSchedule,
    TrainingParameters,
)

WARMUP_START = 0.01
"""Of the learning rate, at the first step of a warm-up."""

ADAM_SHARE = 1 / 3
"""Of Muon's learning rate, for what is no matrix: one rate suits dense networks and those with convolutions."""


def make_optimizer(
    parameters: OptimizerParameters,
    learning_rate: "float | keras.optimizers.schedules.LearningRateSchedule | None" = None,
    factors: Sequence[float] = (),
) -> keras.optimizers.Optimizer:
    """Make the optimizer that the parameters name.

    Parameters
    ----------
    parameters : OptimizerParameters
    learning_rate : float or LearningRateSchedule, optional
        Default: that of the parameters.
    factors : sequence of float, optional
        Factor of the learning rate of each trainable variable, in the order of the model's ``trainable_variables``.
        Default: 1. Variables with another factor than 1 are not decayed: weights of another training are not to
        shrink.
    """
    options: dict[str, Any] = {
        "learning_rate": parameters.learning_rate if learning_rate is None else learning_rate,
        "weight_decay": parameters.decay,
        "global_clipnorm": parameters.clip_norm,
        "clipvalue": parameters.clip_value,
    }
    match parameters.name:
        case "adam":
            kind = keras.optimizers.Adam
        case "adamw":
            # Keras' AdamW insists on a decay; Adam with one is the same
            kind = keras.optimizers.AdamW if parameters.decay else keras.optimizers.Adam
        case "muon":
            kind = keras.optimizers.Muon
            # the columns of the last layer are quantities of their own, not to be mixed
            options |= {
                "adam_weight_decay": parameters.decay,
                "adam_lr_ratio": ADAM_SHARE,
                "exclude_layers": [LAST_LAYER],
            }
        case "sgd":
            kind = keras.optimizers.SGD
            options |= {"momentum": parameters.momentum, "nesterov": parameters.nesterov}
        case "rmsprop":
            kind = keras.optimizers.RMSprop
            options |= {"momentum": parameters.momentum}
    if all(factor == 1 for factor in factors):
        return kind(**options)
    optimizer = _with_factors(kind)(**options)
    optimizer.factors = tuple(factors)
    return optimizer


def _with_factors(kind: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """Class of an optimizer whose steps are multiplied by a factor of each variable.

    Multiplying the gradients would change nothing in Adam and its relatives, which divide by their size.
    """

    class WithFactors(kind):
        factors: tuple[float, ...] = ()

        def build(self, variables: Sequence[keras.Variable]) -> None:
            if not self.built:
                own = [variable for variable, factor in zip(variables, self.factors, strict=True) if factor != 1]
                self.exclude_from_weight_decay(var_list=own)
            super().build(variables)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * self.factors[self._get_variable_index(variable)])

    WithFactors.__name__ = kind.__name__
    return WithFactors


def learning_rate(
    parameters: TrainingParameters, steps_per_epoch: int
) -> "float | keras.optimizers.schedules.LearningRateSchedule":
    """Learning rate as a function of the step; a number where it is constant, or a callback's business."""
    largest = parameters.optimizer.learning_rate
    match parameters.schedule:
        case CosineSchedule(warmup_epochs=warmup_epochs, final_fraction=final_fraction):
            warmup = round(warmup_epochs * steps_per_epoch)
            return keras.optimizers.schedules.CosineDecay(
                initial_learning_rate=WARMUP_START * largest if warmup else largest,
                decay_steps=max(1, parameters.epochs * steps_per_epoch - warmup),
                alpha=final_fraction,
                warmup_target=largest if warmup else None,
                warmup_steps=warmup,
            )
        case StepsSchedule(epochs=epochs, factor=factor):
            return keras.optimizers.schedules.PiecewiseConstantDecay(
                # Keras lowers it after the step of this number, and counts steps from 0
                [round(epoch * steps_per_epoch) - 1 for epoch in epochs],
                [largest * factor**number for number in range(len(epochs) + 1)],
            )
    return largest


def plateau_callback(parameters: TrainingParameters) -> keras.callbacks.ReduceLROnPlateau | None:
    """Make the callback that lowers the learning rate where the schedule is a plateau."""
    if not isinstance(parameters.schedule, PlateauSchedule):
        return None
    plateau = parameters.schedule
    return keras.callbacks.ReduceLROnPlateau(
        "val_loss",
        mode="min",
        factor=plateau.factor,
        patience=plateau.patience,
        min_delta=plateau.min_delta,
        cooldown=plateau.cooldown,
        min_lr=plateau.min_learning_rate,
    )
