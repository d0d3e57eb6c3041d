"""How users name saved models, and which files these are."""

import glob
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.pipelines.recorded import recorded_model
from cherenkov_pipeline.reconstruction.paths import SUFFIXES

RUN = re.compile(r"[0-9a-f]{32}")
VERSION = re.compile(r"\d{4}-\d\d-\d\dT[\d.]+Z")

ALL = "all"
"""Reference that stands for all saved models of the task."""

DL2 = re.compile(r"\.(h5|hdf5)(::\w+)?$|::\w+$")
"""How a reference to DL2 files of others ends; folders of such files are told by what is in them."""

Models = dict[str, tuple[str, Path]]
"""By label: how the model was named, and its file."""


def is_dl2(reference: str) -> bool:
    """Tell whether a reference is one to DL2 files: a file, a pattern, or a folder with HDF5 files and no model."""
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return not any(folder.glob("*.keras")) and any(path.suffix in SUFFIXES for path in folder.rglob("*"))
    return DL2.search(reference) is not None or glob.has_magic(reference)


def named_models(
    task: str | None, references: Mapping[str, str], saved: Mapping[str, Path], mlflow_run: str | None
) -> Models:
    """Find the models that a user named.

    Parameters
    ----------
    task : str or None
    references : mapping of str to str
        By label: a version of the task's model, ``energy_model:<version>``, or ``energy_model``, the newest; an MLflow
        run or a path.
    saved : mapping of str to Path
        All saved models, from `~cherenkov_pipeline.datasets.saved_models.SavedModelsDataset`.
    mlflow_run : str or None
        Present run; None: nothing is tracked.

    Raises
    ------
    UserError
        If one is not found.
    """
    return {label: (text, _find(task, text, saved, mlflow_run)) for label, text in references.items()}


def _find(task: str | None, text: str, saved: Mapping[str, Path], mlflow_run: str | None) -> Path:
    if RUN.fullmatch(text):
        return recorded_model(text, task, server=mlflow_run is not None)
    if VERSION.fullmatch(text):
        if task is None:
            raise UserError(f"{text} may be a version of any task: say of which, as in energy_model:{text}.")
        text = f"{task}_model:{text}"
    if text in saved:
        return saved[text]
    if newest := [path for key, path in saved.items() if key.partition(":")[0] == text]:
        return newest[-1]
    name, _, version = text.partition("_model:")
    if version:
        known = ", ".join(key.partition(":")[2] for key in saved if key.startswith(f"{name}_model:")) or "none"
        raise UserError(f"There is no {text}: versions of {name}_model are {known}.")
    if not Path(text).exists():
        raise UserError(
            f"{text} is no version of a model, no MLflow run and no file: "
            "write energy_model:<version>, a run's identifier or a path."
        )
    return Path(text)


def all_saved(task: str | None, saved: Mapping[str, Path]) -> tuple[str, Models]:
    """All saved models of a task, labelled by name and time; a model that was saved twice counts once.

    Parameters
    ----------
    task : str or None
        None: the one task that has several.
    saved : mapping of str to Path

    Raises
    ------
    UserError
        If it is not clear which task is meant.
    """
    from cherenkov_pipeline.models.on_disk import read_card
    from cherenkov_pipeline.performance.candidates import without_copies

    if task is None:
        numbers = Counter(name.partition("_model:")[0] for name in saved)
        several = [name for name, number in numbers.items() if number > 1]
        if len(several) != 1:
            found = f"saved models of {', '.join(several)}" if several else "no task with two saved models"
            raise UserError(
                f"There is {found}: choose a task, --params=comparison.task=energy, or name the models under "
                "comparison.models."
            )
        (task,) = several
    own = without_copies({name: path for name, path in saved.items() if name.startswith(f"{task}_model:")})
    labels = {name: f"{read_card(path).name} {_time(name.partition(':')[2])}" for name, path in own.items()}
    twice = {label for label, number in Counter(labels.values()).items() if number > 1}
    return task, {
        (name.partition(":")[2] if labels[name] in twice else labels[name]): (name, path) for name, path in own.items()
    }


def _time(version: str) -> str:
    """Time of a version in a few letters: 21 Nov 09:53; a version that is no time stays as it is."""
    try:
        return f"{datetime.strptime(version, '%Y-%m-%dT%H.%M.%S.%fZ'):%d %b %H:%M}"
    except ValueError:
        return version
