import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from ctapipe.coordinates import CameraFrame
from ctapipe.instrument import CameraGeometry

from cherenkov_pipeline.directions import from_camera, separation
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS
from cherenkov_pipeline.tasks import DEFAULT, JOINT, N_OUTPUTS, TASKS, get_task, joint_task


@pytest.fixture
def events() -> Table:
    return Table(
        {
            "true_energy": np.array([0.1, 1.0, 20.0]) * u.TeV,
            "true_alt": [70.5, 69.0, 71.0] * u.deg,
            "true_az": [359.5, 1.0, 2.0] * u.deg,
            "telescope_pointing_altitude": np.full(3, np.deg2rad(70)) * u.rad,
            "telescope_pointing_azimuth": np.zeros(3) * u.rad,
            "true_shower_primary_id": [0, 101, 0],
            "true_core_x": [10.0, -200, 300] * u.m,
            "true_core_y": [0.0, 50, -70] * u.m,
            "pos_x": [-80.0, 90, 0] * u.m,
            "pos_y": [10.0, -20, 0] * u.m,
            "pos_z": [5.0, -3, 0] * u.m,
            "true_x_max": [300.0, 350, 400] * (u.g / u.cm**2),
        }
    )


@pytest.fixture
def camera() -> CameraGeometry:
    made = CameraGeometry.make_rectangular(4, 4)
    made.frame = CameraFrame(focal_length=5.6 * u.m, rotation=10 * u.deg)
    return made


def sure(task_name: str, target: np.ndarray) -> np.ndarray:
    """Outputs of a network that knows the target."""
    n = len(target)
    match get_task(task_name).likelihood:
        case "gaussian":
            return np.hstack([target, np.full_like(target, np.log(0.1))])
        case "bernoulli":
            return np.where(target > 0.5, 5.0, -5.0)
        case "head_tail":  # the source at the head, the axis along lon
            columns = [np.full(n, 4.0), np.full(n, 0.6), np.full(n, -3), np.full(n, -0.6), np.full(n, -3), np.zeros(n)]
            frame = [target[:, 0] - 0.6, target[:, 1], np.ones(n), np.zeros(n)]
            return np.column_stack([*columns, np.full(n, -3), *frame])


@pytest.mark.parametrize("name", TASKS)
def test_entry_is_complete(name, events, camera):
    task = TASKS[name]
    assert task.name == name
    assert task.particles
    assert {*task.dl2_columns.values(), *task.extra_columns.values()} <= set(task.units)
    target = task.to_target(events[list(task.labels)])
    assert target.shape == (3, task.n_targets)
    for mode in ("mono", "stereo"):
        likelihood = LIKELIHOODS[task.likelihood_of(mode)]
        n_outputs = likelihood.n_outputs(task.n_targets)
        assert n_outputs == N_OUTPUTS[task.likelihood_of(mode)](task.n_targets)
        columns = task.to_physical(np.zeros((3, n_outputs)), events, camera)
        assert {name: getattr(values, "unit", None) for name, values in columns.items()} == task.units
        assert all(np.isfinite(columns[name]).all() for name in task.dl2_columns.values())


@pytest.mark.parametrize("name", TASKS)
def test_invalid_outputs_stay_invalid(name, events, camera):
    task = TASKS[name]
    n_outputs = N_OUTPUTS[task.likelihood](task.n_targets)
    columns = task.to_physical(np.full((3, n_outputs), np.nan), events, camera)
    assert all(np.isnan(values).all() for values in columns.values())


def test_groups_of_tasks_exist():
    assert {*DEFAULT, *JOINT} <= set(TASKS)
    assert len({(task.dl2_group, task.name) for task in TASKS.values()}) == len(TASKS)


def test_energy_comes_back(events):
    task = get_task("energy")
    columns = task.to_physical(sure("energy", task.to_target(events)), events)
    np.testing.assert_allclose(columns["reco_energy"].to_value("TeV"), events["true_energy"])


def test_uncertainty_gives_the_interval_back(events):
    log_energy, scale = 0.7, 0.15
    columns = get_task("energy").to_physical(np.array([[log_energy, np.log(scale)]]), events[:1])
    energy, error = columns["reco_energy"], columns["reco_energy_uncert"]
    upper = energy * np.exp(error / energy)
    np.testing.assert_allclose(np.log10(upper.to_value("TeV")), log_energy + scale)


def test_energy_in_other_units_and_tables():
    table = QTable({"true_energy": [500, 2000] * u.GeV})
    np.testing.assert_allclose(get_task("energy").to_target(table)[:, 0], np.log10([0.5, 2]))


def test_missing_label_is_not_finite():
    table = Table({"true_energy": np.array([np.nan, 0.0]) * u.TeV, "true_shower_primary_id": [-1, -1]})
    assert not np.isfinite(get_task("energy").to_target(table)).any()
    assert not np.isfinite(get_task("type").to_target(table)).any()


def test_gammaness_is_the_probability_of_a_gamma(events):
    task = get_task("type")
    np.testing.assert_array_equal(task.to_target(events)[:, 0], [1, 0, 1])
    np.testing.assert_allclose(
        task.to_physical(np.array([[0.0], [np.log(4)], [-900]]), events)["gammaness"], [0.5, 0.8, 0]
    )


@pytest.mark.parametrize("name", ["skydirection", "cameradirection"])
def test_direction_comes_back(name, events, camera):
    task = get_task(name)
    target = task.to_target(events)
    columns = task.to_physical(sure(name, target), events, camera)
    away = separation(columns["reco_az"].value, columns["reco_alt"].value, events["true_az"], events["true_alt"])
    np.testing.assert_allclose(away, 0, atol=1e-6)
    assert ((columns["reco_az"].value >= 0) & (columns["reco_az"].value < 360)).all()
    other = separation(columns["other_az"].value, columns["other_alt"].value, events["true_az"], events["true_alt"])
    np.testing.assert_allclose(other, 1.2, atol=1e-2)
    point = task.to_physical(np.column_stack([target, np.full(3, np.log(0.1))]), events, camera)
    np.testing.assert_allclose(point["reco_alt"], columns["reco_alt"], atol=1e-9)
    assert np.isnan(point["other_alt"]).all()


def test_place_in_the_camera_is_the_direction(events, camera):
    task = get_task("cameradirection")
    columns = task.to_physical(sure("cameradirection", task.to_target(events)), events, camera)
    found = from_camera(columns["reco_camera_x"].value, columns["reco_camera_y"].value, camera)
    np.testing.assert_allclose(np.stack([found.lon, found.lat], axis=1), task.to_target(events), atol=1e-9)
    ratio = columns["reco_camera_uncert"] / columns["reco_ang_distance_uncert"]
    np.testing.assert_allclose(ratio.to_value(u.m / u.deg), 5.6 * np.deg2rad(1))
    with pytest.raises(UserError, match="geometry of the camera"):
        task.to_physical(sure("cameradirection", task.to_target(events)), events)


@pytest.mark.parametrize(("name", "columns"), [("core", ("core_x", "core_y")), ("xmax", ("x_max",))])
def test_other_regressions_come_back(name, columns, events):
    task = get_task(name)
    found = task.to_physical(sure(name, task.to_target(events)), events)
    for column in columns:
        np.testing.assert_allclose(found[f"reco_{column}"], events[f"true_{column}"].quantity)


def test_joint_task_leaves_protons_out_of_the_regressions(events):
    task = joint_task(["energy", "type", "skydirection"])
    assert task.name == get_task(task.name).name == "energy+type+skydirection"
    assert (task.n_targets, task.vectors) == (4, (2,))
    assert set(task.labels) >= {"true_energy", "true_alt", "true_shower_primary_id"}
    target = task.to_target(events)
    np.testing.assert_array_equal(np.isnan(target), [[False] * 4, [True, False, True, True], [False] * 4])
    assert LIKELIHOODS[task.likelihood].n_outputs(4) == 2 + 1 + 11 + 6
    assert LIKELIHOODS[task.likelihood].needs_frame


@pytest.mark.parametrize("mode", ["mono", "stereo"])
def test_joint_outputs_are_those_of_the_parts(events, mode):
    task = get_task("type+skydirection+energy")
    n = [N_OUTPUTS[part.likelihood_of(mode)](part.n_targets) for part in task.parts]
    outputs = [np.random.default_rng(i).normal(0, 0.5, (3, width)) for i, width in enumerate(n)]
    found = task.to_physical(np.hstack([*outputs, np.ones((3, 6))]), events)
    for part, own in zip(task.parts, outputs, strict=True):
        for name, values in part.to_physical(own, events).items():
            np.testing.assert_array_equal(found[name], values)


def test_unknown_task_names_the_others():
    with pytest.raises(UserError, match="energy"):
        get_task("enrgy")
    with pytest.raises(UserError, match="several different tasks"):
        get_task("energy+energy")


def test_light_rooms_do_not_import_keras():
    code = (
        "import sys, cherenkov_pipeline.tasks, cherenkov_pipeline.models, cherenkov_pipeline.training, "
        "cherenkov_pipeline.reconstruction; "
        "print([name for name in ('keras', 'tensorflow', 'ctapipe', 'matplotlib') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
