"""Columns and rows of predictions tables and of ctapipe's tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.directions import POINTING
from cherenkov_pipeline.dl1.contents import IMAGE
from cherenkov_pipeline.hdf5 import read_subarray
from cherenkov_pipeline.tasks import Task

COPIED = (
    *IMAGE,
    "shower",
    "true_energy",
    "true_alt",
    "true_az",
    "true_core_x",
    "true_core_y",
    "true_x_max",
    "true_shower_primary_id",
    *POINTING,
    "hillas_intensity",
    "hillas_fov_lon",
    "hillas_fov_lat",
    "hillas_psi",
)
"""Columns of the events that the predictions carry along, where there are any."""


def find_rows(wanted: Table, table: Table, names: Sequence[str] = IMAGE) -> np.ndarray:
    """Row of ``table`` with the keys of each row of ``wanted``; -1 where there is none."""
    keys = np.concatenate(
        [np.stack([np.asarray(part[name], dtype=np.int64) for name in names], axis=1) for part in (table, wanted)]
    )
    codes = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    rows = np.full(codes.max(initial=-1) + 1, -1)
    rows[codes[: len(table)]] = np.arange(len(table))
    return rows[codes[len(table) :]]


def take_rows(values: Any, positions: np.ndarray) -> Any:
    """Rows of a floating-point column; NaN where the position is -1."""
    taken = values[positions]
    taken[positions < 0] = np.nan
    return taken


def add_truth(table: QTable, task: Task, path: Path) -> None:
    """Add the true values that depend on the telescope's camera."""
    subarray = read_subarray(path)
    for tel_id in np.unique(table["tel_id"]):
        rows = table["tel_id"] == tel_id
        for name, values in task.to_truth(table[rows], subarray.tel[tel_id].camera.geometry).items():
            if name not in table.colnames:
                table[name] = np.full(len(table), np.nan) << values.unit
            table[name][rows] = values
