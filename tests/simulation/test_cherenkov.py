import numpy as np
import pytest

from cherenkov_pipeline.simulation.cherenkov import PHOTONS_PER_METRE, angular_table, light_density
from cherenkov_pipeline.simulation.electromagnetic import electron_spectrum


@pytest.fixture(scope="module")
def table(atmosphere):
    return angular_table(atmosphere)


def test_no_light_is_lost_or_made_by_the_angles(table, atmosphere):
    index = 40
    energies = np.geomspace(1, 1e5, 2000)
    spectrum = electron_spectrum(energies, 1.0) * np.log(energies[1] / energies[0])
    threshold2 = 0.511**2 / (2 * atmosphere.refractivity[index])
    sin2 = 2 * atmosphere.refractivity[index] * (1 - np.minimum(threshold2 / energies**2, 1))
    expected = np.sum(spectrum * sin2) * PHOTONS_PER_METRE / (100 * atmosphere.density[index])

    angles = np.linspace(0, 0.6, 20_000)
    density = np.array([light_density(table, index, 1.0, angle) for angle in angles])
    total = np.sum(density * 2 * np.pi * angles) * angles[1]
    assert total == pytest.approx(expected, rel=0.05)


def test_cone_widens_downwards(table, atmosphere):
    angles = np.linspace(0.001, 0.05, 500)
    high, low = (angles[np.argmax([light_density(table, index, 0.2, a) * a for a in angles])] for index in (15, 90))
    assert low == pytest.approx(np.sqrt(2 * atmosphere.refractivity[90]), rel=0.1)
    assert high == pytest.approx(np.sqrt(2 * atmosphere.refractivity[15]), rel=0.1)


def test_light_ends_beyond_the_table(table):
    assert light_density(table, 40, 1.0, 0.7) == 0
    assert light_density(table, 40, 5.0, 0.1) == pytest.approx(light_density(table, 40, 1.999, 0.1), rel=0.01)
