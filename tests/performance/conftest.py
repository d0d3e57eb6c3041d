"""Synthetic predictions, with a known bias, spread and predicted error."""

from collections.abc import Callable
from datetime import UTC, datetime

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.table import QTable

from cherenkov_pipeline.directions import Direction, to_sky
from cherenkov_pipeline.performance.parameters import EvaluationParameters


@pytest.fixture(scope="session")
def parameters() -> EvaluationParameters:
    return EvaluationParameters(resamples=200)


@pytest.fixture(scope="session")
def make_predictions() -> Callable[..., QTable]:
    """Gammas of 0.3 to 30 TeV whose ln E_reco is Gaussian about ln E_true + ``shift`` with the width ``width``."""

    def make(n: int, *, shift: float = 0, width: float = 0.2, predicted: float | None = None, seed: int = 1) -> QTable:
        rng = np.random.default_rng(seed)
        true = 10 ** rng.uniform(-0.5, 1.5, n)
        reco = true * np.exp(shift + width * rng.normal(size=n))
        return QTable(
            {
                "production": np.full(n, "gamma"),
                "obs_id": np.ones(n, dtype=int),
                "event_id": np.arange(n),
                "tel_id": np.ones(n, dtype=int),
                "true_energy": true * u.TeV,
                "reco_energy": reco * u.TeV,
                "reco_energy_uncert": reco * (width if predicted is None else predicted) * u.TeV,
                "is_valid": np.ones(n, dtype=bool),
                "hillas_intensity": 100 * true,
                "true_shower_primary_id": np.zeros(n, dtype=int),
            }
        )

    return make


@pytest.fixture(scope="session")
def history() -> pd.DataFrame:
    epoch = np.arange(1, 9)
    loss = np.exp(-epoch / 3) - 1
    columns = {"epoch": epoch, "loss": loss, "val_loss": loss + 0.01 * (epoch - 4) ** 2, "learning_rate": 1e-3}
    return pd.DataFrame({**columns, "seconds": 1.5})


@pytest.fixture(scope="session")
def layers() -> pd.DataFrame:
    rows = [
        ("image", "InputLayer", "48x48x2", 0),
        ("conv", "Conv2D", "48x48x32", 608),
        ("norm", "BatchNormalization", "48x48x32", 128),
        ("flat", "GlobalAveragePooling2D", "32", 0),
        ("head", "Dense", "2", 66),
    ]
    return pd.DataFrame(rows, columns=["name", "kind", "output_shape", "parameters"])


@pytest.fixture(scope="session")
def provenance() -> pd.DataFrame:
    rows = [("data_processing", "cuts", "a81e55c90b7712fe", 1000, 812, "hillas_intensity > 50")]
    return pd.DataFrame(rows, columns=["step", "item", "fingerprint", "n_in", "n_out", "detail"])


@pytest.fixture(scope="session")
def created() -> datetime:
    return datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture(scope="session")
def make_events() -> Callable[..., QTable]:
    """Gammas and protons with predictions of every task, whose errors are known.

    Directions are Gaussian about the truth with the width ``sigma``, a share ``flipped`` is on the wrong side of the
    image; the predicted radius is that of the Gaussian. The logit of the gammaness is that of two normal
    distributions, so that it is calibrated for equal numbers.
    """

    def make(n: int, *, sigma: float = 0.1, flipped: float = 0.0, shift: float = 0.0, seed: int = 1) -> QTable:
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

    return make
