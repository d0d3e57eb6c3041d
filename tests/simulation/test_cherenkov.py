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


@pytest.mark.parametrize(("age", "tolerance"), [(0.8, 0.45), (1.0, 0.3), (1.2, 0.3)])
def test_scattered_light_has_the_angles_of_corsika(table, atmosphere, age, tolerance):
    """Beyond the Cherenkov cone: the double exponential of Nerling et al. 2006, fitted to CORSIKA showers."""
    index = int(np.argmin(np.abs(atmosphere.z - 6000)))
    threshold = 0.511 / np.sqrt(2 * atmosphere.refractivity[index])  # MeV
    inner = 0.62694 * threshold**-0.6059
    outer = inner * (10.509 - 4.9644 * age)
    angles = np.linspace(0.0005, 0.5995, 600)
    expected = (0.42489 + 0.58371 * age - 0.082373 * age**2) / inner * np.exp(-angles / inner)
    expected += (0.055108 - 0.095587 * age + 0.056952 * age**2) / outer * np.exp(-angles / outer)
    ours = np.array([light_density(table, index, age, angle) for angle in angles]) * angles
    ours /= ours.sum() * (angles[1] - angles[0])
    beyond = (angles > 0.035) & (angles < 0.2)
    np.testing.assert_allclose(ours[beyond], expected[beyond], rtol=tolerance)
