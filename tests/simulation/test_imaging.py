import numpy as np
import pytest

from cherenkov_pipeline.simulation.electromagnetic import CRITICAL_ENERGY, mean_development
from cherenkov_pipeline.simulation.hadronic import DEPTH, DX, DZ, ENERGY, MAXIMUM, N_COLUMNS, SHAPE, WEIGHT, X, Z
from cherenkov_pipeline.simulation.imaging import MUON_REACH, PIXEL, collect

NO_PARTICLE = np.empty((0, N_COLUMNS))
HEIGHT = 9000.0


@pytest.fixture
def image(setup):
    """Draw the light of photons and muons in a telescope at a position: photo-electrons per pixel."""
    atmosphere, table, telescopes, *_ = setup.observatory

    def draw(photons=NO_PARTICLE, muons=NO_PARTICLE, light=1e9, position=(0.0, 0.0, 0.0), seed=0):
        light = np.full(len(photons), light)
        rng = np.random.default_rng(seed)
        arrivals = collect(photons, muons, light, np.array(position), telescopes, atmosphere, table, rng)
        return np.bincount(arrivals[:, PIXEL].astype(int), minlength=telescopes.n_pixels)

    return draw


def particle(setup, energy):
    """On the telescope's axis, from 9 km above it."""
    one = np.zeros((1, N_COLUMNS))
    pointing = setup.observatory.telescopes.axes[0]
    one[0, [ENERGY, WEIGHT]] = energy, 1
    one[0, MAXIMUM : SHAPE + 1] = mean_development(np.log(energy / CRITICAL_ENERGY))
    one[0, DX : DZ + 1] = -pointing
    one[0, X : Z + 1] = pointing * HEIGHT / pointing[2]
    one[0, DEPTH] = np.interp(-HEIGHT, -setup.observatory.atmosphere.z, setup.observatory.atmosphere.depth)
    return one


def test_muon_through_the_mirror_draws_a_ring_of_the_cherenkov_angle(setup, image):
    counts = sum(image(muons=particle(setup, 50.0), seed=seed) for seed in range(20))
    geometry = setup.subarray.tel[1].camera.geometry
    radius = np.hypot(geometry.pix_x.value, geometry.pix_y.value) / setup.observatory.telescopes.focal_length
    azimuth = np.arctan2(geometry.pix_y.value, geometry.pix_x.value)
    cone = np.sqrt(2 * setup.observatory.atmosphere.refractivity[-1])
    assert np.average(radius, weights=counts) == pytest.approx(cone, rel=0.05)
    assert np.sqrt(np.cov(radius, aweights=counts)) < 0.2 * cone
    parts, _ = np.histogram(azimuth, bins=np.linspace(-np.pi, np.pi, 7), weights=counts)
    assert parts.min() > 0.7 * parts.mean()


def test_light_of_a_muon_beside_the_mirror_falls_with_the_distance_until_its_cone_ends(setup, image):
    across = setup.observatory.telescopes.axes[2]
    muon = particle(setup, 50.0)
    light = {
        d: np.mean([image(muons=muon, position=d * across, seed=s).sum() for s in range(200)])
        for d in (0, 5, 20, 80, 150)
    }
    assert light[0] > light[5] > light[20] > light[80] > light[150] == 0
    # as one over the distance; less light is emitted higher up, where that of far muons comes from, and more absorbed
    assert light[5] / light[20] == pytest.approx(4, rel=0.2)
    assert 2.5 < light[20] / light[80] < 8
    assert MUON_REACH > 150


def test_slow_muons_are_dark(setup, image):
    assert image(muons=particle(setup, 4.0)).sum() == 0


def test_thinning_keeps_the_mean(setup, image):
    photon = particle(setup, 50.0)
    position = 60 * setup.observatory.telescopes.axes[2]
    full = np.mean([image(photon, position=position, seed=s).sum() for s in range(400)])
    thinned = np.mean([image(photon, position=position, light=0.05, seed=s).sum() for s in range(4000)])
    assert full > 1
    assert thinned == pytest.approx(full, rel=0.15)


def test_coarse_steps_keep_the_mean(setup, image):
    photon = particle(setup, 100.0)
    position = 60 * setup.observatory.telescopes.axes[2]
    fine, coarse = (
        np.mean([image(photon, position=position, light=light, seed=s).sum() for s in range(200)])
        for light in (1e9, 1.0)
    )
    assert coarse == pytest.approx(fine, rel=0.1)


def test_one_photon_stands_for_as_many_as_its_weight(setup, image):
    photon = particle(setup, 50.0)
    position = 60 * setup.observatory.telescopes.axes[2]
    once = np.mean([image(photon, position=position, seed=s).sum() for s in range(400)])
    photon[0, WEIGHT] = 7
    assert np.mean([image(photon, position=position, seed=s).sum() for s in range(200)]) == pytest.approx(
        7 * once, rel=0.1
    )
