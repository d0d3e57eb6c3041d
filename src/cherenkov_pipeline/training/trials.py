"""The trials of a configuration search, in a journal that several processes may write to at once."""

import fcntl
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from cherenkov_pipeline.training.search_parameters import ChoiceParameters, RangeParameters, SearchParameters

JOURNAL = "trials.journal"

RECORDED = ("metrics", "epochs", "seconds", "reason")
"""Fields of `TrialRecord` that the journal keeps."""

RECORD = "record"
"""Attribute of a trial that holds them."""

REPEATED = "repeated"
"""Attribute of a trial that was interrupted: another one repeats it."""

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class TrialRecord:
    """A trial that has ended.

    Attributes
    ----------
    number : int
    values : dict
        Dotted name -> value.
    state : str
        ``finished``, ``pruned`` or ``failed``.
    objective : float
        NaN if it failed.
    metrics : dict
        Of the best epoch; of the last one if it was pruned.
    epochs : int
    seconds : float
    reason : str
        Why it failed.
    """

    number: int
    values: Mapping[str, Any]
    state: str
    objective: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""


class Trials:
    """The trials of a search, shared with other processes."""

    def __init__(self, folder: Path, search: SearchParameters, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.search, self.name = folder, search, name
        pruning = search.pruning
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
            study_name=name,
            direction="minimize" if search.goal == "minimum" else "maximize",
            pruner=optuna.pruners.MedianPruner(pruning.after_trials, pruning.after_epochs)
            if pruning
            else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        self._locks: dict[int, TextIO] = {}

    def ask(self) -> tuple[Trial, dict[str, Any]] | None:
        """Begin the next trial, with its values; None if there is none to follow."""
        with (self.folder / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one process at a time: waits
            self._repeat_interrupted()
            known = self._known()
            if not any(trial.state == TrialState.WAITING for trial in known):
                grid = self._grid(known)
                n_trials = self.search.n_trials
                if grid == [] or (n_trials is not None and len(known) >= n_trials):
                    return None
                if grid:
                    self.study.enqueue_trial(grid[0])
            # drawn by the number of the trial alone, whoever asks
            self.study.sampler = _sampler(self.search, len(self.study.get_trials(deepcopy=False)))
            trial = self.study.ask()
            self._locks[trial.number] = self._locked(trial.number)
            values = {name: _suggest(trial, name, choice) for name, choice in self.search.space.items()}
        return trial, values

    def tell(self, trial: Trial, record: TrialRecord) -> None:
        """End a trial."""
        trial.set_user_attr(RECORD, {name: getattr(record, name) for name in RECORDED})
        match record.state:
            case "finished":
                self.study.tell(trial, record.objective)
            case "pruned":
                self.study.tell(trial, state=TrialState.PRUNED)
            case _:
                self.study.tell(trial, state=TrialState.FAIL)
        self._locks.pop(trial.number).close()

    def records(self) -> list[TrialRecord]:
        """All trials, those of other processes included."""
        return [
            TrialRecord(
                trial.number,
                _decoded(trial.params),
                STATES[trial.state],
                float("nan") if trial.value is None else trial.value,
                **trial.user_attrs.get(RECORD, {}),
            )
            for trial in self._known()
        ]

    def _known(self) -> list[FrozenTrial]:
        """Trials that count: not those that another one repeats."""
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if REPEATED not in trial.user_attrs]

    def _repeat_interrupted(self) -> None:
        """Begin again what a process that is no more has left."""
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if (lock := self._locked(trial.number)) is None:
                continue
            with lock:
                if len(trial.params) == len(self.search.space):
                    self.study.enqueue_trial(dict(trial.params))
                Trial(self.study, trial._trial_id).set_user_attr(REPEATED, True)
                self.study.tell(trial.number, state=TrialState.FAIL)

    def _locked(self, number: int) -> TextIO | None:
        """Open lock of a trial, which ends with the process; None if another one holds it."""
        folder = self.folder / "locks"
        folder.mkdir(exist_ok=True)
        lock = (folder / f"{self.name}-{number}").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def _grid(self, known: Sequence[FrozenTrial]) -> list[dict[str, Any]] | None:
        """Points of the grid that no trial has; None where the search is no grid."""
        if self.search.method != "grid":
            return None
        done = [trial.params for trial in known]
        names = list(self.search.space)
        points = itertools.product(*(_points(choice) for choice in self.search.space.values()))
        return [point for values in points if (point := dict(zip(names, values, strict=True))) not in done]


def _sampler(search: SearchParameters, number: int) -> BaseSampler:
    seed = int(np.random.SeedSequence((search.seed, number)).generate_state(1)[0])
    return TPESampler(seed=seed) if search.method == "bayesian" else RandomSampler(seed=seed)


def _suggest(trial: Trial, name: str, choice: ChoiceParameters | RangeParameters) -> Any:
    if isinstance(choice, ChoiceParameters):
        return json.loads(trial.suggest_categorical(name, _points(choice)))
    logarithmic = choice.scale == "logarithmic"
    if choice.integer:
        return trial.suggest_int(name, int(choice.low), int(choice.high), log=logarithmic)
    return trial.suggest_float(name, choice.low, choice.high, log=logarithmic)


def _points(choice: ChoiceParameters | RangeParameters) -> list[Any]:
    """Values of a grid, as Optuna keeps them: choices are JSON texts."""
    if isinstance(choice, ChoiceParameters):
        return [json.dumps(value) for value in choice.values]
    spaced = np.geomspace if choice.scale == "logarithmic" else np.linspace
    values = np.clip(spaced(choice.low, choice.high, choice.points), choice.low, choice.high)
    return list(dict.fromkeys(round(value) for value in values)) if choice.integer else values.tolist()


def _decoded(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.loads(value) if isinstance(value, str) else value for name, value in params.items()}
