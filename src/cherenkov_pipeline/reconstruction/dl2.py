"""DL2 files in ctapipe's layout.

A DL2 file is its DL1 file (without images, unless they are wanted) and, for each task, telescope tables
``/dl2/event/telescope/<group>/<prefix>/tel_XXX`` and a subarray table ``/dl2/event/subarray/<group>/<prefix>``, as
`ctapipe.tools.apply_models` writes them. The prefix is that of model and task, ``set_network_energy``: ctapipe's tools
join all tables by their columns, and each property has its own ``is_valid``. Telescope tables have a task's further
columns as well, such as both sides of a direction.
"""

import functools
import logging
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, QTable, Table, vstack
from ctapipe import __version__ as ctapipe_version
from ctapipe.containers import (
    Container,
    ParticleClassificationContainer,
    ReconstructedEnergyContainer,
    ReconstructedGeometryContainer,
)
from ctapipe.core import Field
from ctapipe.instrument import SubarrayDescription
from ctapipe.io import write_table
from ctapipe.io.hdf5dataformat import (
    DL1_SUBARRAY_TRIGGER_TABLE,
    DL1_TEL_PARAMETERS_GROUP,
    DL2_SUBARRAY_GROUP,
    DL2_TEL_GROUP,
)
from ctapipe.io.tableio import TelListToMaskTransform
from ctapipe.reco.utils import add_defaults_and_meta

from cherenkov_pipeline.dl1.contents import EVENT, IMAGE, production_of
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.settings import read_settings, write_settings
from cherenkov_pipeline.dl1.written import written_completely
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileJob, FilePlan, FileSet
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint, fingerprint_file
from cherenkov_pipeline.hdf5 import HDF5Merger, read_subarray, read_table, tables
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.reconstruction.columns import find_rows, take_rows
from cherenkov_pipeline.reconstruction.combine import combine
from cherenkov_pipeline.reconstruction.drift import DriftCounter
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.reconstruction.predict import match_models, predict_sets, task_names, widest_first
from cherenkov_pipeline.reconstruction.stereo import is_stereo, predict_stereo_dl1
from cherenkov_pipeline.tasks import DEPTH, Task, get_task

logger = logging.getLogger(__name__)


class ShowerMaximumContainer(Container):
    """Reconstructed depth of the shower maximum, which ctapipe has no container for."""

    x_max = Field(np.nan * DEPTH, "reconstructed depth of the shower maximum", unit=DEPTH)
    x_max_uncert = Field(np.nan * DEPTH, "its uncertainty", unit=DEPTH)
    is_valid = Field(False, "whether the depth was reconstructed")
    goodness_of_fit = Field(np.nan, "goodness of the algorithm fit")
    telescopes = Field(None, "telescopes used if stereo, or None if mono")


CONTAINERS: dict[str, type[Container]] = {
    "energy": ReconstructedEnergyContainer,
    "geometry": ReconstructedGeometryContainer,
    "particle_type": ParticleClassificationContainer,
    "shower_maximum": ShowerMaximumContainer,
}
"""Container of each property, ctapipe's where it has one."""

MAIN = ""
"""Name of the models that the pipeline takes without being told, beside those of further ones."""

DATA_LEVELS = "CTA PRODUCT DATA LEVELS"
ROOMS = ("dl1", "models", "reconstruction", "store", "tasks", "directions", "ground")
"""Code that makes the result."""


def plan_dl2(
    dl1_files: FileSet,
    models: Sequence[TrainedModel],
    selection: SelectionParameters,
    parameters: ReconstructionParameters,
    further: Mapping[str, TrainedModel] | None = None,
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
    further : mapping of str to TrainedModel, optional
        Models of any tasks beside them: first part of their columns' names -> model.

    Returns
    -------
    FilePlan
        One job a DL1 file, one after the other: the network itself uses all cores. Records as `write_dl2` returns
        them.

    Raises
    ------
    UserError
        If there are no files or models, a file is not DL1, a task has no model that fits one, or it has such
        predictions already.
    """
    if not len(dl1_files):
        raise UserError("There are no DL1 files to reconstruct: give a file, folder or glob.")
    sets = _sets(models, further)
    prefixes = _check_distinct(sets, parameters)
    for path in dl1_files.paths:
        for group in sets.values():
            # stereo models must fit by themselves: their predictions stand beside those of single telescopes
            for one in [part for part in _by_mode(group) if part] or [group]:
                match_models(one, path)
        _check_absent(path, prefixes)
    digests = [
        record.get("fingerprint") or fingerprint_file(path)
        for path, record in zip(dl1_files.paths, dl1_files.records, strict=True)
    ]
    jobs = [
        FileJob(
            name,
            functools.partial(
                write_dl2, source=path, models=models, selection=selection, parameters=parameters, further=further
            ),
        )
        for name, path in zip(_names(dl1_files.paths, digests), dl1_files.paths, strict=True)
    ]
    return FilePlan(
        fingerprint(
            digests,
            [trained.fingerprint for trained in models],
            [trained.card.references for trained in models],
            {name: trained.fingerprint for name, trained in (further or {}).items()},
            selection,
            parameters.model_dump(mode="json", exclude={"chunk_size", "drift", "models"}),
            code_fingerprint(*ROOMS),
            ctapipe_version,
            keras.__version__,
            keras.backend.backend(),
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
    further: Mapping[str, TrainedModel] | None = None,
) -> dict[str, Any]:
    """Write the DL2 file of one DL1 file.

    Parameters
    ----------
    path : path-like
        File to write.
    source : path-like
        DL1 file.
    models, selection, parameters, further
        As for `plan_dl2`.

    Returns
    -------
    dict
        ``source``, ``n_events``, ``models`` (task -> prefix of its columns), and for each task ``n_images`` =
        ``n_valid`` + ``n_invalid``, ``reasons`` of the invalid ones with their numbers, and ``n_outside_validity``:
        images, valid or not, at zenith angles that the model's training data do not cover. The same of stereo models
        under ``stereo_models`` and ``stereo_tasks``, which count ``n_events`` in place of images. ``further``: these
        four of each further model, by its name. ``drift``: how the selected images compare with the training data of
        ``models``, see `cherenkov_pipeline.reconstruction.drift`.
    """
    path, source = Path(path), Path(source)
    sets = _sets(models, further)
    mono, stereo = ({name: _by_mode(group)[number] for name, group in sets.items()} for number in (0, 1))
    mono = {name: group for name, group in mono.items() if group}
    drift = DriftCounter(models)
    predictions = predict_sets(mono, source, selection, parameters.chunk_size, drift.add)
    # once is enough: the images are the same
    observers = {MAIN: None if mono else drift.add}
    stereo_predictions = {
        name: predict_stereo_dl1(group, source, selection, parameters.chunk_size, observers.get(name))
        for name, group in stereo.items()
    }
    records: dict[str, dict[str, Any]] = {}
    with written_completely(path):
        keep = parameters.keep_images
        with HDF5Merger(output_path=path, dl1_images=keep, true_images=keep) as merger:
            merger(source)
        write_settings(path, read_settings(source))  # the merger drops them
        subarray = read_subarray(path)
        with tables.open_file(path, "a") as file:
            events = read_table(file, DL1_SUBARRAY_TRIGGER_TABLE)[[*EVENT]]
            for name in sets:
                names = _prefixes(mono.get(name, ()), name or parameters.prefix)
                record = records[name] = {"models": names, "tasks": {}}
                for task_name, table in predictions.get(name, {}).items():
                    _write_task(file, get_task(task_name), names[task_name], table, events, subarray, parameters)
                    record["tasks"][task_name] = _counts(table, "images", source, task_name)
                if stereo[name]:
                    names = _prefixes(stereo[name], name or parameters.prefix)
                    record |= {"stereo_models": names, "stereo_tasks": {}}
                    for task_name, table in stereo_predictions[name].items():
                        _write_stereo(file, get_task(task_name), names[task_name], table, events, subarray)
                        record["stereo_tasks"][task_name] = _counts(table, "events", source, task_name)
            levels = str(file.root._v_attrs[DATA_LEVELS]).split(",")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", tables.NaturalNameWarning)
                file.root._v_attrs[DATA_LEVELS] = ",".join(dict.fromkeys([*levels, "DL2"]))
    main = records.pop(MAIN)
    return {"source": str(source), "n_events": len(events), **main, "further": records, "drift": drift.record()}


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
        keys = read_table(file, node._v_pathname)[[*IMAGE]]
        table = _telescope_table(keys, predictions, task, prefix)
        write_table(table, file, f"{DL2_TEL_GROUP}/{task.dl2_group}/{prefix}/{node._v_name}")
        table["hillas_intensity"] = take_rows(predictions["hillas_intensity"], find_rows(keys, predictions))
        by_telescope.append(table)
    images = vstack(by_telescope, metadata_conflicts="silent")
    # the telescopes of an event side by side, the events in the order of the trigger table
    images = images[np.argsort(find_rows(images, events, EVENT), kind="stable")]
    combined = combine(images, task, prefix, parameters.combination, CONTAINERS[task.dl2_group])
    transform = TelListToMaskTransform(subarray)
    name = f"{prefix}_telescopes"
    masks = np.array([transform(tel_ids) for tel_ids in combined[name]]).reshape(len(combined), len(subarray))
    combined[name] = Column(masks, description=combined[name].description, meta=combined[name].meta)
    write_table(_for_all_events(combined, events), file, f"{DL2_SUBARRAY_GROUP}/{task.dl2_group}/{prefix}")


def _write_stereo(
    file: tables.File, task: Task, prefix: str, predictions: QTable, events: Table, subarray: SubarrayDescription
) -> None:
    """Write the subarray table of a stereo model."""
    container = CONTAINERS[task.dl2_group]
    table = Table({key: np.asarray(predictions[key]) for key in EVENT})
    for field, name in task.dl2_columns.items():
        table[f"{prefix}_{field}"] = predictions[name]
    table[f"{prefix}_is_valid"] = np.asarray(predictions["is_valid"])
    masks = np.zeros((len(table), len(subarray)), dtype=bool)
    masks[:, subarray.tel_ids_to_indices(predictions.meta["tel_ids"])] = predictions["telescopes"]
    table[f"{prefix}_telescopes"] = masks
    add_defaults_and_meta(table, container, prefix)
    write_table(_for_all_events(table, events), file, f"{DL2_SUBARRAY_GROUP}/{task.dl2_group}/{prefix}")


def _telescope_table(keys: Table, predictions: QTable, task: Task, prefix: str) -> Table:
    """Predictions of the rows of one telescope's DL1 table, in their order."""
    positions = find_rows(keys, predictions)
    table = keys.copy()
    for field, name in {**task.dl2_columns, **task.extra_columns}.items():
        table[f"{prefix}_tel_{field}"] = take_rows(predictions[name], positions)
    table[f"{prefix}_tel_is_valid"] = (positions >= 0) & np.asarray(predictions["is_valid"])[positions]
    add_defaults_and_meta(table, CONTAINERS[task.dl2_group], prefix, add_tel_prefix=True)
    return table


def _for_all_events(combined: Table, events: Table) -> Table:
    """One row for each event of the trigger table, as ctapipe's loader expects; invalid where there is no image."""
    positions = find_rows(events, combined, EVENT)
    table = combined[positions]
    for key in EVENT:
        table[key] = events[key]
    absent = positions < 0
    for name in table.colnames:
        if name not in EVENT:
            table[name][absent] = np.nan if table[name].dtype.kind == "f" else False
    return table


def _counts(predictions: QTable, what: str, source: Path, task_name: str) -> dict[str, Any]:
    """Count what was predicted, ``images`` or ``events``, and warn of what the training data do not cover."""
    valid = np.asarray(predictions["is_valid"])
    reasons = Counter(np.asarray(predictions["reason"])[~valid].tolist())
    n_outside = int(np.sum(predictions["outside_validity"]))
    if n_outside:
        logger.warning(
            "%s: %d of %d %s were taken at zenith angles that the training data of the %s model do not cover; their "
            "predictions are extrapolated.",
            source.name, n_outside, len(predictions), what, task_name,
        )  # fmt: skip
    return {
        f"n_{what}": len(predictions),
        "n_valid": int(valid.sum()),
        "n_invalid": int((~valid).sum()),
        "reasons": dict(reasons),
        "n_outside_validity": n_outside,
    }


def _by_mode(models: Sequence[TrainedModel]) -> tuple[list[TrainedModel], list[TrainedModel]]:
    """Models of single telescopes, and stereo models."""
    return [one for one in models if not is_stereo(one)], [one for one in models if is_stereo(one)]


def _sets(
    models: Sequence[TrainedModel], further: Mapping[str, TrainedModel] | None
) -> dict[str, Sequence[TrainedModel]]:
    """Models that are matched with telescopes and tasks by themselves, by the first part of their columns' names."""
    return {MAIN: models, **{name: [trained] for name, trained in (further or {}).items()}}


def _prefixes(models: Sequence[TrainedModel], prefix: str | None) -> dict[str, str]:
    """Prefix of each task's columns: of the model that goes before its others, if none is given."""
    return {
        name: f"{prefix or trained.card.name}_{name}"
        for trained in reversed(widest_first(models))
        for name in task_names([trained])
    }


def _check_distinct(
    sets: Mapping[str, Sequence[TrainedModel]], parameters: ReconstructionParameters
) -> list[tuple[str, str]]:
    """Property and prefix of all tables, which no two models may share."""
    found: list[tuple[str, str]] = []
    for name, models in sets.items():
        own = [
            (get_task(task).dl2_group, prefix) for task, prefix in _prefixes(models, name or parameters.prefix).items()
        ]
        if common := set(own).intersection(found):
            raise UserError(
                f"reconstruction.models.{name} would write {common.pop()[1]}, as another model does: name it otherwise."
            )
        found += own
    return found


def _check_absent(path: Path, prefixes: Sequence[tuple[str, str]]) -> None:
    with tables.open_file(path) as file:
        for group, prefix in prefixes:
            if f"{DL2_SUBARRAY_GROUP}/{group}/{prefix}" in file.root:
                raise UserError(
                    f"{path} has predictions of {group} named {prefix} already: choose another reconstruction.prefix."
                )


def _names(paths: Sequence[Path], digests: Sequence[str]) -> list[str]:
    """Name of each DL2 file; files of the same name get a part of their fingerprint."""
    stems = [production_of(path) for path in paths]
    return [
        f"{stem}.dl2.h5" if stems.count(stem) == 1 else f"{stem}-{digest[:8]}.dl2.h5"
        for stem, digest in zip(stems, digests, strict=True)
    ]
