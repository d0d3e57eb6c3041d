"""Events of DL2 files found again among those of other predictions, whatever the files are called."""

import numpy as np
import pandas as pd
from astropy.table import QTable, Table

from cherenkov_pipeline.directions import POINTING, plain
from cherenkov_pipeline.dl1.contents import IMAGE, PRIMARY

TAKEN_OVER = ("hillas_intensity", "hillas_fov_lon", "hillas_fov_lat", "hillas_psi", *POINTING)
"""Columns of an image that say how it is judged, not what was predicted: for all models those of one table."""

TOLERANCE = 1e-5
"""Relative difference of true energies: what is kept as float32 is the same event."""


def as_in(predictions: Table, reference: Table) -> QTable:
    """Give events the names that they have in another table.

    Two events are the same one if their run, event and telescope have the same numbers, and their true energy and
    particle are the same: gammas and protons may have the same numbers, and one production may lie in files of several
    names.

    Parameters
    ----------
    predictions, reference : Table
        Predictions tables with ``production``, ``obs_id``, ``event_id``, the true energy and particle, both of images
        (``tel_id``) or both of events.

    Returns
    -------
    QTable
        All rows of ``predictions``. Those in the reference have its ``production`` and ``shower``, and its columns
        `TAKEN_OVER`; the ``production`` of the others says that they are none of them.
    """
    keys = [name for name in IMAGE if name in predictions.colnames and name in reference.colnames]
    left, right = (_keys(table, keys) for table in (predictions, reference))
    pairs = left.merge(right, on=[*keys, PRIMARY], suffixes=("", "_reference"))
    pairs = pairs[np.isclose(pairs["energy"], pairs["energy_reference"], rtol=TOLERANCE, atol=0)]
    pairs = pairs.drop_duplicates("row")
    rows, places = pairs["row"].to_numpy(), pairs["row_reference"].to_numpy()
    found = QTable(predictions, copy=True)
    names = np.array([f"{name} (elsewhere)" for name in np.asarray(predictions["production"])], dtype=object)
    names[rows] = np.asarray(reference["production"])[places]
    found["production"] = names.astype(str)
    if "shower" in reference.colnames:
        showers = np.full(len(found), -1, dtype=np.int64)
        showers[rows] = np.asarray(reference["shower"])[places]
        found["shower"] = showers
    for name in TAKEN_OVER:
        if name in reference.colnames:
            found[name] = _taken(QTable(reference[[name]])[name], len(found), rows, places)
    return found


def _keys(table: Table, names: list[str]) -> pd.DataFrame:
    keys = {name: np.asarray(table[name]).astype(np.int64) for name in (*names, PRIMARY)}
    return pd.DataFrame({**keys, "energy": plain(table, "true_energy"), "row": np.arange(len(table))})


def _taken(values: np.ndarray, n: int, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values of the rows that were found, NaN elsewhere; with the unit, if there is one."""
    taken = np.full(n, np.nan)
    taken[rows] = np.asarray(values, dtype=float)[places]
    return taken if getattr(values, "unit", None) is None else taken << values.unit
