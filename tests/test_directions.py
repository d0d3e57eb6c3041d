import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, SkyCoord
from astropy.table import QTable, Table
from ctapipe.coordinates import CameraFrame, TelescopeFrame
from ctapipe.instrument import CameraGeometry

from cherenkov_pipeline.directions import (
    ONE_SIGMA,
    Direction,
    HeadTail,
    along_axis,
    from_camera,
    from_sky,
    head_tail_point,
    point,
    pointing_of,
    to_camera,
    to_sky,
    true_direction,
)

POINTING = 70.0, 350.0


@pytest.fixture
def places() -> Direction:
    rng = np.random.default_rng(3)
    return Direction(*rng.uniform(-8, 8, (2, 50)))


def camera(rotation: float = 0.0) -> CameraGeometry:
    made = CameraGeometry.make_rectangular(4, 4)
    made.frame = CameraFrame(focal_length=5.6 * u.m, rotation=rotation * u.deg)
    return made


def test_sky_is_that_of_ctapipe_and_comes_back(places):
    altitude, azimuth = to_sky(places, POINTING)
    frame = TelescopeFrame(telescope_pointing=AltAz(alt=POINTING[0] * u.deg, az=POINTING[1] * u.deg))
    expected = SkyCoord(fov_lon=places.lon * u.deg, fov_lat=places.lat * u.deg, frame=frame).transform_to(AltAz())
    np.testing.assert_allclose(altitude, expected.alt.deg, atol=1e-9)
    np.testing.assert_allclose(azimuth, expected.az.deg, atol=1e-9)
    assert azimuth.min() < 20 < 340 < azimuth.max()  # the meridian is crossed
    again = from_sky(altitude, azimuth, POINTING)
    np.testing.assert_allclose([again.lon, again.lat], [places.lon, places.lat], atol=1e-9)


def test_any_prediction_is_a_direction():
    altitude, azimuth = to_sky(Direction(np.array([500.0]), np.array([300.0])), POINTING)
    assert -90 <= altitude[0] <= 90
    assert 0 <= azimuth[0] < 360


@pytest.mark.parametrize("rotation", [0.0, 37.0])
def test_camera_is_that_of_ctapipe_and_comes_back(places, rotation):
    made = camera(rotation)
    pointing = AltAz(alt=70 * u.deg, az=0 * u.deg)
    seen = SkyCoord(
        fov_lon=places.lon * u.deg, fov_lat=places.lat * u.deg, frame=TelescopeFrame(telescope_pointing=pointing)
    )
    expected = seen.transform_to(made.frame)
    x, y = to_camera(places, made)
    np.testing.assert_allclose([x, y], [expected.x.to_value("m"), expected.y.to_value("m")], atol=1e-12)
    again = from_camera(x, y, made)
    np.testing.assert_allclose([again.lon, again.lat], [places.lon, places.lat], atol=1e-12)


@pytest.mark.parametrize("unit", [u.rad, u.deg])
@pytest.mark.parametrize("kind", [Table, QTable])
def test_units_of_the_columns_count(kind, unit):
    degrees = {"true_alt": 71, "true_az": 350, "telescope_pointing_altitude": 70, "telescope_pointing_azimuth": 350}
    table = kind({name: ([value] * u.deg).to(unit) for name, value in degrees.items()})
    found = true_direction(table)
    np.testing.assert_allclose([found.lon[0], found.lat[0]], [0, 1], atol=1e-9)


def test_pointing_without_unit_is_in_rad():
    table = Table({"telescope_pointing_altitude": [np.deg2rad(70)], "telescope_pointing_azimuth": [0.1]})
    np.testing.assert_allclose(np.concatenate(pointing_of(table)), [70, np.rad2deg(0.1)])


def test_separation_is_that_on_the_sphere():
    one, other = (Direction(np.array([lon]), np.array([lat])) for lon, lat in ((0.0, 0.0), (3.0, 4.0)))
    expected = np.rad2deg(np.arccos(np.cos(np.deg2rad(3)) * np.cos(np.deg2rad(4))))
    assert one.separation(other) == pytest.approx(expected)


@pytest.mark.parametrize("unit", [u.rad, u.deg])
def test_place_on_the_axis_of_an_image(places, unit):
    psi, along, across = np.random.default_rng(1).uniform(-1, 1, (3, len(places.lon)))
    direction = Direction(
        places.lon + along * np.cos(psi) - across * np.sin(psi), places.lat + along * np.sin(psi) + across * np.cos(psi)
    )
    degrees = {"hillas_psi": np.rad2deg(psi), "hillas_fov_lon": places.lon, "hillas_fov_lat": places.lat}
    table = Table({name: (values * u.deg).to(unit) for name, values in degrees.items()})
    np.testing.assert_allclose(along_axis(table, direction), along, atol=1e-12)


def outputs(n: int, rng: np.random.Generator) -> np.ndarray:
    axis = rng.uniform(-np.pi, np.pi, n)
    return np.column_stack(
        [
            rng.normal(0, 2, n), rng.uniform(0.3, 1.5, n), rng.normal(-1.5, 0.5, n),
            rng.uniform(-1.5, -0.3, n), rng.normal(-1.5, 0.5, n), rng.normal(0, 0.05, n), rng.normal(-2.5, 0.5, n),
            *rng.uniform(-3, 3, (2, n)), np.cos(axis), np.sin(axis),
        ]
    )  # fmt: skip


def drawn(row: np.ndarray, n: int, rng: np.random.Generator) -> Direction:
    """Sources that follow the mixture of one event."""
    is_head = rng.random(n) < 1 / (1 + np.exp(-row[0]))
    x = np.where(is_head, rng.laplace(row[1], np.exp(row[2]), n), rng.laplace(row[3], np.exp(row[4]), n))
    y = rng.laplace(row[5], np.exp(row[6]), n)
    lon, lat, cosine, sine = row[7:]
    return Direction(lon + x * cosine - y * sine, lat + x * sine + y * cosine)


def test_radius_holds_what_it_says():
    rng = np.random.default_rng(5)
    rows = outputs(12, rng)
    rows[:3, 0] = 0.05, -0.05, 8  # nearly undecided, and certain
    lon, lat, radius, probability = head_tail_point(rows)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-rows[:, 0])))
    side_radius = HeadTail.of(rows).radii()
    for number, row in enumerate(rows):
        sources = drawn(row, 40_000, rng)
        held = np.hypot(sources.lon - lon[number], sources.lat - lat[number]) <= radius[number]
        assert held.mean() == pytest.approx(ONE_SIGMA, abs=0.012)
        row = row.copy()
        row[0] = 50  # the head alone
        sources, (head, _) = drawn(row, 40_000, rng), HeadTail.of(row[np.newaxis]).places()
        held = np.hypot(sources.lon - head.lon, sources.lat - head.lat) <= side_radius[number, 0]
        assert held.mean() == pytest.approx(ONE_SIGMA, abs=0.012)


def test_point_lies_on_the_more_probable_side():
    row = np.array([2.0, 1.0, -2, -0.7, -2, 0, -3, 0.5, -0.5, 0, 1])
    for logit, lat in ((2.0, 0.5), (-2.0, -1.2)):
        row[0] = logit
        found = head_tail_point(row[np.newaxis])
        np.testing.assert_allclose([found[0][0], found[1][0]], [0.5, lat], atol=1e-12)


def test_frame_that_is_turned_turns_the_point():
    rng = np.random.default_rng(1)
    rows = outputs(20, rng)
    turned = rows.copy()
    turned[:, 9], turned[:, 10] = -rows[:, 10], rows[:, 9]
    lon, lat, radius, _ = head_tail_point(rows)
    turned_lon, turned_lat, turned_radius, _ = head_tail_point(turned)
    np.testing.assert_allclose(turned_lon - rows[:, 7], -(lat - rows[:, 8]), atol=1e-12)
    np.testing.assert_allclose(turned_lat - rows[:, 8], lon - rows[:, 7], atol=1e-12)
    np.testing.assert_allclose(turned_radius, radius)


def test_outputs_that_are_not_finite_stay_so():
    rows = outputs(3, np.random.default_rng(0))
    rows[1] = np.nan
    rows[2, 4] = 1e4
    lon, lat, radius, _ = head_tail_point(rows)
    assert np.isfinite([lon[0], lat[0], radius[0]]).all()
    assert np.isnan([lon[1], lat[1], radius[1], radius[2]]).all()


def test_radius_of_a_point():
    rng = np.random.default_rng(2)
    lon, lat, radius = point(np.array([[0.1, -0.2, np.log(0.3)]]))
    r, angle = rng.gamma(2, 0.3, 200_000), rng.uniform(0, 2 * np.pi, 200_000)  # density r exp(-r / b)
    held = np.hypot(r * np.cos(angle), r * np.sin(angle)) <= radius[0]
    assert held.mean() == pytest.approx(ONE_SIGMA, abs=0.005)
    np.testing.assert_allclose([lon[0], lat[0]], [0.1, -0.2])
