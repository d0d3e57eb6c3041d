"""DL2 files as CTLearn 0.10 writes them, without CTLearn.

``ctlearn/tools/predict_model.py``: the DL1 file's tables without images, a prefix for each task, every triggered
telescope with a row in the order of the keys, NaN and not valid where nothing was predicted, no predicted errors; the
pointing of each image as monitoring data; the telescopes of an event combined by ctapipe's mean, whose spread stands as
predicted error. Numbers of runs are floating-point, as numpy makes them of the two integer types that are joined, and
the gammaness of a last batch that is not full is lost: 0, and valid. Stereo models write tables of whole events alone.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tables
from astropy import units as u
from astropy.table import QTable, Table, unique
from astropy.time import Time
from ctapipe.containers import (
    ParticleClassificationContainer,
    ReconstructedEnergyContainer,
    ReconstructedGeometryContainer,
)
from ctapipe.instrument import SubarrayDescription
from ctapipe.io import write_table
from ctapipe.io.hdf5dataformat import DL1_TEL_POINTING_GROUP
from ctapipe.reco.reconstructor import ReconstructionProperty
from ctapipe.reco.stereo_combination import StereoMeanCombiner
from ctapipe.reco.utils import add_defaults_and_meta

EVENT = ["obs_id", "event_id"]
IMAGE = [*EVENT, "tel_id"]
IMAGE_TYPES = {"obs_id": np.float64, "event_id": np.uint64, "tel_id": np.int64}
TRUTH = ("energy", "alt", "az", "core_x", "core_y", "h_first_int", "x_max", "shower_primary_id")

AXES = ("altitude", "azimuth")

TASKS = {
    "energy": ("CTLearnRegressor", "energy", ReconstructedEnergyContainer, {"energy": "reco_energy"}),
    "type": ("CTLearnClassifier", "particle_type", ParticleClassificationContainer, {"prediction": "gammaness"}),
    "skydirection": (
        "CTLearnSkyReconstructor",
        "geometry",
        ReconstructedGeometryContainer,
        {"alt": "reco_alt", "az": "reco_az"},
    ),
    "cameradirection": (
        "CTLearnCameraReconstructor",
        "geometry",
        ReconstructedGeometryContainer,
        {"alt": "reco_alt", "az": "reco_az"},
    ),
}
"""Task -> prefix, property, container, and field -> column of the predictions."""


def write_ctlearn(
    path: Path,
    predictions: QTable,
    array: SubarrayDescription,
    tasks: Mapping[str, str] | tuple[str, ...] = ("energy",),
    stereo: bool = False,
    version: str = "v6.0.0",
    n_lost: int = 0,
) -> Path:
    """Write predictions as a DL2 file.

    Parameters
    ----------
    path : Path
    predictions : QTable
        Of images, or of events without ``tel_id``; true values included, in the order of the recording.
    array : SubarrayDescription
    tasks : tuple of str, or mapping of str to str
        Which are written; with the prefixes where they are not CTLearn's.
    stereo : bool
        Write tables of events alone.
    version : str
        Of the data model.
    n_lost : int
        Images in the last batch of the classifier, which is not full.
    """
    images = QTable({name: _native(column) for name, column in predictions.columns.items()})
    if "tel_id" not in images.colnames:
        images["tel_id"] = array.tel_ids[0]
    with warnings.catch_warnings(), tables.open_file(path, "w") as file:
        warnings.simplefilter("ignore", tables.NaturalNameWarning)
        file.root._v_attrs["CTA PRODUCT DATA MODEL VERSION"] = version
        file.root._v_attrs["CTA PRODUCT DATA LEVELS"] = "DL1_PARAMETERS,DL2"
        file.root._v_attrs["CTA ACTIVITY SOFTWARE NAME"] = "ctlearn"
        array.to_hdf(file)
        _write_events(file, images, array)
        for task in tasks:
            prefix, group, container, columns = TASKS[task]
            prefix = tasks[task] if isinstance(tasks, Mapping) else prefix
            infix = "" if stereo else "_tel"
            table = Table({name: np.asarray(images[name], dtype=dtype) for name, dtype in IMAGE_TYPES.items()})
            for field, column in columns.items():
                table[f"{prefix}{infix}_{field}"] = images[column]
            valid = np.isfinite(np.asarray(images[next(iter(columns.values()))]))
            table[f"{prefix}{infix}_is_valid"] = valid
            if stereo:
                table.remove_column("tel_id")
                table = unique(table, keys=EVENT)
                table[f"{prefix}_telescopes"] = np.ones((len(table), len(array)), dtype=bool)
            add_defaults_and_meta(table, container, prefix=prefix, add_tel_prefix=not stereo)
            table.sort(EVENT if stereo else IMAGE)
            if task == "type" and n_lost:
                lost = np.flatnonzero(table[f"{prefix}{infix}_is_valid"])[-n_lost:]
                table[f"{prefix}{infix}_prediction"][lost] = 0.0
            if stereo:
                write_table(table, file, f"/dl2/event/subarray/{group}/{prefix}")
                continue
            for tel_id in np.unique(table["tel_id"]):
                own = table[table["tel_id"] == tel_id]
                write_table(own, file, f"/dl2/event/telescope/{group}/{prefix}/tel_{tel_id:03d}")
            write_table(_combined(table, array, prefix, group), file, f"/dl2/event/subarray/{group}/{prefix}")
    return path


def _combined(table: Table, array: SubarrayDescription, prefix: str, group: str) -> Table:
    """Combine the telescopes of the events; a single telescope's columns are copied."""
    if len(array) == 1:
        events = table.copy()
        events.remove_column("tel_id")
        for name in events.colnames:
            events.rename_column(name, name.replace("_tel_", "_"))
        events[f"{prefix}_telescopes"] = np.asarray(events[f"{prefix}_is_valid"])[:, np.newaxis]
    else:
        combiner = StereoMeanCombiner(prefix=prefix, property=ReconstructionProperty[group.upper()])
        events = combiner.predict_table(table)
        ids = events[f"{prefix}_telescopes"]
        events[f"{prefix}_telescopes"] = np.array([np.isin(array.tel_ids, found) for found in ids])
    events.sort([*EVENT, f"{prefix}_is_valid"])
    return unique(events, keys=EVENT, keep="last")


def _native(column: np.ndarray) -> np.ndarray:
    """Columns of stores are little-endian by name, which PyTables does not mix with the machine's own order."""
    return column.astype(column.dtype.newbyteorder("="))


def _write_events(file: tables.File, images: QTable, array: SubarrayDescription) -> None:
    keys = Table({name: np.asarray(images[name]) for name in IMAGE})
    first = np.sort(np.unique(np.stack([keys[name] for name in EVENT], axis=1), axis=0, return_index=True)[1])
    events = keys[EVENT][first]
    events["time"] = Time(1.7e9 + np.arange(len(events)), format="unix_tai")
    seen = [np.isin(array.tel_ids, keys["tel_id"][_same(keys, event)]) for event in events]
    events["tels_with_trigger"] = np.array(seen)
    write_table(events, file, "/dl1/event/subarray/trigger")
    triggers = keys.copy()
    triggers["time"] = Time(1.7e9 + np.arange(len(keys)), format="unix_tai")
    write_table(triggers, file, "/dl1/event/telescope/trigger")
    if "true_energy" in images.colnames:
        showers = keys[EVENT][first]
        for name in TRUTH:
            if f"true_{name}" in images.colnames:
                showers[f"true_{name}"] = images[f"true_{name}"][first]
        write_table(showers, file, "/simulation/event/subarray/shower")
    for tel_id in np.unique(keys["tel_id"]):
        own = keys["tel_id"] == tel_id
        parameters = keys[own]
        for name in (name for name in images.colnames if name.startswith("hillas_")):
            parameters[name] = images[name][own]
        write_table(parameters, file, f"/dl1/event/telescope/parameters/tel_{tel_id:03d}")
        pointing = unique(Table({"obs_id": keys["obs_id"][own], "tel_id": keys["tel_id"][own]}), keys="obs_id")
        for axis in AXES:
            values = u.Quantity(images[f"telescope_pointing_{axis}"])[own][0]
            pointing[f"telescope_pointing_{axis}"] = np.full(len(pointing), values.to_value("rad")) << u.rad
        write_table(pointing, file, f"/configuration/telescope/pointing/tel_{tel_id:03d}")
        followed = {axis: np.full(np.count_nonzero(own), pointing[f"telescope_pointing_{axis}"][0]) for axis in AXES}
        monitored = Table(
            {"time": triggers["time"][own], **{axis: values << u.rad for axis, values in followed.items()}}
        )
        write_table(monitored, file, f"{DL1_TEL_POINTING_GROUP}/tel_{tel_id:03d}")


def _same(keys: Table, event: Table.Row) -> np.ndarray:
    return (keys["obs_id"] == event["obs_id"]) & (keys["event_id"] == event["event_id"])
