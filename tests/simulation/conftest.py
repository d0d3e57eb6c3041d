"""A small simulation that the tests of this room share."""

import astropy.units as u
import pytest

from cherenkov_pipeline.simulation import Production, SimulationParameters


@pytest.fixture(scope="session")
def parameters() -> SimulationParameters:
    return SimulationParameters(training={}, test={})


@pytest.fixture(scope="session")
def setup(parameters):
    from cherenkov_pipeline.simulation.showers import prepare

    return prepare(parameters)


@pytest.fixture(scope="session")
def atmosphere(parameters):
    from cherenkov_pipeline.simulation.atmosphere import slices

    return slices(parameters.atmosphere, 510 * u.m)


@pytest.fixture(scope="session")
def make_production():
    def make(**changes) -> Production:
        values = {
            "particle": "gamma",
            "n_files": 1,
            "n_showers": 1000,
            "energy_min": "0.5 TeV",
            "energy_max": "50 TeV",
            "core_radius": "400 m",
        }
        return Production(**{**values, **changes})

    return make
