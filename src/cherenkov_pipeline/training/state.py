"""States of a training on disk: one folder an epoch, complete or absent.

``epoch_NNNN/`` holds ``variables.npz`` (every variable of network and optimizer, the states of random generators
included, which Keras' own weight files leave out), ``best.npz`` (weights of the best epoch) and ``state.json``
(states of the callbacks, history). The two latest are kept. ``origin.json`` tells where the training began.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path, write_json

KEPT = 2
ORIGIN = "origin.json"


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
    """Read the latest state that is whole; None if there is none. Damaged ones are removed.

    Raises
    ------
    UserError
        If a state cannot be read for another reason (rights, a disk that does not answer); it stays as it is.
    """
    for path in reversed(_epochs(folder)):
        try:
            return _read_epoch(path)
        except (FileNotFoundError, BadZipFile, EOFError, ValueError, KeyError):
            # a power cut can leave a renamed folder with empty files: drop it, the epoch is done again
            shutil.rmtree(path)
        except OSError as error:
            raise UserError(
                f"The state of the training in {path} cannot be read ({error.strerror or error}): "
                "make it readable, or remove the folder to go on from the state before it."
            ) from error
    return None


def write_origin(origin: Mapping[str, Any], folder: Path) -> None:
    """Write where a training began: plain values, for `read_origin`."""
    write_json(folder / ORIGIN, origin)


def read_origin(folder: Path) -> dict[str, Any] | None:
    """Read where the training in ``folder`` began; None if that is not known."""
    try:
        return json.loads((folder / ORIGIN).read_text())
    except (FileNotFoundError, ValueError):
        return None


def discard_states(folder: Path) -> None:
    """Remove all states in ``folder``."""
    for path in _epochs(folder):
        shutil.rmtree(path)


def _epochs(folder: Path) -> list[Path]:
    # by number: as text, epoch_10000 would stand before epoch_9999
    found = (path for path in folder.glob("epoch_*") if path.name.removeprefix("epoch_").isdigit())
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    return int(path.name.removeprefix("epoch_"))


def _read_epoch(path: Path) -> State:
    content = json.loads((path / "state.json").read_text())
    return State(
        epoch=_number(path),
        finished=content["finished"],
        variables=_arrays(path / "variables.npz"),
        best=_arrays(path / "best.npz"),
        callbacks=content["callbacks"],
        history=content["history"],
    )


def _arrays(path: Path) -> list[np.ndarray]:
    # opened here: numpy leaves the file open where it turns out to be cut off
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return [archive[f"arr_{index}"] for index in range(len(archive.files))]
