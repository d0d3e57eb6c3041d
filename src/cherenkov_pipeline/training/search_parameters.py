"""Parameters of a configuration search."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.models.registry import REGISTRY

ROOTS = ("model", "input", "training")
"""Blocks of a task's parameters that a search may change."""

NOT_COMPARABLE_TASK = ("training.weights", "training.loss_weights", "input.mode", "input.min_telescopes")
"""Parameters that change what the task's validation loss is a mean or a sum of."""

NOT_COMPARABLE = (*NOT_COMPARABLE_TASK, "training.auxiliary", "model.options.l2", "model.head.options.l2")
"""Parameters that change what the whole validation loss is a mean or a sum of."""


class ChoiceParameters(Parameters):
    """Some values of a parameter: numbers, texts, lists, or whole blocks."""

    values: tuple[Any, ...] = Field(min_length=1, description="The values, each once.")


class RangeParameters(Parameters):
    """A range of a number."""

    low: float = Field(description="Smallest value.")
    high: float = Field(description="Largest value.")
    scale: Literal["linear", "logarithmic"] = Field("linear", description="In which all parts are searched alike.")
    integer: bool = Field(False, description="Whole numbers alone.")
    points: int | None = Field(None, ge=2, description="Values of a grid, ends included; a grid needs it.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must be below high. Received: {self.low:g}, {self.high:g}")
        if self.scale == "logarithmic" and self.low <= 0:
            raise ValueError(f"a logarithmic range is above 0. Received: low={self.low:g}")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"a range of whole numbers has whole ends. Received: {self.low:g}, {self.high:g}")
        return self


class PruningParameters(Parameters):
    """Stops trials whose objective is worse than the median of the others in the same epoch (Optuna's MedianPruner)."""

    after_trials: int = Field(5, ge=1, description="Trials that are finished before any is stopped.")
    after_epochs: int = Field(3, ge=0, description="Epochs before a trial is stopped.")


class SearchParameters(Parameters):
    """Which configurations of a task's model, input and training are tried, and how they are compared."""

    roots: ClassVar[tuple[str, ...]] = ROOTS
    not_comparable: ClassVar[tuple[str, ...]] = NOT_COMPARABLE

    method: Literal["grid", "random", "bayesian"] = Field(
        "bayesian", description="Bayesian: Optuna's tree-structured Parzen estimator."
    )
    space: dict[str, ChoiceParameters | RangeParameters] = Field(
        min_length=1,
        description="Dotted name of a parameter below the task, such as training.optimizer.learning_rate -> its values "
        "or range. A block that is replaced as a whole is named itself, such as training.schedule.",
    )
    n_trials: int | None = Field(
        20, ge=1, description="In all, those of earlier calls and other processes included; null: a whole grid."
    )
    objective: str = Field(
        "val_loss",
        description="Column of the history that is compared, in each trial's epoch of lowest val_loss; val_task_loss: "
        "without auxiliary tasks and penalties.",
    )
    goal: Literal["minimum", "maximum"] = Field("minimum", description="Which objective is the best one.")
    pruning: PruningParameters | None = Field(None, description="Null: no trial is stopped by others.")
    seed: int = Field(0, ge=0, lt=2**32, description="Of the configurations that are drawn.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        not_comparable = {"val_loss": self.not_comparable, "val_task_loss": NOT_COMPARABLE_TASK}.get(self.objective)
        for name, values in self.space.items():
            if not re.fullmatch(rf"({'|'.join(self.roots)})(\.\w+)*", name):
                raise ValueError(f"a name in space begins with {', '.join(self.roots)}. Received: {name!r}")
            if self.method == "grid" and isinstance(values, RangeParameters) and not values.points:
                raise ValueError(f"the range of {name} needs points in a grid")
            if self.method != "grid" and isinstance(values, RangeParameters) and values.points:
                raise ValueError(f"points of {name} have no effect but in a grid: leave them out")
            if not_comparable and (changing := _not_comparable(name, values, not_comparable)):
                raise ValueError(
                    f"{changing} changes what {self.objective} means: compare another objective, such as a metric"
                )
        inside = [(one, two) for one in self.space for two in self.space if two.startswith(f"{one}.")]
        if inside:
            raise ValueError(f"{inside[0][1]} is part of {inside[0][0]}: search one of them")
        if self.method != "grid" and self.n_trials is None:
            raise ValueError("n_trials may be null in a grid alone")
        return self

    @property
    def identity(self) -> dict[str, Any]:
        """All that makes it another search: not the number of trials, which may be raised."""
        return self.model_dump(mode="json", exclude={"n_trials"})


def _not_comparable(name: str, choice: ChoiceParameters | RangeParameters, changing: tuple[str, ...]) -> str | None:
    """Name of the parameter by which the values differ in what the validation loss means, if there is one."""
    if isinstance(choice, RangeParameters):
        return name if name.startswith(changing) else None
    configurations = [_by_name(name, value) for value in choice.values]
    for changed in dict.fromkeys(key for configuration in configurations for key in configuration):
        values = [configuration.get(changed) for configuration in configurations]
        if changed.startswith(changing) and any(value != values[0] for value in values):
            return changed
        # a mean over images is none over events; forests leave out images without parameters
        known = [REGISTRY[one] for one in map(str, values) if one in REGISTRY]
        if changed == "model.name" and len({(one.mode, one.trainer) for one in known}) > 1:
            return changed
    return None


def _by_name(name: str, value: Any) -> dict[str, Any]:
    """Dotted name -> value of all parameters in a block."""
    if not isinstance(value, Mapping):
        return {name: value}
    return {key: one for inner, block in value.items() for key, one in _by_name(f"{name}.{inner}", block).items()}
