"""Predictions of every task without a model, whose errors are known."""

import astropy.units as u
import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.directions import Direction, to_sky


def toy_events(n: int, *, sigma: float = 0.1, flipped: float = 0.0, shift: float = 0.0, seed: int = 1) -> QTable:
    """Gammas and protons with predictions of every task, whose errors are known.

    Directions are Gaussian about the truth with the width ``sigma``, a share ``flipped`` is on the wrong side of the
    image; the predicted radius is that of the Gaussian. The logit of the gammaness is that of two normal
    distributions, so that it is calibrated for equal numbers.
    """
    rng = np.random.default_rng(seed)
    energy, gamma = 10 ** rng.uniform(-0.5, 1.5, n), np.arange(n) % 2 == 0
    source = rng.uniform(-2, 2, (2, n))
    psi, disp = rng.uniform(-90, 90, n), rng.uniform(0.6, 1.2, n) * rng.choice([-1, 1], n)
    axis = np.stack([np.cos(np.deg2rad(psi)), np.sin(np.deg2rad(psi))])
    found = source + sigma * rng.normal(size=(2, n))
    found -= np.where(rng.random(n) < flipped, 2 * disp * axis, 0)
    found[1] += shift
    centre = source - disp * axis
    true_alt, true_az = to_sky(Direction(*source), (70.0, 0.0))
    reco_alt, reco_az = to_sky(Direction(*found), (70.0, 0.0))
    logit = rng.normal(np.where(gamma, 2.0, -2.0), 2.0)  # log of the ratio of both densities is the logit itself
    core, depth = 100 * rng.normal(size=(2, n)), rng.normal(400, 60, n)
    return QTable(
        {
            "production": np.where(gamma, "gamma", "proton"),
            "obs_id": np.ones(n, dtype=int),
            "event_id": np.arange(n),
            "tel_id": np.ones(n, dtype=int),
            "is_valid": np.ones(n, dtype=bool),
            "true_energy": energy * u.TeV,
            "true_shower_primary_id": np.where(gamma, 0, 101),
            "hillas_intensity": 100 * energy,
            "true_alt": true_alt * u.deg,
            "true_az": true_az * u.deg,
            "reco_alt": reco_alt * u.deg,
            "reco_az": reco_az * u.deg,
            "reco_ang_distance_uncert": 1.5152 * sigma * rng.uniform(0.99, 1.01, n) * u.deg,
            "telescope_pointing_altitude": np.full(n, np.deg2rad(70)) * u.rad,
            "telescope_pointing_azimuth": np.zeros(n) * u.rad,
            "hillas_fov_lon": centre[0] * u.deg,
            "hillas_fov_lat": centre[1] * u.deg,
            "hillas_psi": psi * u.deg,
            "gammaness": 1 / (1 + np.exp(-logit)),
            "true_core_x": core[0] * u.m,
            "true_core_y": core[1] * u.m,
            "reco_core_x": (core[0] + 30 * rng.normal(size=n)) * u.m,
            "reco_core_y": (core[1] + 30 * rng.normal(size=n)) * u.m,
            "reco_core_uncert_x": np.full(n, 30.0) * u.m,
            "reco_core_uncert_y": np.full(n, 30.0) * u.m,
            "true_x_max": depth * u.g / u.cm**2,
            "reco_x_max": (depth + 40 * rng.normal(size=n)) * u.g / u.cm**2,
            "reco_x_max_uncert": np.full(n, 40.0) * u.g / u.cm**2,
        }
    )
