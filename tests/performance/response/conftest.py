"""Synthetic predictions of a telescope whose response is known."""

from collections.abc import Callable

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, vstack
from pyirf.simulations import SimulatedEventsInfo

from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response import ResponseParameters
from cherenkov_pipeline.performance.response.events import simulated
from cherenkov_pipeline.performance.response.tables import Sample, make_sample

EFFICIENCY = 0.4
RADIUS = 500.0
SIGMA = 0.12
"""Of each coordinate of the reconstructed direction [deg]."""
WIDTH = 0.15
"""Of ln E_reco."""
OFFSET = 0.5
VIEWCONE = 8.0
ALT, AZ = 70.0, 30.0


def power_law(rng: np.random.Generator, n: int, low: float, high: float) -> np.ndarray:
    """Energies of dN/dE ~ E^-2."""
    return 1 / (1 / low - rng.random(n) * (1 / low - 1 / high))


def predictions(primary: int, energy: np.ndarray, alt: np.ndarray, az: np.ndarray, rng: np.random.Generator) -> QTable:
    n = len(energy)
    shift = rng.normal(0, SIGMA, (2, n))
    gammaness = rng.beta(4, 2, n) if primary == 0 else rng.beta(2, 3, n)
    return QTable(
        {
            "production": np.full(n, "gamma" if primary == 0 else "proton"),
            "obs_id": np.full(n, 1 + primary),
            "event_id": np.arange(n),
            "shower": np.arange(n),
            "true_energy": energy * u.TeV,
            "true_alt": alt * u.deg,
            "true_az": az * u.deg,
            "true_shower_primary_id": np.full(n, primary),
            "telescope_pointing_altitude": np.full(n, ALT) * u.deg,
            "telescope_pointing_azimuth": np.full(n, AZ) * u.deg,
            "is_valid": np.ones(n, dtype=bool),
            "reco_energy": energy * np.exp(rng.normal(0, WIDTH, n)) * u.TeV,
            "reco_energy_uncert": WIDTH * energy * u.TeV,
            "gammaness": gammaness,
            "reco_alt": (alt + shift[0]) * u.deg,
            "reco_az": (az + shift[1] / np.cos(np.deg2rad(alt))) * u.deg,
            "reco_ang_distance_uncert": np.full(n, 1.515 * SIGMA) * u.deg,
        }
    )


def thrown_table(n_gammas: int, n_protons: int) -> QTable:
    return QTable(
        {
            "true_shower_primary_id": [0, 101],
            "n_runs": [1, 1],
            "n_thrown": [n_gammas, n_protons],
            "energy_min": [1, 1] * u.TeV,
            "energy_max": [100, 100] * u.TeV,
            "spectral_index": [-2.0, -2.0],
            "max_impact": [RADIUS, RADIUS] * u.m,
            "viewcone_min": [0, 0] * u.deg,
            "viewcone_max": [0, VIEWCONE] * u.deg,
            "altitude_min": [ALT, ALT] * u.deg,
            "altitude_max": [ALT, ALT] * u.deg,
            "uses_per_shower": [1.0, 1.0],
            "n_telescopes": [1, 1],
        }
    )


@pytest.fixture(scope="session")
def make_events() -> Callable[..., tuple[QTable, QTable]]:
    """Events and thrown numbers: gammas of a source above the pointing, protons all over the view cone."""

    def make(n_gammas: int = 40_000, n_protons: int = 500_000, seed: int = 1) -> tuple[QTable, QTable]:
        rng = np.random.default_rng(seed)
        seen = [rng.random(n) < EFFICIENCY for n in (n_gammas, n_protons)]
        gamma_energy, proton_energy = (power_law(rng, int(mask.sum()), 1, 100) for mask in seen)
        n = len(proton_energy)
        angle, around = np.sqrt(rng.random(n)) * VIEWCONE, rng.uniform(0, 2 * np.pi, n)
        alt = ALT + angle * np.cos(around)
        gammas = predictions(
            0, gamma_energy, np.full(len(gamma_energy), ALT + OFFSET), np.full(len(gamma_energy), AZ), rng
        )
        protons = predictions(101, proton_energy, alt, AZ + angle * np.sin(around) / np.cos(np.deg2rad(alt)), rng)
        return vstack([gammas, protons]), thrown_table(n_gammas, n_protons)

    return make


@pytest.fixture(scope="session")
def evaluation() -> EvaluationParameters:
    return EvaluationParameters(resamples=100)


@pytest.fixture(scope="session")
def parameters() -> ResponseParameters:
    return ResponseParameters(level="subarray")


@pytest.fixture(scope="session")
def fixed() -> ResponseParameters:
    """Cuts of fixed efficiencies."""
    return ResponseParameters(
        level="subarray", gammaness_efficiencies=(0.6,), theta_efficiencies=(0.68,), theta_max="1 deg"
    )


@pytest.fixture(scope="session")
def events(make_events) -> tuple[QTable, QTable]:
    return make_events()


@pytest.fixture(scope="session")
def sample(events) -> Sample:
    return make_sample(*events)


@pytest.fixture(scope="session")
def info(events) -> SimulatedEventsInfo:
    return simulated(events[1], "gamma")
