import astropy.units as u
import numpy as np
import pytest

from cherenkov_pipeline.simulation import showers
from cherenkov_pipeline.simulation.imaging import ARRIVAL, PIXEL, collect, estimate
from cherenkov_pipeline.simulation.parameters import ElectronicsParameters
from cherenkov_pipeline.simulation.showers import prepare, simulate, start
from cherenkov_pipeline.simulation.throwing import throw


@pytest.fixture(scope="module")
def vertical(parameters):
    return prepare(parameters.model_copy(update={"zenith": 0 * parameters.zenith}))


def draw(setup, energy, core, seed=0, alt=np.pi / 2, az=0.0):
    """Photo-electrons (pixel, time) of one gamma in a telescope at the origin, its cascade starting at 75 g/cm2."""
    from cherenkov_pipeline.simulation.hadronic import DEPTH, _fly

    atmosphere, table, telescopes, *_ = setup.observatory
    photon = start(np.array([energy]), np.array([alt]), np.array([az]), atmosphere)
    _fly(photon[0], atmosphere, 75.0 - photon[0, DEPTH])
    position = -np.array([*core, 0.0])
    light, _ = estimate(photon, photon[:0], position, telescopes, atmosphere, table)
    rng = np.random.default_rng(seed)
    return collect(photon, photon[:0], light, position, telescopes, atmosphere, table, rng), light[0]


def light_at(setup, energy, distance, n=40):
    """Mean number of photo-electrons of vertical gammas."""
    return np.mean([len(draw(setup, energy, (distance, 0.0), seed)[0]) for seed in range(n)])


def centre_of(arrivals, setup):
    geometry = setup.subarray.tel[1].camera.geometry
    pixels = arrivals[:, PIXEL].astype(int)
    return np.array([x.value[pixels].mean() for x in (geometry.pix_x, geometry.pix_y)])


def run(production, setup, seed=1):
    rng = np.random.default_rng(seed)
    return list(simulate(production, throw(production, setup.pointing, rng), setup, rng))


def test_estimate_agrees_with_the_drawn_light(vertical):
    for distance in (30.0, 110.0, 250.0):
        estimated = draw(vertical, 10.0, (distance, 0.0))[1]
        assert estimated == pytest.approx(light_at(vertical, 10.0, distance, 10), rel=0.25)


def test_light_grows_a_little_faster_than_the_energy(vertical):
    # deeper maxima are nearer; far away, where it is the scattered light of all electrons, it is in proportion
    near, far = (light_at(vertical, 10.0, d) / light_at(vertical, 1.0, d, 200) for d in (80.0, 300.0))
    assert 10 < near < 20
    assert far == pytest.approx(10, rel=0.15)


def test_telescopes_higher_up_see_more(parameters, vertical):
    changes = {"site_altitude": 2150 * u.m, "zenith": 0 * u.deg}
    mountain = prepare(parameters.model_copy(update=changes))
    assert mountain.subarray.reference_location.height.to_value(u.m) == pytest.approx(2150)
    assert mountain.observatory.atmosphere.depth[-1] < 0.85 * vertical.observatory.atmosphere.depth[-1]
    assert light_at(mountain, 1.0, 50.0) > 1.3 * light_at(vertical, 1.0, 50.0)
    # the edge of the light pool comes nearer
    edge = [light_at(setup, 1.0, 200.0, 100) / light_at(setup, 1.0, 100.0, 100) for setup in (mountain, vertical)]
    assert edge[0] < edge[1]


def test_image_points_from_the_source_to_the_core(vertical):
    # telescope seen from the core: the shower leans over the camera towards the core
    axes = vertical.observatory.telescopes.axes
    for azimuth in np.arange(0, 2 * np.pi, np.pi / 4):
        core = 120 * np.cos(azimuth), 120 * np.sin(azimuth)
        centre = centre_of(draw(vertical, 5.0, core)[0], vertical)
        expected = axes[1:] @ np.array([*core, 0.0]) / 120
        assert centre @ expected / np.linalg.norm(centre) > 0.99


def test_image_follows_the_source(vertical):
    shift = np.deg2rad(1.5)
    on_axis = centre_of(draw(vertical, 5.0, (0.0, 100.0))[0], vertical)
    off_axis = centre_of(draw(vertical, 5.0, (0.0, 100.0), alt=np.pi / 2 - shift, az=0.0)[0], vertical)
    focal_length = vertical.observatory.telescopes.focal_length
    np.testing.assert_allclose((off_axis - on_axis) / focal_length, [-shift, 0], atol=np.deg2rad(0.1))


def test_far_images_are_longer_in_time(vertical):
    near, far = (np.std(draw(vertical, 100.0, (distance, 0.0))[0][:, ARRIVAL]) for distance in (50.0, 350.0))
    assert far > 3 * near


@pytest.mark.parametrize("particle", ["gamma", "proton"])
def test_a_seed_gives_the_same_events(setup, make_production, particle):
    production = make_production(particle=particle, n_showers=300, uses_per_shower=2, viewcone_radius="3 deg")
    first, second, other = (run(production, setup, seed) for seed in (1, 1, 2))
    assert first
    for a, b in zip(first, second, strict=True):
        assert (a.shower, a.use, a.energy) == (b.shower, b.use, b.energy)
        for tel_id in a.images:
            np.testing.assert_array_equal(a.images[tel_id].image, b.images[tel_id].image)
    assert [e.energy for e in first] != [e.energy for e in other]


@pytest.mark.parametrize(("particle", "n_showers"), [("gamma", 6000), ("proton", 8000)])
@pytest.mark.parametrize("sky", [{}, {"night_sky_rate": "0.5 / ns", "trigger_threshold": 70}])
def test_throws_left_out_would_not_have_triggered(parameters, make_production, particle, n_showers, sky, monkeypatch):
    setup = prepare(parameters.model_copy(update={"electronics": ElectronicsParameters(**sky)}))
    production = make_production(
        particle=particle, n_showers=n_showers, energy_min="0.3 TeV", core_radius="700 m", viewcone_radius="7 deg"
    )
    rng = np.random.default_rng(6)
    throws = throw(production, setup.pointing, rng)
    hopeful = showers.hopeful(production, throws, setup)
    assert hopeful.mean() < 0.3
    monkeypatch.setattr(showers, "hopeful", lambda *_: np.ones_like(hopeful))
    kept = np.array([hopeful[event.shower, event.use] for event in simulate(production, throws, setup, rng)])
    assert len(kept) > 40
    assert np.count_nonzero(~kept) <= max(1, 0.03 * len(kept))


def test_events_tell_the_truth(setup, make_production):
    production = make_production(n_showers=400, energy_min="3 TeV")
    rng = np.random.default_rng(5)
    throws = throw(production, setup.pointing, rng)
    for event in simulate(production, throws, setup, rng):
        assert event.energy == throws.energy[event.shower]
        assert event.core_x == throws.core_x[event.shower, event.use]
        assert 200 < event.x_max < 1100
        assert 5000 < event.h_first_int < 100_000
        for image in event.images.values():
            assert image.true_image.sum() > 20
            bright = image.true_image > 20
            expected = image.true_image[bright].sum()
            assert image.image[bright].sum() == pytest.approx(expected, abs=6 * np.sqrt(expected) + 10)


def test_more_efficient_telescopes_see_more(parameters, make_production):
    optics = parameters.optics.model_copy(update={"throughput": 2 * parameters.optics.throughput})
    better = prepare(parameters.model_copy(update={"optics": optics}))
    production = make_production(n_showers=600)
    assert len(run(production, better)) > 1.2 * len(run(production, prepare(parameters)))
