"""Sums over events with their errors: events of one shower trigger together and count as one trial."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.binning import rows_per_bin


def sums_per_bin(
    events: QTable, edges: u.Quantity, name: str, weight: np.ndarray | u.Quantity
) -> tuple[np.ndarray, np.ndarray | u.Quantity, np.ndarray | u.Quantity]:
    """Sum weights in bins of a column.

    Parameters
    ----------
    events : QTable
        n events with ``shower`` and the column.
    edges : Quantity
    name : str
        Column.
    weight : ndarray or Quantity, shape (n,)

    Returns
    -------
    n : ndarray of int, shape (n_bins,)
    total, error : ndarray or Quantity, shape (n_bins,)
        The error is the root of the sum over showers of their squared sums.
    """
    values, unit = np.asarray(weight), getattr(weight, "unit", None)
    groups = rows_per_bin(events[name], edges)
    n = np.array([len(rows) for rows in groups])
    total = np.array([values[rows].sum() for rows in groups])
    error = np.array([_error(values[rows], np.asarray(events["shower"])[rows]) for rows in groups])
    return (n, total, error) if unit is None else (n, total << unit, error << unit)


def _error(values: np.ndarray, showers: np.ndarray) -> float:
    _, label = np.unique(showers, return_inverse=True)
    return float(np.sqrt(np.sum(np.bincount(label.reshape(-1), values) ** 2)))
