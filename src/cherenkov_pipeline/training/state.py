"""States of a training on disk: one folder an epoch, complete or absent.

``epoch_NNNN/`` holds ``variables.npz`` (every variable of network and optimizer, the states of random generators
included, which Keras' own weight files leave out), ``best.npz`` (weights of the best epoch) and ``state.json``
(states of the callbacks, history). The two latest are kept.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path

KEPT = 2


@dataclass(frozen=True)
class State:
    """A training after some epochs.

    Attributes
    ----------
    epoch : int
        Epochs done.
    finished : bool
        No epoch is to follow.
    variables, best : sequence of ndarray
        Variables of network and optimizer; weights of the best epoch.
    callbacks : dict
        Name of the callback -> its state.
    history : sequence of dict
        One row an epoch.
    """

    epoch: int
    finished: bool
    variables: Sequence[np.ndarray]
    best: Sequence[np.ndarray]
    callbacks: dict[str, dict[str, Any]]
    history: Sequence[dict[str, float]]


def write_state(state: State, folder: Path) -> None:
    """Write a state as a new folder and remove the oldest."""
    with atomic_path(folder / f"epoch_{state.epoch:04d}") as part:
        part.mkdir()
        np.savez(part / "variables.npz", *state.variables)
        np.savez(part / "best.npz", *state.best)
        content = {"finished": state.finished, "callbacks": state.callbacks, "history": list(state.history)}
        (part / "state.json").write_text(json.dumps(content, indent=1))
    for old in _epochs(folder)[:-KEPT]:
        shutil.rmtree(old)


def read_state(folder: Path) -> State | None:
    """Read the latest state that is whole; None if there is none."""
    for path in reversed(_epochs(folder)):
        try:
            content = json.loads((path / "state.json").read_text())
            variables, best = _arrays(path / "variables.npz"), _arrays(path / "best.npz")
        except (OSError, ValueError, EOFError, BadZipFile):
            # a power cut can leave a renamed folder with empty files: drop it, the epoch is done again
            shutil.rmtree(path)
            continue
        epoch = int(path.name.removeprefix("epoch_"))
        return State(epoch, content["finished"], variables, best, content["callbacks"], content["history"])
    return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other trainings out of ``folder``; what a killed one left unfinished is removed.

    Raises
    ------
    UserError
        If another process trains there.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another process is training in {folder}: wait for it, or stop it.") from None
        for part in folder.glob(".part-*"):
            shutil.rmtree(part, ignore_errors=True)
        yield


def discard_states(folder: Path) -> None:
    """Remove all states in ``folder``."""
    for path in _epochs(folder):
        shutil.rmtree(path)


def _epochs(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch_*"))


def _arrays(path: Path) -> list[np.ndarray]:
    # opened here: numpy leaves the file open where it turns out to be cut off
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return [archive[f"arr_{index}"] for index in range(len(archive.files))]
