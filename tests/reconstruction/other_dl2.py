"""DL2 files of others: ctapipe's columns alone, by no model of ours, with what was thrown."""

from pathlib import Path

import numpy as np
import tables
from astropy import units as u
from astropy.table import Table
from ctapipe.io import read_table, write_table
from tests.store.toy_dl1 import POINTING, ToyEvent, camera, subarray, write_dl1

PREFIX = "CTLearn"
THROWN = {
    "n_showers": 1000,
    "shower_reuse": 2,
    "energy_range_min": 1 * u.TeV,
    "energy_range_max": 100 * u.TeV,
    "spectral_index": -2.0,
    "max_scatter_range": 500 * u.m,
    "min_viewcone_radius": 0 * u.deg,
    "max_viewcone_radius": 0 * u.deg,
}


def write_other_dl2(
    path: Path,
    primary: int,
    obs_id: int,
    n_events: int = 30,
    thrown: dict | None = None,
    direction: tuple[float, float] = (70.5, 180.0),
) -> Path:
    """Write events of two telescopes with random predictions of single telescopes; gammas come from one direction."""
    events = [
        ToyEvent(100 * n, n, primary=primary, direction=direction if primary == 0 else None)
        for n in range(1, n_events + 1)
    ]
    write_dl1(path, subarray({1: camera(), 2: camera()}), events, obs_id=obs_id)
    rng = np.random.default_rng(obs_id)
    with tables.open_file(path, "a") as file:
        for tel_id in (1, 2):
            keys = read_table(file, f"/dl1/event/telescope/parameters/tel_{tel_id:03d}")[
                ["obs_id", "event_id", "tel_id"]
            ]
            n = len(keys)
            columns = {
                "energy": {"energy": 10 ** rng.uniform(0.2, 1.8, n) * u.TeV},
                "particle_type": {"prediction": rng.beta(2, 1, n) if primary == 0 else rng.beta(1, 2, n)},
                "geometry": {
                    "alt": POINTING[0] + rng.normal(0, 0.3, n) * u.deg,
                    "az": POINTING[1] + rng.normal(0, 0.3, n) * u.deg,
                },
            }
            for group, values in columns.items():
                table = Table(keys, copy=True)
                for name, column in values.items():
                    table[f"{PREFIX}_tel_{name}"] = column
                table[f"{PREFIX}_tel_is_valid"] = np.ones(n, dtype=bool)
                write_table(table, file, f"/dl2/event/telescope/{group}/{PREFIX}/tel_{tel_id:03d}")
        configuration = Table({"obs_id": [obs_id]})
        for name, value in (THROWN | (thrown or {})).items():
            configuration[name] = [value.value] * value.unit if isinstance(value, u.Quantity) else [value]
        file.remove_node("/configuration/simulation", recursive=True)
        write_table(configuration, file, "/configuration/simulation/run")
    return path
