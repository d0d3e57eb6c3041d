import numpy as np
import pytest

from cherenkov_pipeline.simulation.atmosphere import depth
from cherenkov_pipeline.simulation.hadronic import (
    DEPTH,
    DX,
    DZ,
    ENERGY,
    MAXIMUM,
    SPEED_OF_LIGHT,
    TIME,
    WEIGHT,
    X,
    Z,
    gamma_shower,
    proton_shower,
)
from cherenkov_pipeline.simulation.showers import start

NO_THINNING = 1e-3  # GeV


@pytest.fixture(scope="module")
def primary(atmosphere):
    return start(np.array([3.0]), np.deg2rad([70.0]), np.array([0.3]), atmosphere)[0]


@pytest.fixture(scope="module")
def cascades(primary, atmosphere):
    rng = np.random.default_rng(1)
    return [proton_shower(primary, atmosphere, NO_THINNING, rng) for _ in range(60)]


def test_energy_is_not_made(cascades, primary):
    electromagnetic = np.array([photons[:, ENERGY].sum() for photons, _, _ in cascades])
    muons = np.array([muons[:, ENERGY].sum() for _, muons, _ in cascades])
    assert np.all(electromagnetic + muons < primary[ENERGY])
    # of hadrons of a few TeV, somewhat more than half of the energy ends in photons
    assert 0.35 < np.mean(electromagnetic / primary[ENERGY]) < 0.75


def test_directions_stay_unit_vectors(cascades):
    for photons, muons, _ in cascades:
        for particles in (photons, muons):
            np.testing.assert_allclose(np.linalg.norm(particles[:, DX : DZ + 1], axis=1), 1, atol=1e-9)


def test_all_sub_showers_keep_the_time_of_the_primary(cascades, primary):
    for photons, muons, _ in cascades:
        for particles in (photons, muons):
            flight = np.linalg.norm(particles[:, X : Z + 1] - primary[X : Z + 1], axis=1) / SPEED_OF_LIGHT
            late = particles[:, TIME] - primary[TIME] - flight
            assert np.all(late > -1e-6)
            if len(particles):
                assert np.average(late, weights=particles[:, ENERGY]) < 30


def test_particles_are_at_the_depth_of_their_height(cascades):
    for particles in (np.concatenate(kind) for kind in list(zip(*cascades, strict=True))[:2]):
        assert len(particles) > 50
        # 1.5 g/cm2: heights are interpolated in slices of 10 g/cm2
        np.testing.assert_allclose(particles[:, DEPTH], depth(particles[:, Z] + 510), atol=1.5)


def test_thinned_photons_stand_for_their_like(primary, atmosphere):
    rng = np.random.default_rng(2)
    numbers, energies, depths = [], [], []
    for thin_below in (NO_THINNING, 10.0):
        photons = np.concatenate([proton_shower(primary, atmosphere, thin_below, rng)[0] for _ in range(600)])
        numbers.append(len(photons))
        soft = photons[photons[:, ENERGY] < 10]
        energy = soft[:, WEIGHT] * soft[:, ENERGY]
        energies.append(energy.sum())
        depths.append(np.average(soft[:, DEPTH], weights=energy))
    assert numbers[1] < 0.5 * numbers[0]
    assert energies[1] == pytest.approx(energies[0], rel=0.06)
    assert depths[1] == pytest.approx(depths[0], rel=0.06)


def test_first_interaction_is_exponential_in_depth(primary, atmosphere):
    rng = np.random.default_rng(2)
    first, start_of_cascade, maxima = [], [], []
    for _ in range(2000):
        photons, _, first_interaction = gamma_shower(primary, atmosphere, rng)
        first.append(depth(first_interaction + 510) / -primary[DZ])
        start_of_cascade.append(photons[0, DEPTH] / -primary[DZ])
        maxima.append(photons[0, MAXIMUM])
    assert np.mean(first) == pytest.approx(47, rel=0.08)
    assert np.std(first) == pytest.approx(47, rel=0.12)
    np.testing.assert_allclose(start_of_cascade, first, atol=2)  # heights are interpolated in slices of 10 g/cm2
    # each cascade has its own development, whatever its first interaction
    assert np.std(maxima) > 0.5
    assert abs(np.corrcoef(first, maxima)[0, 1]) < 0.08


def test_start_passes_the_origin_at_time_zero(primary):
    arrival = primary[X : Z + 1] + primary[DX : DZ + 1] * -primary[TIME] * SPEED_OF_LIGHT
    np.testing.assert_allclose(arrival, 0, atol=1e-6)
