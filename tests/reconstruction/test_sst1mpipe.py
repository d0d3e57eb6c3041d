"""DL2 files of sst1mpipe are judged by the same numbers as our own predictions."""

import pickle

import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, vstack
from tests.reconstruction.ctlearn_dl2 import write_ctlearn
from tests.reconstruction.sst1mpipe_dl2 import GROUP, Configuration, write_sst1mpipe
from tests.store.toy_dl1 import camera, subarray
from tests.toy_events import toy_events

from cherenkov_pipeline.directions import from_sky, plain, pointing_of, to_camera
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.reconstruction.others import find_method, read_method
from cherenkov_pipeline.reconstruction.read import read_predictions

FEW = EvaluationParameters(resamples=100, minimum_events=5)
TASKS = ("energy", "type", "skydirection", "cameradirection")


@pytest.fixture(scope="module", params=[0.0, 30.0], ids=["camera", "turned camera"])
def array(request):
    return subarray({1: camera(rotation=request.param), 2: camera(rotation=request.param)})


@pytest.fixture
def images(array) -> QTable:
    """Predictions of two telescopes, in no order of the keys."""
    events = toy_events(60, flipped=0.2)
    events["reco_energy"] = 1.1 * events["true_energy"]
    events["reco_energy_uncert"], events["reco_ang_distance_uncert"] = np.nan * u.TeV, np.nan * u.deg
    geometry = array.tel[1].camera.geometry
    direction = from_sky(plain(events, "reco_alt"), plain(events, "reco_az"), pointing_of(events))
    for axis, values in zip("xy", to_camera(direction, geometry), strict=True):
        events[f"reco_camera_{axis}"] = values << u.m
    other = events.copy()
    other["tel_id"] = 2
    return vstack([events, other])[np.random.default_rng(0).permutation(120)]


def read(path, task: str, **options) -> QTable:
    return read_method(find_method(str(path), task, **options))


@pytest.mark.parametrize("task", TASKS)
def test_metrics_are_those_of_the_predictions(task, images, array, tmp_path):
    path = write_sst1mpipe(tmp_path / "gamma_dl2.h5", images, array)
    method = find_method(str(path), task)
    assert (method.level, method.prefix) == ("telescope", "sst1mpipe")
    found = read_method(method)
    assert found["is_valid"].all()
    same = {"energy": ["energy"], "type": ["type"]}.get(task, ["skydirection"])
    expected = read(write_ctlearn(tmp_path / "same.dl2.h5", images, array, (*same, "cameradirection")), task)
    if task == "type":
        for table in (found, expected):
            table["reco_energy"] = table["true_energy"]
    metrics, others = (EVALUATIONS[task].tables(table, FEW)["metrics"] for table in (found, expected))
    assert list(metrics["metric"]) == list(others["metric"])
    for one, other in zip(metrics, others, strict=True):
        np.testing.assert_allclose([one["value"], one["n"]], [other["value"], other["n"]], rtol=1e-6, err_msg=one[0])
    assert np.isfinite(metrics["value"][0])


def test_side_of_the_image_is_seen_in_the_telescope_frame(images, array, tmp_path):
    found = read(write_sst1mpipe(tmp_path / "gamma_dl2.h5", images, array), "skydirection")
    order = [np.lexsort((table["event_id"], table["tel_id"])) for table in (found, images)]
    for name in ("hillas_fov_lon", "hillas_fov_lat", "hillas_psi", "hillas_intensity"):
        one, other = (
            np.asarray(table[name], dtype=float)[rows] for table, rows in zip((found, images), order, strict=True)
        )
        np.testing.assert_allclose(one, other, atol=1e-6, err_msg=name)


def test_whole_events_are_read(images, array, tmp_path):
    events = images[images["tel_id"] == 1]
    path = write_sst1mpipe(tmp_path / "stereo_dl2.h5", events, array, stereo=True)
    found = read(path, "skydirection")
    assert "tel_id" not in found.colnames
    assert len(found) == len(events)
    with pytest.raises(UserError, match="take skydirection"):
        find_method(str(path), "cameradirection")
    with pytest.raises(UserError, match="no telescope predictions of energy"):
        find_method(str(path), "energy", "telescope")


def test_all_tasks_are_read_at_once(images, array, tmp_path):
    path = write_sst1mpipe(tmp_path / "gamma_dl2.h5", images, array)
    tasks = ("energy", "type", "skydirection")
    table = read_predictions(FileSet("", [{"path": str(path), "models": dict.fromkeys(tasks, "sst1mpipe")}]))
    assert {"reco_energy", "gammaness", "reco_alt"} <= set(table.colnames)
    record = {"path": str(path), "models": {"energy": "sst1mpipe", "skydirection": "HillasReconstructor"}}
    with pytest.raises(UserError, match="and of HillasReconstructor"):
        read_predictions(FileSet("", [record]))


def test_use_of_the_same_shower_is_known_from_ctlearns_file(images, array, tmp_path):
    ours = read(write_ctlearn(tmp_path / "a.dl2.h5", images, array, ("energy",)), "energy")
    theirs = read(write_sst1mpipe(tmp_path / "b_dl2.h5", images, array), "energy")
    shower = {(event, tel): value for event, tel, value in ours["event_id", "tel_id", "shower"].iterrows()}
    for event, tel, value in theirs["event_id", "tel_id", "shower"].iterrows():
        assert shower[(event, tel)] == value


@pytest.mark.parametrize(("task", "column"), [("energy", "reco_energy"), ("type", "gammaness")])
def test_task_without_a_forest_has_no_prediction(task, column, images, array, tmp_path):
    """Where a forest is not at hand, sst1mpipe writes 0 for every image."""
    images[column] = 0 * images[column]
    path = write_sst1mpipe(tmp_path / "gamma_dl2.h5", images, array)
    with pytest.raises(UserError, match=f"no valid prediction of {task} by sst1mpipe"):
        read(path, task)
    assert read(path, "skydirection")["is_valid"].all()


def test_gammaness_of_zero_is_a_prediction(images, array, tmp_path):
    images["gammaness"][:5] = 0
    assert read(write_sst1mpipe(tmp_path / "gamma_dl2.h5", images, array), "type")["is_valid"].all()


def test_configuration_is_not_unpickled(images, array, tmp_path):
    path = write_sst1mpipe(tmp_path / "gamma_dl2.h5", images, array)
    Configuration.unpickled.clear()
    for task in TASKS:
        read(path, task)
    assert not Configuration.unpickled
    with h5py.File(path) as file:  # the file holds what would be noticed
        pickle.loads(file[f"{GROUP}/tel_001"].attrs["config"])
    assert Configuration.unpickled


def test_missing_column_is_named(images, array, tmp_path):
    path = write_sst1mpipe(tmp_path / "gamma_dl2.h5", images, array)
    with h5py.File(path, "a") as file:
        for name in list(file[GROUP]):
            rows = file[GROUP][name][:]
            del file[GROUP][name]
            file[GROUP][name] = rows[[field for field in rows.dtype.names if field != "true_alt_tel"]].copy()
    with pytest.raises(UserError, match="no column true_alt_tel: it is not DL2 as sst1mpipe writes it"):
        read(path, "energy")
