import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz
from astropy.table import Table
from ctapipe.coordinates import GroundFrame, NominalFrame, TiltedGroundFrame

from cherenkov_pipeline.ground import TELESCOPE, TRUE_CORE, core_on_ground, core_seen, pointing_axes

N = 40


@pytest.fixture
def events() -> Table:
    """Cores anywhere, telescopes on a slope, any pointing."""
    rng = np.random.default_rng(8)
    places = rng.uniform(-300, 300, (5, N))
    places[4] /= 10
    columns = {name: values * u.m for name, values in zip((*TRUE_CORE, *TELESCOPE), places, strict=True)}
    return Table(
        {
            **columns,
            "telescope_pointing_altitude": rng.uniform(30, 89, N) * u.deg,
            "telescope_pointing_azimuth": rng.uniform(0, 360, N) * u.deg,
        }
    )


def pointing(events: Table) -> AltAz:
    return AltAz(alt=events["telescope_pointing_altitude"].quantity, az=events["telescope_pointing_azimuth"].quantity)


def test_axes_are_orthonormal():
    axes = pointing_axes([1.1, 0.4], [2.3, 5.0])
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.tile(np.eye(3), (2, 1, 1)), atol=1e-12)
    np.testing.assert_array_equal(pointing_axes(1.1, 2.3), axes[0])


def test_the_core_comes_back(events):
    core, error = core_on_ground(core_seen(events), np.ones((N, 2)), events)
    np.testing.assert_allclose(core.T, [events[name] for name in TRUE_CORE], atol=1e-9)
    assert np.isfinite(error).all()


def test_the_plane_is_that_of_ctapipe(events):
    """The axes of its tilted frame are the same two, in another order and with the other sign."""
    core = GroundFrame(x=events["true_core_x"].quantity, y=events["true_core_y"].quantity, z=np.zeros(N) * u.m)
    telescope = GroundFrame(*(events[name].quantity for name in TELESCOPE))
    for number in range(N):
        frame = TiltedGroundFrame(pointing_direction=pointing(events[number : number + 1])[0])
        one, other = (place[number].transform_to(frame) for place in (core, telescope))
        offset = [(other.y - one.y).to_value(u.m), (other.x - one.x).to_value(u.m)]
        np.testing.assert_allclose(core_seen(events)[number], offset, atol=1e-9)


def test_the_telescope_sees_the_shower_on_that_side(events):
    """A light above the core, on the way to the pointing direction, is seen where the core is."""
    seen, height = core_seen(events), 8000.0
    axes = pointing_axes(pointing(events).alt.rad, pointing(events).az.rad)
    core = np.stack([events["true_core_x"], events["true_core_y"], np.zeros(N)], axis=-1)
    line = core + height * axes[:, 2] - np.stack([events[name] for name in TELESCOPE], axis=-1)
    north, west, up = line.T
    lamp = AltAz(az=np.arctan2(-west, north) * u.rad, alt=np.arctan2(up, np.hypot(north, west)) * u.rad)
    found = lamp.transform_to(NominalFrame(origin=pointing(events)))
    lon, lat = found.fov_lon.rad, found.fov_lat.rad
    depth = np.einsum("ng,ng->n", line, axes[:, 2])
    np.testing.assert_allclose(np.tan(lon) * depth, seen[:, 0], atol=1e-6)
    np.testing.assert_allclose(np.tan(lat) * np.hypot(depth, seen[:, 0]), seen[:, 1], atol=1e-6)


def test_another_map_is_the_same_image(events):
    """Array and shower moved along the ground, or turned with the sky about the zenith."""
    seen = core_seen(events)
    moved, turned, angle = events.copy(), events.copy(), np.deg2rad(70)
    for x, y in (TRUE_CORE, TELESCOPE[:2]):
        moved[x], moved[y] = events[x] + 120 * u.m, events[y] - 45 * u.m
        turned[x] = events[x] * np.cos(angle) + events[y] * np.sin(angle)
        turned[y] = events[y] * np.cos(angle) - events[x] * np.sin(angle)
    turned["telescope_pointing_azimuth"] = events["telescope_pointing_azimuth"] + 70 * u.deg
    np.testing.assert_allclose(core_seen(moved), seen, atol=1e-9)
    np.testing.assert_allclose(core_seen(turned), seen, atol=1e-9)


def test_errors_are_those_of_the_place_on_the_ground(events):
    seen, scale = core_seen(events), np.tile([20.0, 50.0], (N, 1))
    _, error = core_on_ground(seen, scale, events)
    drawn = seen + scale * np.random.default_rng(3).normal(size=(20_000, N, 2))
    places = np.stack([core_on_ground(one, scale, events)[0] for one in drawn])
    np.testing.assert_allclose(places.std(axis=0), error, rtol=0.03)


def test_what_is_not_known_is_not_a_number(events):
    seen, scale = core_seen(events), np.ones((N, 2))
    events["true_core_y"][0], events["telescope_pointing_azimuth"][1] = np.nan, np.nan
    np.testing.assert_array_equal(np.isnan(core_seen(events)).any(axis=1), np.arange(N) < 2)
    core, error = core_on_ground(seen, scale, events)
    assert np.isnan(core[1]).all()
    assert np.isnan(error[1]).all()
    assert np.isfinite(core[[0, *range(2, N)]]).all()
