import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from ctapipe.reco.reconstructor import ReconstructionProperty
from ctapipe.reco.stereo_combination import StereoMeanCombiner

from cherenkov_pipeline.directions import Direction, from_sky, separation, to_sky
from cherenkov_pipeline.reconstruction.combine import combine
from cherenkov_pipeline.reconstruction.dl2 import CONTAINERS
from cherenkov_pipeline.tasks import get_task

POINTING = 70.0, 359.0


def table(event_ids, valid=True, **columns) -> Table:
    n = len(event_ids)
    return Table(
        {
            "obs_id": np.ones(n, dtype=int),
            "event_id": event_ids,
            "tel_id": np.arange(1, n + 1),
            **{f"m_tel_{name}": values for name, values in columns.items()},
            "m_tel_is_valid": np.broadcast_to(valid, n).copy(),
            "hillas_intensity": 100.0 * np.arange(1, n + 1),
        }
    )


def energies(values, errors, event_ids, valid=True) -> Table:
    return table(event_ids, valid, energy=np.array(values) * u.TeV, energy_uncert=np.array(errors) * u.TeV)


def combined(images: Table, task_name: str, weighting: str = "predicted_error") -> Table:
    task = get_task(task_name)
    return combine(images, task, "m", weighting, CONTAINERS[task.dl2_group])


def test_equal_telescopes_halve_the_variance():
    found = combined(energies([2, 2], [0.4, 0.4], [5, 5]), "energy")
    assert found["m_energy"][0] == pytest.approx(2)
    assert found["m_energy_uncert"][0] == pytest.approx(0.4 / np.sqrt(2))


def test_precise_telescope_wins_and_single_one_keeps_its_error():
    found = combined(energies([1.0, 10.0, 3.0], [0.01, 10.0, 0.6], [5, 5, 6]), "energy")
    assert found["m_energy"] == pytest.approx([1, 3], rel=1e-3)
    assert found["m_energy_uncert"] == pytest.approx([0.01, 0.6], rel=1e-3)


@pytest.mark.parametrize("weighting", ["predicted_error", "intensity", "none"])
def test_invalid_telescopes_do_not_count(weighting):
    images = energies([2.0, np.nan, np.nan], [0.4, np.nan, np.nan], [5, 5, 6], [True, False, False])
    found = combined(images, "energy", weighting)
    assert list(found["m_is_valid"]) == [True, False]
    assert found["m_energy"][0] == pytest.approx(2)
    assert np.isnan(found["m_energy"][1])
    assert np.isnan(found["m_energy_uncert"][1])
    assert [list(tel_ids) for tel_ids in found["m_telescopes"]] == [[1], []]


def directions(rng: np.random.Generator, n: int, sigma: float = 0.1) -> tuple[Table, Direction]:
    """Two telescopes a source: the axis of each image leads to it; the side is right in three of four."""
    source = Direction(*rng.uniform(-2, 2, (2, n)))
    rows = np.repeat(np.arange(n), 2)
    angle = rng.uniform(0, 2 * np.pi, 2 * n)
    right = rng.random(2 * n) < 0.75
    near = Direction(*(axis[rows] + rng.normal(0, sigma, 2 * n) for axis in (source.lon, source.lat)))
    far = Direction(near.lon + 1.5 * np.cos(angle), near.lat + 1.5 * np.sin(angle))
    (alt, az), (other_alt, other_az) = (
        to_sky(Direction(np.where(at, near.lon, far.lon), np.where(at, near.lat, far.lat)), POINTING)
        for at in (right, ~right)
    )
    radius = np.full(2 * n, 1.515 * sigma)
    columns = {
        "alt": alt * u.deg, "az": az * u.deg, "ang_distance_uncert": 5 * radius * u.deg,
        "other_alt": other_alt * u.deg, "other_az": other_az * u.deg,
        "side_uncert": radius * u.deg, "other_uncert": radius * u.deg, "head_probability": np.full(2 * n, 0.75),
    }  # fmt: skip
    return table(rows, **columns), source


def errors(found: Table, source: Direction) -> np.ndarray:
    seen = from_sky(np.asarray(found["m_alt"]), np.asarray(found["m_az"]), POINTING)
    return separation(seen.lon, seen.lat, source.lon, source.lat)


def test_two_telescopes_decide_the_side():
    images, source = directions(np.random.default_rng(0), 400)
    found = combined(images, "skydirection")
    away = errors(found, source)
    assert np.mean(away < 0.4) > 0.97
    assert np.mean(errors(combined(images, "skydirection", "none"), source) < 0.4) < 0.7
    np.testing.assert_allclose(found["m_ang_distance_uncert"], 0.1515 / np.sqrt(2), rtol=1e-6)
    good = away < 0.4
    assert np.mean(away[good] <= found["m_ang_distance_uncert"][good]) == pytest.approx(0.68, abs=0.06)


def test_order_of_telescopes_does_not_matter():
    images, _ = directions(np.random.default_rng(1), 30)
    turned = images[np.arange(60).reshape(-1, 2)[:, ::-1].ravel()]
    for name in ("m_alt", "m_az", "m_ang_distance_uncert"):
        np.testing.assert_allclose(combined(images, "skydirection")[name], combined(turned, "skydirection")[name])


def test_single_telescope_keeps_its_direction():
    images, _ = directions(np.random.default_rng(1), 10)
    found = combined(images[::2], "skydirection")
    for name in ("alt", "az", "ang_distance_uncert"):
        np.testing.assert_allclose(found[f"m_{name}"], images[f"m_tel_{name}"][::2])


def test_direction_without_another_side():
    images, _ = directions(np.random.default_rng(2), 10)
    for name in ("other_alt", "other_az", "other_uncert", "head_probability"):
        images[f"m_tel_{name}"] = np.nan * images[f"m_tel_{name}"]
    found = combined(images, "skydirection")
    assert np.isfinite(found["m_alt"]).all()


@pytest.mark.parametrize("weighting", ["intensity", "none"])
@pytest.mark.parametrize("task_name", ["energy", "type", "skydirection"])
def test_means_are_those_of_ctapipe(task_name, weighting):
    rng = np.random.default_rng(4)
    images, _ = directions(rng, 20)
    images["m_tel_energy"] = rng.uniform(1, 2, 40) * u.TeV
    images["m_tel_energy_uncert"] = 0.1 * u.TeV
    images["m_tel_prediction"] = rng.uniform(0, 1, 40)
    task = get_task(task_name)
    kind = ReconstructionProperty[task.dl2_group.upper()]
    reference = StereoMeanCombiner(prefix="m", property=kind, weights=weighting, log_target=True).predict_table(images)
    found = combined(images, task_name, weighting)
    for field in ("energy", "prediction", "alt", "az"):
        if field in task.dl2_columns:
            expected = np.asarray(reference[f"m_{field}"]) % 360
            np.testing.assert_allclose(np.asarray(found[f"m_{field}"]), expected)
    assert set(found.colnames) >= set(reference.colnames)


def test_decided_telescope_decides_the_type():
    found = combined(table([1, 1, 2], prediction=np.array([0.999, 0.4, 0.3])), "type")
    assert found["m_prediction"][0] > 0.9
    assert found["m_prediction"][1] == pytest.approx(0.3)


def test_core_is_weighted_in_each_coordinate():
    columns = {"core_x": [0, 100], "core_y": [0, 100], "core_uncert_x": [1, 1000], "core_uncert_y": [1000, 1]}
    found = combined(table([1, 1], **{name: np.array(values) * u.m for name, values in columns.items()}), "core")
    np.testing.assert_allclose([found["m_core_x"][0], found["m_core_y"][0]], [0, 100], atol=0.01)
    assert found["m_core_x"].unit == u.m


def test_which_end_is_called_the_head_does_not_matter():
    images, _ = directions(np.random.default_rng(0), 100)
    turned = images.copy()
    turned["m_tel_head_probability"][::3] = 1 - turned["m_tel_head_probability"][::3]
    for name in ("m_alt", "m_az", "m_ang_distance_uncert"):
        np.testing.assert_allclose(combined(turned, "skydirection")[name], combined(images, "skydirection")[name])


@pytest.mark.parametrize("precise", ["side", "other"])
def test_of_two_places_where_both_meet_the_sharper_one_is_taken(precise):
    """As probable a side as the other: the density is larger where it is narrower."""
    (alt, az), (other_alt, other_az) = (to_sky(Direction(*np.full((2, 2), lon)), POINTING) for lon in (0.0, 1.0))
    radius = {name: np.full(2, 0.1 if name == precise else 0.3) * u.deg for name in ("side", "other")}
    images = table(
        [1, 1], alt=alt * u.deg, az=az * u.deg, ang_distance_uncert=np.full(2, 1.5) * u.deg,
        other_alt=other_alt * u.deg, other_az=other_az * u.deg, head_probability=np.full(2, 0.5),
        side_uncert=radius["side"], other_uncert=radius["other"],
    )  # fmt: skip
    found = combined(images, "skydirection")
    assert found["m_alt"][0] == pytest.approx((alt if precise == "side" else other_alt)[0])
    assert found["m_ang_distance_uncert"][0] == pytest.approx(0.1 / np.sqrt(2))


@pytest.mark.parametrize("n_telescopes", [3, 5])
def test_more_telescopes_decide_their_sides_together(n_telescopes):
    rng = np.random.default_rng(3)
    images, source = many_telescopes(rng, 60, n_telescopes)
    found = combined(images, "skydirection")
    assert np.mean(errors(found, source) < 0.4) > 0.97
    np.testing.assert_allclose(found["m_ang_distance_uncert"], 0.1515 / np.sqrt(n_telescopes), rtol=1e-6)


def many_telescopes(rng, n, k, sigma=0.1):
    source = Direction(*rng.uniform(-2, 2, (2, n)))
    rows, angle, right = np.repeat(np.arange(n), k), rng.uniform(0, 2 * np.pi, k * n), rng.random(k * n) < 0.75
    near = Direction(*(axis[rows] + rng.normal(0, sigma, k * n) for axis in (source.lon, source.lat)))
    far = Direction(near.lon + 1.5 * np.cos(angle), near.lat + 1.5 * np.sin(angle))
    (alt, az), (other_alt, other_az) = (
        to_sky(Direction(np.where(at, near.lon, far.lon), np.where(at, near.lat, far.lat)), POINTING)
        for at in (right, ~right)
    )
    radius = np.full(k * n, 1.515 * sigma)
    columns = {
        "alt": alt * u.deg,
        "az": az * u.deg,
        "ang_distance_uncert": 5 * radius * u.deg,
        "other_alt": other_alt * u.deg,
        "other_az": other_az * u.deg,
        "side_uncert": radius * u.deg,
        "other_uncert": radius * u.deg,
        "head_probability": np.full(k * n, 0.75),
    }
    return table(rows, **columns), source
