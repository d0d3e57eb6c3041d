"""Configuration search: many trainings of one task with other parameters, and the best of them.

Optuna keeps the trials in a journal, a file that several processes may write to: a search that was killed goes on where
it was, a second process that is started with the same folder helps, and no finished trial is done again. A trial that
was killed is gone on with by whoever comes next, from the state of its training.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.fingerprints import fingerprint
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import REGISTRY
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.training.callbacks import Watch
from cherenkov_pipeline.training.checks import OF_IMAGES, OF_TREES
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
from cherenkov_pipeline.training.search_parameters import ROOTS, ChoiceParameters, RangeParameters, SearchParameters
from cherenkov_pipeline.training.study import SearchResult, Tried, conclude, failure, run_trials
from cherenkov_pipeline.training.task import beside_parameters, train_task
from cherenkov_pipeline.training.trials import TrialRecord, Trials

CHOOSING = ("model.name", "model.head.name", "training.schedule.name")
"""Parameters that say what the others in their block are options of."""

CHECKED = 100
"""Configurations that are drawn to find one that is valid."""


@dataclass(frozen=True)
class Configuration:
    """Parameters of one training."""

    model: ModelParameters
    inputs: InputParameters
    training: TrainingParameters


def search_configurations(
    store: EventStore | JoinedStores,
    task_name: str,
    parameters: Mapping[str, Any],
    search: SearchParameters,
    folder: Path,
    on_trial: Callable[[TrialRecord], None] | None = None,
    run: str | None = None,
    block: str | None = None,
) -> SearchResult[Configuration]:
    """Search for the best configuration of a task, or go on with a search.

    Parameters
    ----------
    store, task_name, run
        See `~cherenkov_pipeline.training.task.train_task`.
    parameters : mapping
        The task's parameters as they are written: ``model``, ``input``, ``training``; a trial changes some of them.
    search : SearchParameters
    folder : Path
        For the journal and the states of the trainings. The same data, task, parameters, space and code, of own models
        too, belong to one search; its ``n_trials`` may be raised. Several processes may work in the same folder.
    on_trial : callable, optional
        Called with each trial that this process has ended.
    block : str, optional
        Key of the task in the file of the best configuration. Default: the name of the task.

    Returns
    -------
    SearchResult

    Raises
    ------
    UserError
        If a parameter or the objective does not exist, nothing of the space has an effect on a forest, or no trial
        could be trained: with the first reason. If the disk is full: the trial is repeated when the search goes on.
    """
    _check_space(parameters, search)
    search = _with_effect(parameters, search)
    name = fingerprint(store.fingerprint, task_name, parameters, search.identity, _models(parameters, search))

    def attempt(values: Mapping[str, Any], watch: Watch) -> Tried:
        tried = configure(parameters, values)
        trained = train_task(
            store, task_name, tried.model, tried.inputs, tried.training, Path(folder) / "states", run, watch, wait=True
        )
        return Tried(trained.card.metrics, len(trained.history))

    def written(chosen: Configuration) -> dict[str, Any]:
        blocks = {"model": chosen.model, "input": chosen.inputs, "training": chosen.training}
        return {block or task_name: {name: one.model_dump(mode="json") for name, one in blocks.items()}}

    records = run_trials(Trials(Path(folder), search, name), attempt, on_trial)
    return conclude(records, search, lambda values: configure(parameters, values), written)


def configure(parameters: Mapping[str, Any], values: Mapping[str, Any]) -> Configuration:
    """Parameters of a training with some of them changed.

    Another model, head or schedule (`CHOOSING`) takes no options over: they are those of what was named before.

    Parameters
    ----------
    parameters : mapping
        ``model``, ``input``, ``training`` as they are written.
    values : mapping
        Dotted name -> value.

    Raises
    ------
    pydantic.ValidationError
        If they do not go together.
    """
    changed = copy.deepcopy({root: dict(parameters.get(root) or {}) for root in ROOTS})
    # what chooses first, and the model before its head, which it clears
    for name, value in sorted(values.items(), key=lambda item: (item[0] not in CHOOSING, item[0].count("."))):
        *path, last = name.split(".")
        place = changed
        for key in path:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        if name in CHOOSING and value != place.get(last):
            place.clear()
        place[last] = value
    model = ModelParameters.model_validate(changed["model"])
    training = TrainingParameters.model_validate(changed["training"])
    inputs = input_parameters(model, changed["input"])
    if "model.name" in values and not inputs.channels:  # what was written for the images of other models
        given = {name: value for name, value in (changed["input"] or {}).items() if name not in OF_IMAGES}
        inputs = input_parameters(model, given)
    return Configuration(model, inputs, training)


def _with_effect(parameters: Mapping[str, Any], search: SearchParameters) -> SearchParameters:
    """Leave out of the space what trees do not depend on: the defaults of networks, say, where a forest is searched."""
    choice = search.space.get("model.name")
    names = choice.values if isinstance(choice, ChoiceParameters) else [(parameters.get("model") or {}).get("name")]
    if any(name not in REGISTRY or REGISTRY[name].trainer != "forest" for name in names):
        return search
    counts = tuple(f"training.{one}" for one in OF_TREES)
    space = {name: one for name, one in search.space.items() if name.startswith(("model.", "input.", *counts))}
    if not space:
        raise UserError(
            f"Nothing in search.space has an effect on {names[0]}, whose trees are grown: name some of model.options,"
            " such as model.options.max_depth."
        )
    return search.model_copy(update={"space": space})


def _models(parameters: Mapping[str, Any], search: SearchParameters) -> list[str | None]:
    """Mark the models that parameters and space name; None where there is none: its trial says why."""
    choices = [(name, one) for name, one in search.space.items() if isinstance(one, ChoiceParameters)]
    named = [{name: value} for name, choice in choices if name.startswith("model") for value in choice.values]
    marks: list[str | None] = []
    for values in [{}, *named]:
        try:
            marks.append(beside_parameters(configure(parameters, values).model))
        except (ValidationError, UserError):
            marks.append(None)
    return marks


def _check_space(parameters: Mapping[str, Any], search: SearchParameters) -> None:
    """Refuse a space in which no configuration is one."""
    rng = np.random.default_rng(search.seed)
    first: ValidationError | None = None
    for _ in range(CHECKED):
        values = {name: _drawn(choice, rng) for name, choice in search.space.items()}
        try:
            configure(parameters, values)
        except ValidationError as error:
            first = first or error
        else:
            return
    raise UserError(f"No configuration of the search is one: {failure(first)}.")


def _drawn(choice: ChoiceParameters | RangeParameters, rng: np.random.Generator) -> Any:
    if isinstance(choice, ChoiceParameters):
        return choice.values[rng.integers(len(choice.values))]
    value = rng.uniform(choice.low, choice.high)
    return round(value) if choice.integer else value
