"""DL2 files of others are judged by the same numbers as our own predictions."""

import shutil

import numpy as np
import pytest
import tables
from astropy import units as u
from astropy.table import QTable, vstack
from ctapipe.core import run_tool
from ctapipe.tools.merge import MergeTool
from tests.reconstruction.ctlearn_dl2 import write_ctlearn
from tests.reconstruction.other_dl2 import write_other_dl2
from tests.store.toy_dl1 import camera, subarray
from tests.toy_events import toy_events

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.reconstruction.others import find_method, method_provenance, productions_of, read_method

FEW = EvaluationParameters(resamples=100, minimum_events=5)


@pytest.fixture(scope="module")
def array():
    return subarray({1: camera(), 2: camera()})


@pytest.fixture
def images() -> QTable:
    """Predictions of two telescopes, in no order of the keys, some of which could not be made."""
    events = toy_events(60, flipped=0.2)
    events["reco_energy"] = 1.1 * events["true_energy"]
    for name in ("reco_energy", "gammaness", "reco_alt", "reco_az"):
        events[name][:3] = np.nan
    events["is_valid"][:3] = False
    other = events.copy()
    other["tel_id"] = 2
    order = np.random.default_rng(0).permutation(120)
    return vstack([events, other], metadata_conflicts="silent")[order]


def read(path, task: str, **options) -> QTable:
    return read_method(find_method(str(path), task, **options))


@pytest.mark.parametrize("task", ["energy", "type", "skydirection", "cameradirection"])
def test_metrics_of_ctlearns_file_are_those_of_the_predictions(task, images, array, tmp_path):
    tasks = ("energy", "type", "cameradirection" if task == "cameradirection" else "skydirection")
    found = read(write_ctlearn(tmp_path / "gamma.dl2.h5", images, array, tasks), task)
    assert len(found) == len(images)
    assert found["is_valid"].sum() == len(images) - 6
    images["reco_energy_uncert"], images["reco_ang_distance_uncert"] = np.nan * u.TeV, np.nan * u.deg
    if task == "type":
        np.testing.assert_allclose(found["reco_energy"], images["reco_energy"][_places(found, images)])
    expected, metrics = (EVALUATIONS[task].tables(table, FEW)["metrics"] for table in (images, found))
    for one, other in zip(expected, metrics, strict=True):
        assert one["metric"] == other["metric"]
        np.testing.assert_allclose([one["value"], one["n"]], [other["value"], other["n"]], rtol=1e-6)
    assert np.isfinite(metrics["value"][0])


def test_type_is_per_reconstructed_energy_where_there_is_one(images, array, tmp_path):
    images["reco_energy"][5:9] = np.nan  # these events keep their type
    path = write_ctlearn(tmp_path / "both.dl2.h5", images, array, ("energy", "type"))
    method = find_method(str(path), "type")
    found = read_method(method)
    assert method.energy == "CTLearnRegressor"
    assert found["is_valid"].sum() == len(images) - 6
    assert EVALUATIONS["type"].tables(found, FEW)["per_energy"].meta["energy"] == "reco_energy"
    assert "energies by CTLearnRegressor" in method_provenance(method, found)["detail"].iloc[-1]
    alone = write_ctlearn(tmp_path / "alone.dl2.h5", images, array, ("type",))
    images["reco_energy"] = np.nan * u.TeV
    nothing = write_ctlearn(tmp_path / "nothing.dl2.h5", images, array, ("energy", "type"))
    for path in (alone, nothing):
        found = read(path, "type")
        assert EVALUATIONS["type"].tables(found, FEW)["per_energy"].meta["energy"] == "true_energy"
        assert "energies" not in method_provenance(find_method(str(path), "type"), found)["detail"].iloc[-1]


def test_one_of_several_energies_is_not_guessed(images, array, tmp_path):
    for number, name in enumerate(("CTLearn", "Forest")):
        events = images.copy()
        events["obs_id"] += number
        write_ctlearn(tmp_path / f"{name}.dl2.h5", events, array, {"energy": name, "type": "CTLearnClassifier"})
    method = find_method(str(tmp_path), "type")
    assert method.energy is None
    assert "reco_energy" not in read_method(method).colnames


def _places(found: QTable, images: QTable) -> list[int]:
    places = {key: n for n, key in enumerate(zip(images["event_id"], images["tel_id"], strict=True))}
    return [places[key] for key in zip(found["event_id"], found["tel_id"], strict=True)]


def test_place_in_the_camera_is_made_of_the_direction(images, array, tmp_path):
    found = read(write_ctlearn(tmp_path / "gamma.dl2.h5", images, array, ("cameradirection",)), "cameradirection")
    exact = images.copy()
    exact["reco_alt"], exact["reco_az"] = exact["true_alt"], exact["true_az"]
    same = read(write_ctlearn(tmp_path / "exact.dl2.h5", exact, array, ("cameradirection",)), "cameradirection")
    for axis in ("x", "y"):
        np.testing.assert_allclose(same[f"reco_camera_{axis}"], same[f"true_camera_{axis}"], atol=1e-6 * u.m)
        assert np.isnan(found[f"reco_camera_{axis}"][~found["is_valid"]]).all()
    tables = EVALUATIONS["cameradirection"].tables(found, FEW)
    assert set(EVALUATIONS["cameradirection"].figures(tables, "CTLearn", None)) >= {"camera", "resolution"}


def test_events_of_stereo_models_are_read(images, array, tmp_path):
    events = images[images["tel_id"] == 1]
    path = write_ctlearn(tmp_path / "stereo.dl2.h5", events, array, ("energy", "skydirection"), stereo=True)
    method = find_method(str(path), "skydirection")
    assert (method.level, method.prefix) == ("subarray", "CTLearnSkyReconstructor")
    found = read_method(method)
    assert "tel_id" not in found.colnames
    assert found["is_valid"].sum() == len(events) - 3
    with pytest.raises(UserError, match="no telescope predictions of energy"):
        find_method(str(path), "energy", "telescope")
    with pytest.raises(UserError, match="take skydirection"):
        find_method(str(path), "cameradirection")


def test_whole_events_of_a_file_for_single_images_are_read(images, array, tmp_path):
    """CTLearn's tool for single images combines them too, and gives their spread for an error: none of one image."""
    images["reco_energy"][images["tel_id"] == 2] *= 1.5
    alone = (images["tel_id"] == 2) & (images["event_id"] == images["event_id"].max())
    path = write_ctlearn(tmp_path / "gamma.dl2.h5", images[~alone], array, ("energy", "cameradirection"))
    found = read(path, "energy", level="subarray")
    first = {row["event_id"]: row for row in images[images["tel_id"] == 1]}
    assert len(found) == len(first)
    assert found["is_valid"].sum() == len(first) - 3
    for row in found[found["is_valid"]]:
        factor = 1 if row["event_id"] == images["event_id"].max() else 1.25
        np.testing.assert_allclose(row["reco_energy"], factor * first[row["event_id"]]["reco_energy"])
    metrics = EVALUATIONS["energy"].tables(found, FEW)["metrics"]
    is_gamma = found["true_shower_primary_id"] == 0
    assert metrics["n"][metrics["metric"] == "resolution"] == np.count_nonzero(found["is_valid"] & is_gamma)
    assert read(path, "skydirection", level="subarray")["is_valid"].sum() == len(first) - 3


@pytest.mark.parametrize("level", ["telescope", "subarray"])
def test_gammaness_that_ctlearn_lost_is_none(level, images, array, tmp_path):
    """Peers' fault 1: the last images of a file, which fill no batch, are written as 0 and valid."""
    whole = read(write_ctlearn(tmp_path / "whole.dl2.h5", images, array, ("type",)), "type", level=level)
    path = write_ctlearn(tmp_path / "partial.dl2.h5", images, array, ("type",), n_lost=12)
    found = read(path, "type", level=level)
    n_lost = 12 if level == "telescope" else 6
    assert found["is_valid"].sum() == whole["is_valid"].sum() - n_lost
    last = np.sort(np.asarray(whole["event_id"]))[-n_lost:]
    np.testing.assert_array_equal(np.isin(found["event_id"], last), whole["is_valid"] & ~found["is_valid"])
    assert np.isnan(found["gammaness"][~found["is_valid"]]).all()
    assert (
        f"{(~found['is_valid']).sum()} " in method_provenance(find_method(str(path), "type", level), found)["detail"][1]
    )


def test_gammaness_that_ctlearn_lost_is_none_in_a_merged_file(images, array, tmp_path):
    """ctapipe-merge writes its own name over that of the software."""
    parts = []
    for number in (1, 2):
        events = images.copy()
        events["obs_id"] = number
        parts.append(write_ctlearn(tmp_path / f"part{number}.dl2.h5", events, array, ("type",), n_lost=12))
    merged = tmp_path / "merged.dl2.h5"
    run_tool(MergeTool(), [*map(str, parts), f"--output={merged}", "--dl2-telescope"], raises=True)
    found = read(merged, "type")
    assert len(found) == 2 * len(images)
    assert found["is_valid"].sum() == 2 * (len(images) - 6 - 12)


def test_zero_of_another_classifier_is_a_prediction(images, array, tmp_path):
    path = write_ctlearn(tmp_path / "forest.dl2.h5", images, array, {"type": "RandomForestClassifier"}, n_lost=12)
    with tables.open_file(path, "a") as file:
        file.root._v_attrs["CTA ACTIVITY SOFTWARE NAME"] = "ctapipe"
    assert np.count_nonzero(read(path, "type")["gammaness"] == 0) == 12


def test_gammas_and_protons_of_the_same_numbers_stay_apart(images, array, tmp_path):
    """Peers' fault 2: events are merged whose run and number are equal."""
    kinds = {name: images.copy() for name in ("gamma", "proton")}
    for name, primary in (("gamma", 0), ("proton", 101)):
        (tmp_path / name).mkdir()
        kinds[name]["true_shower_primary_id"] = primary
        write_ctlearn(tmp_path / name / "run.dl2.h5", kinds[name], array, ("type",))
    found = read(tmp_path, "type")
    assert sorted(set(found["production"])) == ["gamma/run", "proton/run"]
    assert len(found) == 2 * len(images)
    assert len(set(found["shower"])) == 120  # two telescopes see each of 60 showers, of each particle
    table = method_provenance(find_method(str(tmp_path), "type"), found)
    rows = table[table["step"] == "prediction"]
    assert rows["n_in"].sum() == len(found)
    assert rows["n_out"].sum() == found["is_valid"].sum()
    assert "does not say what was thrown" in table["detail"][0]
    merged = vstack(list(kinds.values()), metadata_conflicts="silent")
    with pytest.raises(UserError, match=r"event twice|not DL2 in ctapipe's layout"):
        read(write_ctlearn(tmp_path / "merged.dl2.h5", merged, array, ("type",)), "type")


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/gamma.dl2.h5", "/y/proton.h5"], ["gamma", "proton"]),
        (["/x/a/gamma/run.dl2.h5", "/x/b/gamma/run.dl2.h5"], ["a/gamma/run", "b/gamma/run"]),
        (["/a/g/run.h5", "/b/g/run.h5", "/b/p/run.h5", "/b/p/one.h5"], ["a/g/run", "b/g/run", "p/run", "one"]),
        (["/run.h5", "/a/run.h5", "/a/a/run.h5"], ["/run", "/a/run", "a/a/run"]),
        (["/x/run.h5", "/x/run.dl2.h5"], ["run.h5", "run.dl2.h5"]),
    ],
)
def test_files_of_the_same_name_are_told_apart_by_their_folders(paths, names):
    assert productions_of(paths) == names


def test_any_prefix_is_found_and_one_of_several_is_named(images, array, tmp_path):
    path = write_ctlearn(tmp_path / "one.dl2.h5", images, array, {"energy": "CTLearn"})
    assert find_method(str(path), "energy").prefix == "CTLearn"
    other = write_ctlearn(tmp_path / "two.dl2.h5", images, array, {"energy": "RandomForestRegressor"})
    with pytest.raises(UserError, match="by CTLearn, RandomForestRegressor: give the files of one"):
        find_method(str(tmp_path / "*.h5"), "energy")
    assert find_method(f"{path}::CTLearn", "energy") == find_method(str(path), "energy", prefix="CTLearn")
    with pytest.raises(UserError, match="named CTLearn: it has RandomForestRegressor"):
        find_method(f"{other}::CTLearn", "energy")
    copied = shutil.copy(path, tmp_path / "copied.dl2.h5")
    assert find_method(str(copied), "energy").fingerprint == find_method(str(path), "energy").fingerprint


def test_ctapipes_own_layout_with_what_was_thrown(tmp_path):
    path = write_other_dl2(tmp_path / "gamma.dl2.h5", primary=0, obs_id=1, n_events=8)
    method = find_method(str(path), "skydirection")
    found = read_method(method)
    assert len(found) == 16
    thrown = method_provenance(method, found).iloc[0]
    assert (thrown["item"], thrown["n_in"], thrown["n_out"]) == ("gamma", 2000, 8)
    assert thrown["detail"] == "1992 uses of showers in no event"
    (spectrum,) = found.meta["thrown"]
    assert (spectrum["true_shower_primary_id"], spectrum["n_thrown"]) == (0, 2000)
    assert spectrum["energy_min"] < spectrum["energy_max"] == 100
    with pytest.raises(UserError, match="no predictions of xmax in a layout"):
        find_method(str(path), "xmax")
    with pytest.raises(UserError, match="gammas alone: the particle type"):
        read(path, "type")


def without(images: QTable, *names: str) -> QTable:
    return images[[name for name in images.colnames if name not in names]]


def unpointed(images: QTable) -> QTable:
    images = images.copy()
    images["telescope_pointing_altitude"] *= np.nan
    return images


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("energy", lambda t: without(t, "true_energy"), "no true_energy: energy can be judged by simulated events"),
        ("skydirection", unpointed, "no telescope_pointing_altitude: skydirection"),
        ("energy", lambda t: t[t["true_shower_primary_id"] > 0], "no gammas"),
        ("skydirection", lambda t: without(t, "true_alt"), "no true_alt: skydirection"),
        ("type", lambda t: without(t, "true_shower_primary_id"), "no true_shower_primary_id"),
        ("energy", lambda t: t[~t["is_valid"]], "no valid prediction of energy by CTLearnRegressor"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_one_line(task, change, message, images, array, tmp_path):
    path = write_ctlearn(tmp_path / "some.dl2.h5", change(images), array, (task,))
    with pytest.raises(UserError, match=message) as refused:
        read(path, task)
    assert "\n" not in str(refused.value)


def test_core_of_a_direction_is_no_prediction_of_the_core(images, array, tmp_path):
    """ctapipe fills the columns of its container that CTLearn does not predict."""
    path = write_ctlearn(tmp_path / "some.dl2.h5", images, array, ("skydirection",))
    with pytest.raises(UserError, match="no valid prediction of core by CTLearnSkyReconstructor"):
        read(path, "core")


def test_other_files_are_refused(images, tmp_path):
    (tmp_path / "notes.txt").write_text("no")
    (tmp_path / "more.txt").write_text("no")
    for reference, message in (
        ("nowhere.h5", "does not exist: set dl2.path to a DL2 file"),
        ("notes.txt", "no HDF5 file"),
        ("", "holds no HDF5 file"),
    ):
        with pytest.raises(UserError, match=message):
            find_method(str(tmp_path / reference), "energy")
