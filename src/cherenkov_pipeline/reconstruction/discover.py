"""Which predictions a DL2 file of any maker holds, in ctapipe's layout or in sst1mpipe's."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ctapipe.io.hdf5dataformat import DL2_SUBARRAY_GROUP, DL2_TEL_GROUP

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.hdf5 import tables
from cherenkov_pipeline.reconstruction.sst1mpipe import FORESTS, FORESTS_GROUP, PREDICTED, is_of_level
from cherenkov_pipeline.tasks import TASKS, get_task

Level = Literal["telescope", "subarray"]

GROUPS: dict[Level, str] = {"telescope": DL2_TEL_GROUP, "subarray": DL2_SUBARRAY_GROUP}

_SKY, _CAMERA = ("_skydirection", "SkyReconstructor"), ("_cameradirection", "CameraReconstructor")
PREFERRED = {"skydirection": (*_SKY, *_CAMERA), "cameradirection": (*_CAMERA, *_SKY)}
"""Ends of the prefixes that are taken first, ours and CTLearn's; of the other tasks the task's own name. Any direction
will do for another."""


def find_level(path: Path, task: str) -> Level:
    """Tell whether a DL2 file has predictions of a task by single telescopes, or of whole events alone.

    Raises
    ------
    UserError
        If the file is no HDF5 file, or has none at all.
    """
    found = _prefixes(path, (task,))
    for level in GROUPS:
        if found[level][task]:
            return level
    raise UserError(f"{path} has no predictions of {task} in a layout that is known: give DL2 files that have.")


def find_prefixes(path: Path, level: Level, wanted: Mapping[str, str | None]) -> dict[str, str]:
    """Find the predictions of some tasks in a DL2 file.

    Parameters
    ----------
    path : Path
    level : {"telescope", "subarray"}
    wanted : mapping of str to str or None
        Task -> prefix of its columns (``set_network_energy``, ``CTLearn``); None: the only one there is.

    Returns
    -------
    dict
        Task -> prefix.

    Raises
    ------
    UserError
        If the file is no HDF5 file, there are no predictions of a task, not those that are wanted, or several to
        choose from.
    """
    found = _prefixes(path, wanted)[level]
    return {task: _choose(path, level, task, found[task], prefix) for task, prefix in wanted.items()}


def only_prefix(paths: Sequence[Path], level: Level, task: str) -> str | None:
    """Prefix of the only predictions of a task that DL2 files have; None where there are several, or none."""
    found = [_prefixes(path, (task,))[level][task] for path in paths]
    return found[0][0] if len(found[0]) == 1 and all(one == found[0] for one in found) else None


def _prefixes(path: Path, tasks: Iterable[str]) -> dict[Level, dict[str, list[str]]]:
    try:
        with tables.open_file(path) as file:
            return {
                level: {
                    task: _children(file, f"{group}/{get_task(task).dl2_group}") + _forests(file, level, task)
                    for task in tasks
                }
                for level, group in GROUPS.items()
            }
    except tables.HDF5ExtError:
        raise UserError(f"{path} is no HDF5 file, or damaged: take it out.") from None


def _children(file: tables.File, group: str) -> list[str]:
    return sorted(file.root[group]._v_children) if group in file.root else []


def _forests(file: tables.File, level: Level, task: str) -> list[str]:
    """Whether sst1mpipe predicted a task, as a list of its name or of nothing."""
    of_level = [name for name in _children(file, FORESTS_GROUP) if is_of_level(name, level)]
    return [FORESTS] if of_level and task in PREDICTED else []


def _choose(path: Path, level: str, task: str, found: list[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in found:
            there = ", ".join(found) or "none"
            raise UserError(f"{path} has no {level} predictions of {task} named {wanted}: it has {there}.")
        return wanted
    ends = PREFERRED.get(task, (f"_{task}",))
    foreign = tuple(f"_{other}" for other in TASKS if f"_{other}" not in ends)
    found = [prefix for prefix in found if not prefix.endswith(foreign)]
    # the geometry that sst1mpipe's forests take for a feature stands beside their predictions
    for end in (*ends, FORESTS, ""):
        candidates = [prefix for prefix in found if prefix.endswith(end)]
        if len(candidates) > 1:
            raise UserError(f"{path} has {level} predictions of {task} by {', '.join(candidates)}: name one of them.")
        if candidates:
            return candidates[0]
    raise UserError(f"{path} has no {level} predictions of {task}: reconstruct it with such a model.")
