"""Configuration search: many trainings of one task with other parameters, and the best of them.

Optuna keeps the trials in a journal, a file that several processes may write to: a search that was killed goes on where
it was, a second process that is started with the same folder helps, and no finished trial is done again. A trial that
was killed is gone on with by whoever comes next, from the state of its training.
"""

import copy
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from astropy.table import QTable
from optuna.trial import Trial
from pydantic import ValidationError

from cherenkov_pipeline.config import first_problem
from cherenkov_pipeline.errors import TemporaryError, UserError
from cherenkov_pipeline.files import fingerprint
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.revision import code_fingerprint
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
from cherenkov_pipeline.training.search_parameters import ROOTS, ChoiceParameters, RangeParameters, SearchParameters
from cherenkov_pipeline.training.task import ROOMS, train_task
from cherenkov_pipeline.training.trials import TrialRecord, Trials

logger = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes
    ----------
    trials : QTable
        One row a trial: ``trial``, ``state``, ``objective``, ``epochs``, ``seconds``, a column for each searched
        parameter (texts are JSON), ``reason``. ``meta`` holds the name of the ``objective`` and the ``goal``, and
        ``scales``: parameter -> linear, logarithmic or discrete.
    best : Configuration
    best_trial : int
    best_yaml : str
        The best configuration as a parameter file.
    """

    trials: QTable
    best: Configuration
    best_trial: int
    best_yaml: str


def search_configurations(
    store: EventStore | JoinedStores,
    task_name: str,
    parameters: Mapping[str, Any],
    search: SearchParameters,
    folder: Path,
    on_trial: Callable[[TrialRecord], None] | None = None,
    run: str | None = None,
    block: str | None = None,
) -> SearchResult:
    """Search for the best configuration of a task, or go on with a search.

    Parameters
    ----------
    store, task_name, run
        See `~cherenkov_pipeline.training.task.train_task`.
    parameters : mapping
        The task's parameters as they are written: ``model``, ``input``, ``training``; a trial changes some of them.
    search : SearchParameters
    folder : Path
        For the journal and the states of the trainings. The same data, task, parameters, space and code belong to one
        search; its ``n_trials`` may be raised. Several processes may work in the same folder.
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
        If a parameter or the objective does not exist, or no trial could be trained: with the first reason. If the
        disk is full or another process trains the same: the trial is repeated when the search goes on.
    """
    _check_space(parameters, search)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name = fingerprint(store.fingerprint, task_name, parameters, _space(search), code_fingerprint(*ROOMS))
    trials = Trials(Path(folder), search, name)

    def train(trial: Trial, values: Mapping[str, Any]) -> TrialRecord:
        watched = _Watch(trial, search)
        began = time.perf_counter()

        def record(state: str, objective: float, **options: Any) -> TrialRecord:
            seconds = time.perf_counter() - began
            return TrialRecord(trial.number, values, state, objective, seconds=seconds, **options)

        try:
            tried = configure(parameters, values)
            trained = train_task(
                store, task_name, tried.model, tried.inputs, tried.training, Path(folder) / "states", run, watched
            )
            metrics = trained.card.metrics
            return record("finished", watched.objective(metrics), metrics=metrics, epochs=len(trained.history))
        except optuna.TrialPruned:
            row = watched.row
            return record("pruned", row[search.objective], metrics=row, epochs=int(row["epoch"]))
        except (TemporaryError, _NoObjectiveError):
            raise  # not by the fault of this configuration: the trial stays open, for whoever goes on
        except Exception as error:
            if not (isinstance(error, UserError | ValidationError) or _out_of_memory(error)):
                raise
            return record("failed", float("nan"), reason=_one_line(error))

    while (asked := trials.ask()) is not None:
        record = train(*asked)
        trials.tell(asked[0], record)
        logger.info(
            "Trial %d %s: %s %.5g with %s. %s", record.number, record.state, search.objective, record.objective,
            ", ".join(f"{name} {value}" for name, value in record.values.items()), record.reason,
        )  # fmt: skip
        if on_trial:
            on_trial(record)
        keras.utils.clear_session()
    return _result(trials.records(), parameters, search, block or task_name)


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
    for name, value in sorted(values.items(), key=lambda item: item[0] not in CHOOSING):
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
    return Configuration(model, input_parameters(model, changed["input"]), training)


class _NoObjectiveError(UserError):
    """No trial has such a column."""


class _Watch:
    """Tells Optuna of the epochs of a trial, and stops it if it is not worth going on."""

    def __init__(self, trial: Trial, search: SearchParameters):
        self.trial, self.search, self.row = trial, search, {}

    def __call__(self, row: Mapping[str, float]) -> None:
        self.row = dict(row)
        value = self.objective(row)
        if self.search.pruning:
            self.trial.report(value, int(row["epoch"]))
            if self.trial.should_prune():
                raise optuna.TrialPruned

    def objective(self, row: Mapping[str, float]) -> float:
        """Objective of an epoch."""
        if self.search.objective not in row:
            raise _NoObjectiveError(f"There is no objective {self.search.objective!r}: choose one of {', '.join(row)}.")
        return float(row[self.search.objective])


def _space(search: SearchParameters) -> dict[str, Any]:
    return search.model_dump(mode="json", exclude={"n_trials"})


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
    raise UserError(f"No configuration of the search is one: {_one_line(first)}.")


def _drawn(choice: ChoiceParameters | RangeParameters, rng: np.random.Generator) -> Any:
    if isinstance(choice, ChoiceParameters):
        return choice.values[rng.integers(len(choice.values))]
    value = rng.uniform(choice.low, choice.high)
    return round(value) if choice.integer else value


def _one_line(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return first_problem(error)
    return " ".join(str(error).split())[:500]


def _out_of_memory(error: Exception) -> bool:
    """Whether a network is too large for the machine, as Python, TensorFlow, JAX or torch say it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "out of memory"))


def _result(
    records: Sequence[TrialRecord], parameters: Mapping[str, Any], search: SearchParameters, block: str
) -> SearchResult:
    finished = [record for record in records if record.state == "finished" and np.isfinite(record.objective)]
    if not finished:
        reasons = [record.reason for record in records if record.reason]
        raise UserError(f"No trial of the search has finished: {reasons[0] if reasons else 'all were stopped'}")
    sign = 1 if search.goal == "minimum" else -1
    best = min(finished, key=lambda record: sign * record.objective)
    chosen = configure(parameters, best.values)
    content = {
        "model": chosen.model.model_dump(mode="json"),
        "input": chosen.inputs.model_dump(mode="json"),
        "training": chosen.training.model_dump(mode="json"),
    }
    text = (
        f"# Best of {len(records)} trials of a {search.method} search, trial {best.number}:\n"
        f"# {search.objective}: {best.objective:.6g}\n"
        + "".join(f"# {name}: {json.dumps(value)}\n" for name, value in best.values.items())
        + yaml.safe_dump({block: content}, sort_keys=False, width=120)
    )
    return SearchResult(_table(records, search), chosen, best.number, text)


def _table(records: Sequence[TrialRecord], search: SearchParameters) -> QTable:
    table = QTable(
        {
            "trial": [record.number for record in records],
            "state": [record.state for record in records],
            "objective": [record.objective for record in records],
            "epochs": [record.epochs for record in records],
            "seconds": [record.seconds for record in records],
        }
    )
    for name in search.space:
        values = [record.values.get(name) for record in records]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        table[name] = (
            values if numbers else [value if isinstance(value, str) else json.dumps(value) for value in values]
        )
    table["reason"] = [record.reason for record in records]
    scales = {
        name: choice.scale if isinstance(choice, RangeParameters) else "discrete"
        for name, choice in search.space.items()
    }
    table.meta.update(objective=search.objective, goal=search.goal, scales=scales)
    return table
