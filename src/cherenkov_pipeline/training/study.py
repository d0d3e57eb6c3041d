"""Trying configurations until the search has enough: the same for every kind of training."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import yaml
from astropy.table import QTable
from optuna.trial import Trial
from pydantic import ValidationError

from cherenkov_pipeline.config import first_problem
from cherenkov_pipeline.errors import TemporaryError, UserError, reason
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.training.callbacks import Watch
from cherenkov_pipeline.training.search_parameters import RangeParameters, SearchParameters
from cherenkov_pipeline.training.trials import TrialRecord, Trials

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tried:
    """What came out of a configuration.

    Attributes
    ----------
    metrics : dict
        Of the best epoch.
    epochs : int
    """

    metrics: Mapping[str, float]
    epochs: int


@dataclass(frozen=True)
class SearchResult[Configuration]:
    """What a search found.

    Attributes
    ----------
    trials : QTable
        One row a trial: ``trial``, ``state``, ``objective``, ``epochs``, ``seconds``, a column for each searched
        parameter (texts are JSON), ``reason``. ``meta`` holds the name of the ``objective`` and the ``goal``, and
        ``scales``: parameter -> linear, logarithmic or discrete.
    best : object
        Parameters of the best trial.
    best_yaml : str
        The same as a parameter file, with how they were found ahead of them.
    """

    trials: QTable
    best: Configuration
    best_yaml: str


def run_trials(
    trials: Trials,
    attempt: Callable[[Mapping[str, Any], Watch], Tried],
    on_trial: Callable[[TrialRecord], None] | None = None,
) -> list[TrialRecord]:
    """Try configurations until none is left to try.

    Parameters
    ----------
    trials : Trials
        May hold some of an earlier call, which are not repeated.
    attempt : callable
        Trains with some values (dotted name -> value) and shows each epoch to what it is given. What it raises makes
        a failed trial, but for what is the machine's fault: a `TemporaryError` or an `OSError`.
    on_trial : callable, optional
        Called with each trial that this process has ended.

    Returns
    -------
    list of TrialRecord
        All of them, those of other processes included.

    Raises
    ------
    UserError
        If there is no such objective.
    OSError
        If the machine fails: the trial is repeated when the search goes on.
    """
    search = trials.search
    while (asked := trials.ask()) is not None:
        record = _try(*asked, attempt, search)
        trials.tell(asked[0], record)
        logger.info(
            "Trial %d %s: %s %.5g with %s. %s", record.number, record.state, search.objective, record.objective,
            ", ".join(f"{name} {value}" for name, value in record.values.items()), record.reason,
        )  # fmt: skip
        if on_trial:
            on_trial(record)
        keras.utils.clear_session()
    return trials.records()


def _try(
    trial: Trial,
    values: Mapping[str, Any],
    attempt: Callable[[Mapping[str, Any], Watch], Tried],
    search: SearchParameters,
) -> TrialRecord:
    watched = _Watched(trial, search)
    began = time.perf_counter()

    def record(state: str, objective: float, **options: Any) -> TrialRecord:
        seconds = time.perf_counter() - began
        return TrialRecord(trial.number, values, state, objective, seconds=seconds, **options)

    try:
        tried = attempt(values, watched)
        return record("finished", watched.objective(tried.metrics), metrics=tried.metrics, epochs=tried.epochs)
    except optuna.TrialPruned:
        row = watched.row
        return record("pruned", row[search.objective], metrics=row, epochs=int(row["epoch"]))
    except (TemporaryError, OSError, _NoObjectiveError):
        raise  # not by the fault of this configuration: the trial stays open, for whoever goes on
    except Exception as error:
        if not isinstance(error, UserError | ValidationError):
            logger.warning("Trial %d cannot be trained.", trial.number, exc_info=True)
        return record("failed", float("nan"), reason=failure(error))


class _NoObjectiveError(UserError):
    """No trial has such a column."""


class _Watched:
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


def conclude[Configuration](
    records: Sequence[TrialRecord],
    search: SearchParameters,
    configure: Callable[[Mapping[str, Any]], Configuration],
    written: Callable[[Configuration], Mapping[str, Any]],
) -> SearchResult[Configuration]:
    """Tell what came out of all trials.

    Parameters
    ----------
    records : sequence of TrialRecord
    search : SearchParameters
    configure : callable
        Makes the parameters of a trial from its values.
    written : callable
        Makes the content of a parameter file from these.

    Raises
    ------
    UserError
        If no trial has finished: with the first reason.
    """
    finished = [record for record in records if record.state == "finished" and np.isfinite(record.objective)]
    if not finished:
        reasons = [record.reason for record in records if record.reason]
        raise UserError(f"No trial of the search has finished: {reasons[0] if reasons else 'all were stopped'}")
    sign = 1 if search.goal == "minimum" else -1
    best = min(finished, key=lambda record: sign * record.objective)
    chosen = configure(best.values)
    text = (
        f"# Best of {len(records)} trials of a {search.method} search, trial {best.number}:\n"
        f"# {search.objective}: {best.objective:.6g}\n"
        + "".join(f"# {name}: {json.dumps(value)}\n" for name, value in best.values.items())
        + yaml.safe_dump(dict(written(chosen)), sort_keys=False, width=120)
    )
    return SearchResult(_table(records, search), chosen, text)


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


def failure(error: BaseException) -> str:
    """Reason of a failure, for the table."""
    if isinstance(error, ValidationError):
        return first_problem(error)
    return str(error) if isinstance(error, UserError) else reason(error)
