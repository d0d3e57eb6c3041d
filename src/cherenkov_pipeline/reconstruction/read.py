"""Read predictions back from DL2 files, ours or others' in ctapipe's layout."""

import os
from collections.abc import Sequence
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from ctapipe.io import TableLoader

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.reconstruction.predict import COPIED
from cherenkov_pipeline.tasks import get_task


def read_predictions(paths: Sequence[str | os.PathLike], task_name: str, prefix: str) -> QTable:
    """Read the telescope-wise predictions of a task.

    Parameters
    ----------
    paths : sequence of path-like
        DL2 files.
    task_name : str
    prefix : str
        First part of the columns' names: the model's name.

    Returns
    -------
    QTable
        Predictions table, as `~cherenkov_pipeline.reconstruction.predict.predict_dl1` gives it, without ``reason``.
        True values are NaN, and -1 for ``true_shower_primary_id``, where a file has none.

    Raises
    ------
    UserError
        If a file has no such predictions.
    """
    if not paths:
        raise UserError("There are no DL2 files to read: reconstruct some first.")
    return vstack([_read(Path(path), task_name, prefix) for path in paths], metadata_conflicts="silent")


def _read(path: Path, task_name: str, prefix: str) -> QTable:
    task = get_task(task_name)
    with TableLoader(path, focal_length_choice="EQUIVALENT") as loader:
        events = loader.read_telescope_events(
            dl1_images=False, dl1_parameters=True, dl2=True, simulated=True, true_parameters=False, pointing=True
        )
    columns = {name: f"{prefix}_tel_{field}" for field, name in task.dl2_columns.items()}
    columns["is_valid"] = f"{prefix}_tel_is_valid"
    missing = [name for name in columns.values() if name not in events.colnames]
    if missing:
        raise UserError(f"{path} has no column {missing[0]}: reconstruct it with this model, or correct the name.")
    table = QTable({name: events[name] for name in COPIED if name in events.colnames})
    for name, column in columns.items():
        table[name] = events[column]
    if "true_energy" not in table.colnames:
        table["true_energy"] = np.full(len(table), np.nan) * u.TeV
        table["true_shower_primary_id"] = -1
    table.add_column(
        np.full(len(table), path.name.removesuffix(".h5").removesuffix(".dl2")), name="production", index=0
    )
    return table
