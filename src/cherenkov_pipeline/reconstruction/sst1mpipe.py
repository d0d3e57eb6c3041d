"""DL2 files of sst1mpipe, the random forests of the SST-1M collaboration, as the predictions table.

``sst1mpipe_dl1_dl2`` (0.7) copies the DL1 file and adds one table for each telescope,
``/dl2/event/telescope/parameters/tel_001``, or one for all together, ``.../stereo``. A row has every column of DL1 and
of the predictions, as plain numbers without units; images that the forests cannot take have none. The tables carry
their configuration as a pickled object, which is why they are read by h5py: PyTables would unpickle it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
from astropy import units as u
from astropy.table import QTable

from cherenkov_pipeline.directions import POINTING, from_camera
from cherenkov_pipeline.dl1.contents import EVENT, IMAGE, PRIMARY, production_of
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.hdf5 import read_subarray
from cherenkov_pipeline.reconstruction.columns import add_truth
from cherenkov_pipeline.store.chunks import TRUTH
from cherenkov_pipeline.store.split import shower_ids
from cherenkov_pipeline.tasks import Task

if TYPE_CHECKING:
    from cherenkov_pipeline.reconstruction.discover import Level

FORESTS = "sst1mpipe"
"""Stands for the prefix of what sst1mpipe's forests predicted, whose columns have none."""

FORESTS_GROUP = "/dl2/event/telescope/parameters"
FORESTS_STEREO = "stereo"
"""Table of whole events among those of the telescopes."""

PREDICTED = {
    "energy": {"reco_energy": "reco_energy"},
    "type": {"gammaness": "gammaness"},
    "skydirection": {"reco_alt": "reco_alt", "reco_az": "reco_az"},
    "cameradirection": {
        "reco_camera_x": "reco_src_x",
        "reco_camera_y": "reco_src_y",
        "reco_alt": "reco_alt",
        "reco_az": "reco_az",
    },
}
"""Task -> physical column -> sst1mpipe's."""

ZERO_WITHOUT_FOREST = {
    "energy": "reco_energy",
    "type": "gammaness",
    "skydirection": "reco_disp_dx",
    "cameradirection": "reco_disp_dx",
}
"""Task -> column that is 0 in every row where the forest was not at hand: sst1mpipe writes its file all the same."""

TRUE_POINTING = dict(zip(POINTING, ("true_alt_tel", "true_az_tel"), strict=True))

HILLAS = tuple(f"camera_frame_hillas_{name}" for name in ("intensity", "x", "y", "psi"))


def is_of_level(name: str, level: "Level") -> bool:
    """Whether one of sst1mpipe's tables is of single telescopes, or of whole events."""
    return (name == FORESTS_STEREO) == (level == "subarray")


def read_forests(path: Path, tasks: Sequence[Task], level: "Level") -> QTable:
    """Read the predictions of some tasks.

    Parameters
    ----------
    path : Path
    tasks : sequence of Task
        In `PREDICTED`.
    level : {"telescope", "subarray"}

    Returns
    -------
    QTable
        As `~cherenkov_pipeline.reconstruction.read.read_predictions` gives it, predicted errors NaN. Nothing is valid
        where sst1mpipe had no forest for a task.

    Raises
    ------
    UserError
        If a column is missing.
    """
    found = _read(path, level)
    keys = EVENT if level == "subarray" else IMAGE
    needed = (*keys, *TRUE_POINTING.values(), *(name for task in tasks for name in PREDICTED[task.name].values()))
    if missing := [name for name in dict.fromkeys(needed) if name not in found]:
        raise UserError(f"{path} has no column {', '.join(missing)}: it is not DL2 as sst1mpipe writes it.")
    table = QTable({"production": np.full(len(found), production_of(path))})
    for name in keys:
        table[name] = found[name].to_numpy(np.int64)
    table[PRIMARY] = found[PRIMARY].to_numpy(np.int64) if PRIMARY in found else -1
    for name, unit in TRUTH.items():
        table[name] = (found[name].to_numpy(float) if name in found else np.full(len(found), np.nan)) << u.Unit(unit)
    for name, theirs in TRUE_POINTING.items():
        table[name] = found[theirs].to_numpy(float) << u.deg
    table["shower"] = shower_ids(table, production_of(path))
    if level == "telescope":
        _add_images(table, found, path)
    table["is_valid"] = np.full(len(table), all(_has_forest(found, task) for task in tasks))
    for task in tasks:
        predicted = PREDICTED[task.name]
        for name in dict.fromkeys((*task.dl2_columns.values(), *predicted)):
            values = found[predicted[name]].to_numpy(float) if name in predicted else np.full(len(found), np.nan)
            table[name] = values << task.units[name] if task.units[name] else values
        if task.to_truth:
            add_truth(table, task, path)
    return table


def _read(path: Path, level: "Level") -> pd.DataFrame:
    with h5py.File(path) as file:
        group = file[FORESTS_GROUP]
        names = [name for name in sorted(group) if is_of_level(name, level)]
        return pd.concat([pd.DataFrame(group[name][:]) for name in names], ignore_index=True)


def _has_forest(found: pd.DataFrame, task: Task) -> bool:
    name = ZERO_WITHOUT_FOREST[task.name]
    return name not in found or bool(found[name].any())


def _add_images(table: QTable, found: pd.DataFrame, path: Path) -> None:
    """Add what the side of the image is judged by, in the telescope frame: sst1mpipe's is that of the camera."""
    if not set(HILLAS) <= set(found):
        return
    table["hillas_intensity"], x, y, psi = (found[name].to_numpy(float) for name in HILLAS)
    step = 1e-3  # m: a turned frame turns the axis
    columns = np.full((3, len(table)), np.nan)
    subarray = read_subarray(path)
    for tel_id in np.unique(table["tel_id"]):
        rows = np.asarray(table["tel_id"]) == tel_id
        camera = subarray.tel[tel_id].camera.geometry
        angle = np.deg2rad(psi[rows])
        centre = from_camera(x[rows], y[rows], camera)
        beside = from_camera(x[rows] + step * np.cos(angle), y[rows] + step * np.sin(angle), camera)
        axis = np.arctan2(beside.lat - centre.lat, beside.lon - centre.lon)
        columns[:, rows] = centre.lon, centre.lat, np.rad2deg(axis)
    for name, values in zip(("hillas_fov_lon", "hillas_fov_lat", "hillas_psi"), columns, strict=True):
        table[name] = values << u.deg
