"""DL2 files read back as the predictions table that they were made from, and that the evaluation takes."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Column, QTable, Table, vstack
from ctapipe.io.tableloader import IndexNotMatching

from cherenkov_pipeline.directions import POINTING
from cherenkov_pipeline.dl1.contents import EVENT, IMAGE, production_of
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.hdf5 import TableLoader, tables
from cherenkov_pipeline.reconstruction.columns import COPIED, add_truth, find_rows, take_rows
from cherenkov_pipeline.reconstruction.discover import Level
from cherenkov_pipeline.reconstruction.sst1mpipe import FORESTS, read_forests
from cherenkov_pipeline.store.chunks import plain_events
from cherenkov_pipeline.store.split import shower_ids
from cherenkov_pipeline.tasks import Task, get_task


def read_predictions(dl2_files: FileSet, task_name: str | None = None, level: Level | None = None) -> QTable:
    """Read predictions back from DL2 files.

    Parameters
    ----------
    dl2_files : FileSet
        With records as `write_dl2` returns them.
    task_name : str, optional
        Default: all tasks in the files, in the columns of one table. Where a direction was predicted on the sky and in
        the camera, the columns of both are those on the sky.
    level : {"telescope", "subarray"}, optional
        Predictions of single telescopes; or of events, by stereo models, or else by the telescopes together. Default:
        of telescopes where there are any.

    Returns
    -------
    QTable
        Predictions table, as `~cherenkov_pipeline.reconstruction.predict.predict_dl1` gives it, without ``reason`` and
        ``outside_validity``, with ``shower`` (`~cherenkov_pipeline.store.split.shower_ids`: uses of one shower have the
        same); of events without columns of single images. Of several tasks, ``is_valid`` says whether all are valid.
        True values are NaN, and -1 for ``true_shower_primary_id``, where a file has none.

    Raises
    ------
    UserError
        If there are no files, one is not DL2 in ctapipe's layout, or has no predictions of this task.
    """
    if not len(dl2_files):
        raise UserError("There are no DL2 files to read: reconstruct some first.")
    level = level or ("telescope" if dl2_files.records[0]["models"] else "subarray")
    parts = []
    for path, record in zip(dl2_files.paths, dl2_files.records, strict=True):
        found = _models(record, level)
        names = [task_name] if task_name else list(_models(dl2_files.records[0], level))
        for name in names:
            if name not in found:
                raise UserError(f"{path} has no predictions of {name}: reconstruct it with such a model.")
        prefixes = {name: found[name] for name in names}
        if FORESTS in prefixes.values():
            parts.append(read_forests(path, _only_forests(prefixes, path), level))
        else:
            parts.append(_read_predictions(path, prefixes, level))
    return vstack(parts, metadata_conflicts="silent")


def _only_forests(prefixes: Mapping[str, str], path: Path) -> list[Task]:
    if others := sorted(set(prefixes.values()) - {FORESTS}):
        raise UserError(
            f"{path} has predictions of {FORESTS} and of {', '.join(others)}: name one of them for all tasks."
        )
    return [get_task(name) for name in prefixes]


def _models(record: Mapping[str, Any], level: Level) -> dict[str, str]:
    """Prefixes of the predictions in a file: task -> prefix."""
    return record["models"] if level == "telescope" else record["models"] | record.get("stereo_models", {})


def _read_predictions(path: Path, prefixes: Mapping[str, str], level: Level) -> QTable:
    images, events = _read_events(path, level)
    table = QTable({name: events[name] for name in COPIED if name in events.colnames})
    for key in IMAGE if level == "telescope" else EVENT:
        table[key] = np.asarray(events[key], dtype=np.int64)
    table["shower"] = shower_ids(events, production_of(path))
    if level == "subarray":
        first = find_rows(events, images, EVENT)
        for name in POINTING:
            table[name] = take_rows(images[name].quantity.astype(float), first)
    infix = "_tel" if level == "telescope" else ""
    table["is_valid"] = np.ones(len(table), dtype=bool)
    for task_name, prefix in prefixes.items():
        task = get_task(task_name)
        table["is_valid"] &= np.asarray(_required(events, f"{prefix}{infix}_is_valid", path), dtype=bool)
        for field, name in task.dl2_columns.items():
            if name not in table.colnames:
                table[name] = _predicted(events, f"{prefix}{infix}_{field}", task.units[name], path)
        for field, name in task.extra_columns.items():
            # others' files have none of them
            if level == "telescope" and name not in table.colnames and f"{prefix}{infix}_{field}" in events.colnames:
                table[name] = events[f"{prefix}{infix}_{field}"]
        if task.to_truth and level == "telescope":
            add_truth(table, task, path)
    table.add_column(np.full(len(table), production_of(path)), name="production", index=0)
    return table


def _read_events(path: Path, level: Level) -> tuple[Table, Table]:
    """Read the events of single telescopes, and those of the level."""
    try:
        # others write their tables in the order of the keys; ctapipe joins them then, and warns
        with warnings.catch_warnings(), TableLoader(path, focal_length_choice="EQUIVALENT") as loader:
            warnings.simplefilter("ignore", IndexNotMatching)
            images = loader.read_telescope_events(dl1_images=False, true_parameters=False, pointing=True)
            events = images if level == "telescope" else loader.read_subarray_events()
    except (OSError, ValueError, KeyError, tables.NoSuchNodeError) as error:
        raise UserError(f"{path} is not DL2 in ctapipe's layout: {' '.join(str(error).split())}") from error
    return plain_events(images), plain_events(events)


def _predicted(events: Table, column: str, unit: u.Unit | None, path: Path) -> Column:
    """Column of the predictions; NaN for errors that a file of others does not have."""
    if "_uncert" in column and column not in events.colnames:
        return np.full(len(events), np.nan) << unit
    return _required(events, column, path)


def _required(events: Table, column: str, path: Path) -> Column:
    if column not in events.colnames:
        raise UserError(f"{path} has no column {column}: it is not DL2 in ctapipe's layout.")
    return events[column]
