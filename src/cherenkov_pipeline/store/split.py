"""Which shower an image belongs to, and on which side of the split the shower stands.

Both are hashes: they depend on the shower alone, not on order or number of the others. A store that grows never moves
a shower from one side to the other.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.dl1.contents import PRIMARY
from cherenkov_pipeline.store.chunks import TRUTH
from cherenkov_pipeline.store.parameters import SplitParameters

SPLITS = ("train", "validation", "test")
"""Names of the sides; the store holds their position in this tuple."""

_SHOWER = ("true_energy", "true_alt", "true_az", "true_h_first_int", "true_x_max")
"""What makes a simulated shower beside its particle: energy, direction, first interaction, maximum."""


def shower_ids(table: Table, production: str) -> np.ndarray:
    """Identify the shower of each row.

    Simulated showers are known by their true values. Core position and event number are left out: one shower is used
    several times with other cores and numbers, and the same shower may come in several files. Events without truth
    are known by production, ``obs_id`` and ``event_id``.

    Parameters
    ----------
    table : astropy.table.Table
        n rows with ``obs_id``, ``event_id`` and the true values (NaN where there are none), in any units; those of
        `cherenkov_pipeline.store.chunks.TRUTH` where a column has none.
    production : str
        Name of the file.

    Returns
    -------
    ndarray
        (n,) int64, not negative.
    """
    by_truth = _hash_columns([table[PRIMARY], *(_true_value(table, name) for name in _SHOWER)])
    start = np.frombuffer(hashlib.blake2b(production.encode(), digest_size=8).digest(), dtype=np.uint64)
    by_number = _hash_columns([np.broadcast_to(start, len(table)), table["obs_id"], table["event_id"]])
    has_truth = np.isfinite(np.asarray(table["true_energy"], dtype=float))
    return (np.where(has_truth, by_truth, by_number) >> np.uint64(1)).astype(np.int64)


def run_ids(table: Table) -> np.ndarray:
    """Identify the run of each row, by ``obs_id``: (n,) int64, not negative.

    The file does not count: a run in several files, processed twice or a telescope a file, stays on one side.
    """
    return (_hash_columns([table["obs_id"]]) >> np.uint64(1)).astype(np.int64)


def split_codes(groups: np.ndarray, parameters: SplitParameters) -> np.ndarray:
    """Side of the split of each shower, or of each run.

    Parameters
    ----------
    groups : ndarray
        (n,) int64, from `shower_ids` or `run_ids`.
    parameters : SplitParameters

    Returns
    -------
    ndarray
        (n,) int8, positions in `SPLITS`.
    """
    seeds = np.broadcast_to(np.uint64(parameters.seed), len(groups))
    # the 53 highest bits: a float64 has no more
    uniform = (_hash_columns([seeds, groups]) >> np.uint64(11)) * 2.0**-53
    edges = (parameters.train, parameters.train + parameters.validation)
    if not parameters.test:  # rounding must not invent a side that was not wanted
        edges = (parameters.train, np.inf)
    return np.searchsorted(edges, uniform, side="right").astype(np.int8)


def _true_value(table: Table, name: str) -> np.ndarray:
    """Bring true values to the unit of `TRUTH` and the precision of a float32: how a file keeps them must not count."""
    unit = u.Unit(TRUTH[name])
    values = np.asarray(table[name], dtype=float)
    return (table[name].unit or unit).to(unit, values).astype(np.float32)


def _hash_columns(columns: list[np.ndarray]) -> np.ndarray:
    """Hash the rows of columns of numbers to uint64: SplitMix64's finaliser, column after column.

    Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195.
    """
    state = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        state = _mix(state ^ _mix(_bits(np.asarray(column))))
    return state


def _bits(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "iub":
        return values.astype(np.int64).view(np.uint64) if values.dtype != np.uint64 else values
    values = values.astype(np.float64) + 0.0  # -0 becomes 0
    values[np.isnan(values)] = np.nan  # one of the many NaN
    return values.view(np.uint64)


def _mix(z: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def split_changes(learnt: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Tell how a store is split otherwise than training data were; empty where all showers stay on their sides.

    The split is a hash of the shower: with the same parameters no shower changes sides, whatever else is in the store.

    Parameters
    ----------
    learnt, found : mapping
        `SplitParameters` in plain values, of the training data and of the store.
    """
    names = [name for name in {**found, **learnt} if found.get(name) != learnt.get(name)]
    return ", ".join(f"{name} {found.get(name)} instead of {learnt.get(name)}" for name in names)
