import numpy as np
import pytest

from cherenkov_pipeline.simulation.hadronic import DEPTH, DX, DZ, ENERGY, N_COLUMNS, X, Z
from cherenkov_pipeline.simulation.imaging import collect

NO_PARTICLE = np.empty((0, N_COLUMNS))
HEIGHT = 9000.0


@pytest.fixture
def image(setup):
    """Draw the light of photons and muons in a telescope at a position."""
    atmosphere, table, telescopes, _ = setup.observatory

    def draw(photons=NO_PARTICLE, muons=NO_PARTICLE, light=1e9, position=(0.0, 0.0, 0.0), seed=0):
        counts, times = np.empty(telescopes.n_pixels, dtype=np.int32), np.empty(telescopes.n_pixels)
        light = np.full(len(photons), light)
        rng = np.random.default_rng(seed)
        collect(photons, muons, light, np.array(position), telescopes, atmosphere, table, counts, times, rng)
        return counts, times

    return draw


def particle(setup, energy):
    """On the telescope's axis, from 9 km above it."""
    one = np.zeros((1, N_COLUMNS))
    pointing = setup.observatory.telescopes.axes[0]
    one[0, ENERGY] = energy
    one[0, DX : DZ + 1] = -pointing
    one[0, X : Z + 1] = pointing * HEIGHT / pointing[2]
    one[0, DEPTH] = np.interp(-HEIGHT, -setup.observatory.atmosphere.z, setup.observatory.atmosphere.depth)
    return one


def test_muon_through_the_mirror_draws_a_ring_of_the_cherenkov_angle(setup, image):
    counts = sum(image(muons=particle(setup, 50.0), seed=seed)[0] for seed in range(20))
    geometry = setup.subarray.tel[1].camera.geometry
    radius = np.hypot(geometry.pix_x.value, geometry.pix_y.value) / setup.observatory.telescopes.focal_length
    azimuth = np.arctan2(geometry.pix_y.value, geometry.pix_x.value)
    cone = np.sqrt(2 * setup.observatory.atmosphere.refractivity[-1])
    assert np.average(radius, weights=counts) == pytest.approx(cone, rel=0.05)
    assert np.sqrt(np.cov(radius, aweights=counts)) < 0.2 * cone
    parts, _ = np.histogram(azimuth, bins=np.linspace(-np.pi, np.pi, 7), weights=counts)
    assert parts.min() > 0.7 * parts.mean()


def test_muon_beside_the_mirror_draws_an_arc_and_a_far_one_nothing(setup, image):
    across = setup.observatory.telescopes.axes[2]
    muon = particle(setup, 50.0)
    light = [sum(image(muons=muon, position=d * across, seed=s)[0].sum() for s in range(10)) for d in (0, 5, 20, 100)]
    assert light[0] > light[1] > light[2] > light[3] == 0
    # outside the mirror the light falls as one over the distance
    assert light[1] / light[2] == pytest.approx(4, rel=0.35)


def test_slow_muons_are_dark(setup, image):
    assert image(muons=particle(setup, 4.0))[0].sum() == 0


def test_thinning_keeps_the_mean(setup, image):
    photon = particle(setup, 50.0)
    position = 60 * setup.observatory.telescopes.axes[2]
    full = np.mean([image(photon, position=position, seed=s)[0].sum() for s in range(400)])
    thinned = np.mean([image(photon, position=position, light=0.05, seed=s)[0].sum() for s in range(4000)])
    assert full > 1
    assert thinned == pytest.approx(full, rel=0.15)


def test_coarse_steps_keep_the_mean(setup, image):
    photon = particle(setup, 100.0)
    position = 60 * setup.observatory.telescopes.axes[2]
    fine, coarse = (
        np.mean([image(photon, position=position, light=light, seed=s)[0].sum() for s in range(200)])
        for light in (1e9, 1.0)
    )
    assert coarse == pytest.approx(fine, rel=0.1)
