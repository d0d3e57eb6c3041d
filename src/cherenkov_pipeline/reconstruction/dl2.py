"""DL2 files in ctapipe's layout.

A DL2 file is its DL1 file (without images, unless they are wanted) and, for each task, telescope tables
``/dl2/event/telescope/<group>/<prefix>/tel_XXX`` and a subarray table ``/dl2/event/subarray/<group>/<prefix>``, as
`ctapipe.tools.apply_models` writes them.
"""

import functools
import logging
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import tables
from astropy.table import Column, QTable, Table, vstack
from ctapipe.containers import Container, ReconstructedEnergyContainer
from ctapipe.instrument import SubarrayDescription
from ctapipe.io import HDF5Merger, TableLoader, read_table, write_table
from ctapipe.io.hdf5dataformat import (
    DL1_SUBARRAY_TRIGGER_TABLE,
    DL1_TEL_PARAMETERS_GROUP,
    DL2_SUBARRAY_GROUP,
    DL2_TEL_GROUP,
)
from ctapipe.io.tableio import TelListToMaskTransform
from ctapipe.reco.utils import add_defaults_and_meta

from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.settings import read_settings, write_settings
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import FileJob, FilePlan, FileSet, fingerprint, fingerprint_file
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.reconstruction.combine import make_combiner
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.reconstruction.predict import COPIED, match_models, predict_dl1
from cherenkov_pipeline.revision import code_fingerprint
from cherenkov_pipeline.tasks import Task, get_task

logger = logging.getLogger(__name__)

CONTAINERS: dict[str, type[Container]] = {"energy": ReconstructedEnergyContainer}
"""ctapipe's container of each property."""

EVENT = ("obs_id", "event_id")
DATA_LEVELS = "CTA PRODUCT DATA LEVELS"
ROOMS = ("dl1", "models", "reconstruction", "store", "tasks")
"""Code that makes the result."""


def plan_dl2(
    dl1_files: FileSet,
    models: Sequence[TrainedModel],
    selection: SelectionParameters,
    parameters: ReconstructionParameters,
) -> FilePlan:
    """Plan the DL2 files of DL1 files.

    Parameters
    ----------
    dl1_files : FileSet
    models : sequence of TrainedModel
        Of one or more tasks and cameras.
    selection : SelectionParameters
        Images that are predicted; the others stay in the files as invalid.
    parameters : ReconstructionParameters

    Returns
    -------
    FilePlan
        One job a DL1 file, one after the other: the network itself uses all cores. Records as `write_dl2` returns
        them.

    Raises
    ------
    UserError
        If there are no files or models, a file is not DL1, fits no model or has such predictions already.
    """
    if not len(dl1_files):
        raise UserError("There are no DL1 files to reconstruct: give a file, folder or glob.")
    for path in dl1_files.paths:
        match_models(models, path)
        _check_absent(path, models, parameters)
    digests = [
        record.get("fingerprint") or fingerprint_file(path)
        for path, record in zip(dl1_files.paths, dl1_files.records, strict=True)
    ]
    jobs = [
        FileJob(
            name,
            functools.partial(write_dl2, source=path, models=models, selection=selection, parameters=parameters),
        )
        for name, path in zip(_names(dl1_files.paths, digests), dl1_files.paths, strict=True)
    ]
    return FilePlan(
        fingerprint(
            digests,
            [trained.fingerprint for trained in models],
            selection,
            parameters.model_dump(mode="json", exclude={"chunk_size"}),
            code_fingerprint(*ROOMS),
        ),
        jobs,
        description="DL2",
    )


def write_dl2(
    path: str | os.PathLike,
    source: str | os.PathLike,
    models: Sequence[TrainedModel],
    selection: SelectionParameters,
    parameters: ReconstructionParameters,
) -> dict[str, Any]:
    """Write the DL2 file of one DL1 file.

    Parameters
    ----------
    path : path-like
        File to write.
    source : path-like
        DL1 file.
    models, selection, parameters
        As for `plan_dl2`.

    Returns
    -------
    dict
        ``source``, ``n_events``, ``models`` (task -> name), and for each task ``n_images`` = ``n_valid`` +
        ``n_invalid``, ``reasons`` of the invalid ones with their numbers, and ``n_outside_validity``: images, valid
        or not, at zenith angles that the model's training data do not cover.
    """
    path, source = Path(path), Path(source)
    predictions = predict_dl1(models, source, selection, parameters.chunk_size)
    with HDF5Merger(output_path=path, dl1_images=parameters.keep_images, true_images=parameters.keep_images) as merger:
        merger(source)
    write_settings(path, read_settings(source))  # the merger drops them
    subarray = SubarrayDescription.from_hdf(path, focal_length_choice="EQUIVALENT")
    names = _prefixes(models, parameters)
    record: dict[str, Any] = {"source": str(source), "models": names, "tasks": {}}
    with tables.open_file(path, "a") as file:
        events = read_table(file, DL1_SUBARRAY_TRIGGER_TABLE)[[*EVENT]]
        record["n_events"] = len(events)
        for task_name, table in predictions.items():
            _write_task(file, get_task(task_name), names[task_name], table, events, subarray, parameters)
            counts = record["tasks"][task_name] = _counts(table)
            if counts["n_outside_validity"]:
                logger.warning(
                    "%s: %d of %d images were taken at zenith angles that the training data of the %s model do not "
                    "cover; their predictions are extrapolated.",
                    source.name, counts["n_outside_validity"], counts["n_images"], task_name,
                )  # fmt: skip
        levels = str(file.root._v_attrs[DATA_LEVELS]).split(",")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tables.NaturalNameWarning)
            file.root._v_attrs[DATA_LEVELS] = ",".join(dict.fromkeys([*levels, "DL2"]))
    return record


def read_predictions(dl2_files: FileSet, task_name: str | None = None) -> QTable:
    """Read the telescope-wise predictions of a task back from DL2 files.

    Parameters
    ----------
    dl2_files : FileSet
        With records as `write_dl2` returns them.
    task_name : str, optional
        Default: the first task in the files.

    Returns
    -------
    QTable
        Predictions table, as `~cherenkov_pipeline.reconstruction.predict.predict_dl1` gives it, without ``reason`` and
        ``outside_validity``.
        True values are NaN, and -1 for ``true_shower_primary_id``, where a file has none.

    Raises
    ------
    UserError
        If there are no files, or not this task in one of them.
    """
    if not len(dl2_files):
        raise UserError("There are no DL2 files to read: reconstruct some first.")
    parts = []
    for path, record in zip(dl2_files.paths, dl2_files.records, strict=True):
        name = task_name or next(iter(record["models"]))
        if name not in record["models"]:
            raise UserError(f"{path} has no predictions of {name}: reconstruct it with such a model.")
        parts.append(_read_predictions(path, get_task(name), record["models"][name]))
    return vstack(parts, metadata_conflicts="silent")


def _read_predictions(path: Path, task: Task, prefix: str) -> QTable:
    with TableLoader(path, focal_length_choice="EQUIVALENT") as loader:
        events = loader.read_telescope_events(dl1_images=False, true_parameters=False, pointing=True)
    table = QTable({name: events[name] for name in COPIED if name in events.colnames})
    for key in (*EVENT, "tel_id"):
        table[key] = np.asarray(events[key], dtype=np.int64)
    for field, name in task.dl2_columns.items():
        table[name] = events[f"{prefix}_tel_{field}"]
    table["is_valid"] = events[f"{prefix}_tel_is_valid"]
    if "true_energy" not in table.colnames:
        table["true_energy"] = np.full(len(table), np.nan) * u.TeV
        table["true_shower_primary_id"] = -1
    table.add_column(np.full(len(table), _production(path)), name="production", index=0)
    return table


def _production(path: Path) -> str:
    return path.name.removesuffix(".h5").removesuffix(".dl1").removesuffix(".dl2")


def _write_task(
    file: tables.File,
    task: Task,
    prefix: str,
    predictions: QTable,
    events: Table,
    subarray: SubarrayDescription,
    parameters: ReconstructionParameters,
) -> None:
    """Write telescope tables and subarray table of one task."""
    by_telescope = []
    for node in file.root[DL1_TEL_PARAMETERS_GROUP]:
        keys = read_table(file, node._v_pathname)[[*EVENT, "tel_id"]]
        table = _telescope_table(keys, predictions, task, prefix)
        write_table(table, file, f"{DL2_TEL_GROUP}/{task.dl2_group}/{prefix}/{node._v_name}")
        table["hillas_intensity"] = _take(predictions["hillas_intensity"], _positions(keys, predictions))
        by_telescope.append(table)
    images = vstack(by_telescope, metadata_conflicts="silent")
    # the telescopes of an event side by side, the events in the order of the trigger table
    images = images[np.argsort(_positions(images, events, EVENT), kind="stable")]
    combined = make_combiner(parameters.combination, task.dl2_group, prefix).predict_table(images)
    transform = TelListToMaskTransform(subarray)
    name = f"{prefix}_telescopes"
    masks = np.array([transform(tel_ids) for tel_ids in combined[name]]).reshape(len(combined), len(subarray))
    combined[name] = Column(masks, description=combined[name].description, meta=combined[name].meta)
    write_table(_for_all_events(combined, events), file, f"{DL2_SUBARRAY_GROUP}/{task.dl2_group}/{prefix}")


def _telescope_table(keys: Table, predictions: QTable, task: Task, prefix: str) -> Table:
    """Predictions of the rows of one telescope's DL1 table, in their order."""
    positions = _positions(keys, predictions)
    table = keys.copy()
    for field, name in task.dl2_columns.items():
        table[f"{prefix}_tel_{field}"] = _take(predictions[name], positions)
    table[f"{prefix}_tel_is_valid"] = (positions >= 0) & np.asarray(predictions["is_valid"])[positions]
    add_defaults_and_meta(table, CONTAINERS[task.dl2_group], prefix, add_tel_prefix=True)
    return table


def _for_all_events(combined: Table, events: Table) -> Table:
    """One row for each event of the trigger table, as ctapipe's loader expects; invalid where there is no image."""
    positions = _positions(events, combined, EVENT)
    table = combined[positions]
    for key in EVENT:
        table[key] = events[key]
    absent = positions < 0
    for name in table.colnames:
        if name not in EVENT:
            table[name][absent] = np.nan if table[name].dtype.kind == "f" else False
    return table


def _positions(wanted: Table, table: Table, names: Sequence[str] = (*EVENT, "tel_id")) -> np.ndarray:
    """Row of ``table`` with the keys of each row of ``wanted``; -1 where there is none."""
    keys = np.concatenate(
        [np.stack([np.asarray(part[name], dtype=np.int64) for name in names], axis=1) for part in (table, wanted)]
    )
    codes = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    rows = np.full(codes.max(initial=-1) + 1, -1)
    rows[codes[: len(table)]] = np.arange(len(table))
    return rows[codes[len(table) :]]


def _take(values: Any, positions: np.ndarray) -> Any:
    """Rows of a floating-point column; NaN where the position is -1."""
    taken = values[positions]
    taken[positions < 0] = np.nan
    return taken


def _counts(predictions: QTable) -> dict[str, Any]:
    valid = np.asarray(predictions["is_valid"])
    reasons = Counter(np.asarray(predictions["reason"])[~valid].tolist())
    return {
        "n_images": len(predictions),
        "n_valid": int(valid.sum()),
        "n_invalid": int((~valid).sum()),
        "reasons": dict(reasons),
        "n_outside_validity": int(np.sum(predictions["outside_validity"])),
    }


def _prefixes(models: Sequence[TrainedModel], parameters: ReconstructionParameters) -> dict[str, str]:
    """Prefix of each task's columns: of its first model."""
    return {trained.card.task: parameters.prefix or trained.card.name for trained in reversed(models)}


def _check_absent(path: Path, models: Sequence[TrainedModel], parameters: ReconstructionParameters) -> None:
    with tables.open_file(path) as file:
        for task_name, prefix in _prefixes(models, parameters).items():
            group = get_task(task_name).dl2_group
            if f"{DL2_SUBARRAY_GROUP}/{group}/{prefix}" in file.root:
                raise UserError(
                    f"{path} has predictions of {group} named {prefix} already: choose another reconstruction.prefix."
                )


def _names(paths: Sequence[Path], digests: Sequence[str]) -> list[str]:
    """Name of each DL2 file; files of the same name get a part of their fingerprint."""
    stems = [_production(path) for path in paths]
    return [
        f"{stem}.dl2.h5" if stems.count(stem) == 1 else f"{stem}-{digest[:8]}.dl2.h5"
        for stem, digest in zip(stems, digests, strict=True)
    ]
