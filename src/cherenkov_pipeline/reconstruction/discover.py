"""Which predictions a DL2 file of any maker holds, in ctapipe's layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import tables
from ctapipe.io.hdf5dataformat import DL2_SUBARRAY_GROUP, DL2_TEL_GROUP

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.tasks import get_task

GROUPS = {"telescope": DL2_TEL_GROUP, "subarray": DL2_SUBARRAY_GROUP}

PREFERRED = {"skydirection": ("_skydirection", "_cameradirection")}
"""Ends of the prefixes that are taken first; of the others the task's own name. Any direction will do."""


def find_prefixes(
    path: Path, level: Literal["telescope", "subarray"], wanted: Mapping[str, str | None]
) -> dict[str, str]:
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
    try:
        with tables.open_file(path) as file:
            found = {task: _children(file, f"{GROUPS[level]}/{get_task(task).dl2_group}") for task in wanted}
    except tables.HDF5ExtError:
        raise UserError(f"{path} is no HDF5 file, or damaged: take it out.") from None
    return {task: _choose(path, level, task, found[task], prefix) for task, prefix in wanted.items()}


def _children(file: tables.File, group: str) -> list[str]:
    return sorted(file.root[group]._v_children) if group in file.root else []


def _choose(path: Path, level: str, task: str, found: list[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in found:
            there = ", ".join(found) or "none"
            raise UserError(f"{path} has no {level} predictions of {task} named {wanted}: it has {there}.")
        return wanted
    for end in (*PREFERRED.get(task, (f"_{task}",)), ""):
        candidates = [prefix for prefix in found if prefix.endswith(end)]
        if len(candidates) > 1:
            raise UserError(f"{path} has {level} predictions of {task} by {', '.join(candidates)}: name one of them.")
        if candidates:
            return candidates[0]
    raise UserError(f"{path} has no {level} predictions of {task}: reconstruct it with such a model.")
