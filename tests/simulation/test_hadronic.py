import numpy as np
import pytest

from cherenkov_pipeline.simulation.atmosphere import depth
from cherenkov_pipeline.simulation.hadronic import (
    DEPTH,
    DX,
    DZ,
    ENERGY,
    SPEED_OF_LIGHT,
    TIME,
    X,
    Z,
    gamma_shower,
    proton_shower,
)
from cherenkov_pipeline.simulation.showers import start


@pytest.fixture(scope="module")
def primary(atmosphere):
    return start(np.array([3.0]), np.deg2rad([70.0]), np.array([0.3]), atmosphere)[0]


@pytest.fixture(scope="module")
def cascades(primary, atmosphere):
    rng = np.random.default_rng(1)
    return [proton_shower(primary, atmosphere, rng) for _ in range(60)]


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


def test_first_interaction_is_exponential_in_depth(primary, atmosphere):
    rng = np.random.default_rng(2)
    depths = []
    for _ in range(2000):
        photons, _, first_interaction = gamma_shower(primary, atmosphere, rng)
        assert first_interaction == photons[0, Z]
        depths.append(photons[0, DEPTH] / -photons[0, DZ])
    assert np.mean(depths) == pytest.approx(47, rel=0.08)
    assert np.std(depths) == pytest.approx(47, rel=0.12)


def test_start_passes_the_origin_at_time_zero(primary):
    arrival = primary[X : Z + 1] + primary[DX : DZ + 1] * -primary[TIME] * SPEED_OF_LIGHT
    np.testing.assert_allclose(arrival, 0, atol=1e-6)
