import astropy.units as u
import numpy as np
from scipy.stats import kstest

from cherenkov_pipeline.simulation.throwing import power_law, throw

POINTING = (70 * u.deg, 30 * u.deg)


def separation(throws):
    alt, az = (value.to_value(u.rad) for value in POINTING)
    cosine = np.sin(throws.alt) * np.sin(alt) + np.cos(throws.alt) * np.cos(alt) * np.cos(throws.az - az)
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


def test_power_law_has_its_limits_and_its_median():
    np.testing.assert_allclose(power_law(1, 100, -2.0, np.array([0, 1])), [1, 100])
    np.testing.assert_allclose(power_law(1, 100, -1.0, np.array([0, 0.5, 1])), [1, 10, 100])
    energies = power_law(1, 1e9, -2.0, np.random.default_rng(0).random(20_000))
    assert kstest(1 / energies, "uniform").pvalue > 0.01


def test_diffuse_directions_are_uniform_in_solid_angle(make_production):
    production = make_production(n_showers=20_000, viewcone_radius="5 deg")
    offset = separation(throw(production, POINTING, np.random.default_rng(1)))
    share = (1 - np.cos(np.deg2rad(offset))) / (1 - np.cos(np.deg2rad(5)))
    assert kstest(share, "uniform").pvalue > 0.01


def test_point_source_lies_on_a_circle_about_the_pointing(make_production):
    production = make_production(source_offset="0.5 deg")
    np.testing.assert_allclose(separation(throw(production, POINTING, np.random.default_rng(2))), 0.5, atol=1e-5)


def test_cores_are_uniform_on_a_disk_across_the_shower(make_production):
    """Seen from where each shower comes from, and on the ground stretched by 1 / sin(altitude) to that side."""
    production = make_production(n_showers=4000, uses_per_shower=5, viewcone_radius="8 deg")
    throws = throw(production, POINTING, np.random.default_rng(3))
    assert throws.core_x.shape == (4000, 5)
    # x to the north, y to the west
    towards = np.cos(throws.az)[:, np.newaxis], -np.sin(throws.az)[:, np.newaxis]
    ahead = throws.core_x * towards[0] + throws.core_y * towards[1]
    beside = throws.core_y * towards[0] - throws.core_x * towards[1]
    ahead *= np.sin(throws.alt)[:, np.newaxis]
    assert kstest((np.hypot(ahead, beside).ravel() / 400) ** 2, "uniform").pvalue > 0.01
    assert kstest(np.arctan2(beside, ahead).ravel() / (2 * np.pi) + 0.5, "uniform").pvalue > 0.01
