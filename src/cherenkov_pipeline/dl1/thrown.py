"""What was thrown to get the events of simulated files, as their simulation configuration says."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from ctapipe.io.hdf5dataformat import SIMULATION_RUN_TABLE, SIMULATION_SHOWER_TABLE

from cherenkov_pipeline.dl1.contents import PRIMARY
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.hdf5 import read_table, tables
from cherenkov_pipeline.spectra import THROWN_ONTO, THROWN_SPECTRUM, sum_thrown

SETTINGS = {
    "energy_min": ("energy_range_min", u.TeV),
    "energy_max": ("energy_range_max", u.TeV),
    "spectral_index": ("spectral_index", u.one),
    "max_impact": ("max_scatter_range", u.m),
    "viewcone_min": ("min_viewcone_radius", u.deg),
    "viewcone_max": ("max_viewcone_radius", u.deg),
    "altitude_min": ("min_alt", u.deg),
    "altitude_max": ("max_alt", u.deg),
}
"""Column of the result -> that of ctapipe's simulation configuration, and its unit."""

ALTITUDES = ("altitude_min", "altitude_max")
"""Settings that are NaN where a file does not say."""

NEEDED = (*(name for name in SETTINGS if name not in ALTITUDES), "uses_per_shower", "n_thrown")
POSITIVE = ("n_thrown", "energy_min", "energy_max", "max_impact")
"""What a file has to say, and what of it cannot be 0."""


def read_thrown(paths: Sequence[Path]) -> QTable:
    """Read what was thrown.

    Parameters
    ----------
    paths : sequence of Path
        DL1 or DL2 files, merged ones too. Each run has one kind of particle.

    Returns
    -------
    QTable
        One row a particle: ``true_shower_primary_id``, ``n_runs``, ``n_thrown`` (showers times their uses),
        ``uses_per_shower``, and the columns of `SETTINGS`; altitudes that no file tells are NaN.

    Raises
    ------
    UserError
        If a file does not say what was thrown, or the runs of one particle were thrown in different ways.
    """
    runs, rows = _all_runs(paths), []
    for primary in np.unique(runs[PRIMARY]):
        chosen = runs[runs[PRIMARY] == primary]
        settings = [*SETTINGS, "uses_per_shower"]
        if differing := [name for name in settings if not agree(chosen[name])]:
            raise UserError(
                f"The showers with the primary {primary} were thrown in different ways ({', '.join(differing)}): give "
                "the files of one production."
            )
        first = {name: chosen[name][0] for name in settings}
        rows.append({PRIMARY: int(primary), "n_runs": len(chosen), "n_thrown": int(chosen["n_thrown"].sum()), **first})
    table = QTable(rows=rows)
    for name, (_, unit) in SETTINGS.items():
        table[name] = np.asarray(table[name], dtype=float) << unit
    return table


def count_thrown(paths: Sequence[Path]) -> dict[int, int]:
    """Count what was thrown, in whatever ways: particle -> showers times their uses.

    Raises
    ------
    UserError
        If a file does not say what was thrown.
    """
    runs = _all_runs(paths)
    return {int(primary): int(runs["n_thrown"][runs[PRIMARY] == primary].sum()) for primary in np.unique(runs[PRIMARY])}


def thrown_spectra(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Tell with which energies showers were thrown.

    Parameters
    ----------
    paths : sequence of Path
        DL1 or DL2 files, merged ones too.

    Returns
    -------
    list of dict
        For each particle, spectrum and disk: ``true_shower_primary_id``, ``n_thrown`` (showers times their uses),
        `cherenkov_pipeline.spectra.THROWN_SPECTRUM` and, where a file says it, `THROWN_ONTO`. Empty if a file does not
        say the others.
    """
    try:
        runs = _all_runs(paths, ("n_thrown", *THROWN_SPECTRUM))
    except UserError:
        return []
    return sum_thrown(
        {
            PRIMARY: int(run[PRIMARY]),
            "n_thrown": int(run["n_thrown"]),
            **{name: float(run[name]) for name in (*THROWN_SPECTRUM, *THROWN_ONTO) if np.isfinite(run[name])},
        }
        for run in runs
    )


def limit_showers(path: Path, n_showers: int) -> None:
    """Let a DL1 file say that of its last run no more showers were thrown: the rest of its simulation is missing."""
    with tables.open_file(path, "a") as file:
        if SIMULATION_RUN_TABLE in file.root:
            column = file.root[SIMULATION_RUN_TABLE].cols.n_showers
            column[-1] = min(column[-1], n_showers)


def agree(values: np.ndarray) -> bool:
    """Tell whether values of a setting are the same, but for rounding, where they are known."""
    known = np.asarray(values)[np.isfinite(values)]
    return np.allclose(known, known[:1], rtol=1e-5, atol=0)


def _all_runs(paths: Sequence[Path], needed: Collection[str] = NEEDED) -> Table:
    return vstack([_runs(path, needed) for path in paths], metadata_conflicts="silent")


def _runs(path: Path, needed: Collection[str]) -> Table:
    """Read the runs of one file, a row each, in the units of `SETTINGS` without them."""
    with tables.open_file(path) as file:
        nodes = [node in file.root for node in (SIMULATION_RUN_TABLE, SIMULATION_SHOWER_TABLE)]
        if not all(nodes):
            raise UserError(f"{path} does not say what was thrown: only simulated files with their configuration do.")
        configuration = read_table(file, SIMULATION_RUN_TABLE)
        showers = read_table(file, SIMULATION_SHOWER_TABLE)
    primaries = {int(obs): int(primary) for obs, primary in zip(showers["obs_id"], showers[PRIMARY], strict=True)}
    only = next(iter(primaries.values()), None) if len(set(primaries.values())) == 1 else None
    runs = Table()
    runs[PRIMARY] = [primaries.get(int(obs), only) for obs in configuration["obs_id"]]
    for name, (column, unit) in SETTINGS.items():
        if name not in needed and column not in configuration.colnames:
            runs[name] = np.nan
            continue
        values = u.Quantity(configuration[column])
        runs[name] = (values.to_value(unit) if values.unit != u.one else values.value).astype(float)
    runs["uses_per_shower"] = np.asarray(configuration["shower_reuse"], dtype=float)
    runs["n_thrown"] = np.asarray(configuration["n_showers"], dtype=float) * runs["uses_per_shower"]
    known = {name: np.isfinite(runs[name]) & ((runs[name] > 0) | (name not in POSITIVE)) for name in needed}
    missing = [name for name, values in known.items() if not np.all(values)]
    if any(primary is None for primary in runs[PRIMARY]):
        missing.append("particle of a run without events")
    if missing:
        raise UserError(f"{path} does not say what was thrown ({', '.join(missing)}): use files that do.")
    return runs
