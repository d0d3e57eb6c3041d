import logging
from dataclasses import replace
from datetime import timedelta

import astropy.units as u
import numpy as np
import pytest
import tables
from ctapipe.io import HDF5Merger, TableLoader
from tests.store.toy_dl1 import camera, subarray, write_dl1

from cherenkov_pipeline.dl1 import written
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.card import now
from cherenkov_pipeline.models.saved import load_model, save_model
from cherenkov_pipeline.reconstruction.dl2 import plan_dl2
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.reconstruction.predict import predict_dl1
from cherenkov_pipeline.reconstruction.read import read_predictions

ALL = SelectionParameters(quality={})
PARAMETERS = ReconstructionParameters(prefix="toy")


def files(*paths) -> FileSet:
    return FileSet("dl1", tuple({"path": str(path)} for path in paths))


@pytest.fixture(scope="module")
def dl2(trained, dl1_file, mixed_file, tmp_path_factory) -> FileSet:
    plan = plan_dl2(files(dl1_file, mixed_file), [trained], ALL, PARAMETERS)
    return run_plan(plan, tmp_path_factory.mktemp("dl2"))


def test_table_loader_reads_the_predictions_back(trained, dl1_file, dl2):
    expected = predict_dl1([trained], dl1_file, ALL)["energy"]
    with TableLoader(dl2.paths[0], focal_length_choice="EQUIVALENT") as loader:
        events = loader.read_telescope_events()
    keys = zip(expected["event_id"].tolist(), expected["tel_id"].tolist(), strict=True)
    values = zip(expected["reco_energy"].value, expected["reco_energy_uncert"].value, strict=True)
    by_key = dict(zip(keys, values, strict=True))
    assert len(events) == len(by_key)
    assert events["toy_energy_tel_energy"].unit == u.TeV
    assert events["toy_energy_tel_is_valid"].all()
    for row in events:
        found = row["toy_energy_tel_energy"], row["toy_energy_tel_energy_uncert"]
        assert found == pytest.approx(by_key[row["event_id"], row["tel_id"]], rel=1e-4)


def test_every_event_has_a_subarray_row_in_the_order_of_the_file(dl2, events):
    with TableLoader(dl2.paths[0], focal_length_choice="EQUIVALENT") as loader:
        found = loader.read_subarray_events()
    assert list(found["event_id"]) == [event.event_id for event in events]
    assert found["toy_energy_is_valid"].all()
    assert [tuple(np.flatnonzero(mask) + 1) for mask in found["toy_energy_telescopes"]] == [
        event.tel_ids for event in events
    ]


def test_other_camera_is_invalid_in_the_file(dl2, events):
    with TableLoader(dl2.paths[1], focal_length_choice="EQUIVALENT") as loader:
        telescopes, found = loader.read_telescope_events(), loader.read_subarray_events()
    np.testing.assert_array_equal(telescopes["toy_energy_tel_is_valid"], telescopes["tel_id"] == 1)
    assert np.isnan(telescopes["toy_energy_tel_energy"][telescopes["tel_id"] == 2]).all()
    np.testing.assert_array_equal(found["toy_energy_is_valid"], [1 in event.tel_ids for event in events])
    np.testing.assert_array_equal(np.isfinite(found["toy_energy_energy"]), found["toy_energy_is_valid"])


def test_counts_close(dl2):
    for record in dl2.records:
        counts = record["tasks"]["energy"]
        assert counts["n_images"] == counts["n_valid"] + counts["n_invalid"]
        assert counts["n_invalid"] == sum(counts["reasons"].values())
    assert dl2.records[1]["tasks"]["energy"]["n_invalid"] > 0
    assert dl2.records[0]["models"] == {"energy": "toy_energy"}


def test_images_stay_behind_and_the_rest_is_kept(dl1_file, dl2):
    with tables.open_file(dl1_file) as before, tables.open_file(dl2.paths[0]) as after:
        groups = {node._v_pathname for node in before.walk_nodes("/", "Table")}
        kept = {node._v_pathname for node in after.walk_nodes("/", "Table")}
        assert "DL2" in str(after.root._v_attrs["CTA PRODUCT DATA LEVELS"])
    assert {path for path in groups - kept if "/telescope/images/" not in path} == set()
    assert not any("/dl1/event/telescope/images/" in path for path in kept)


def test_predictions_table_comes_back(trained, dl1_file, dl2):
    found = read_predictions(dl2)
    expected = predict_dl1([trained], dl1_file, ALL)["energy"]
    first = found[found["production"] == "gamma"]
    assert set(expected.colnames) - {"reason", "outside_validity"} == set(first.colnames) - {"shower"}
    np.testing.assert_allclose(
        np.sort(first["reco_energy"].to_value("TeV")), np.sort(expected["reco_energy"].value), rtol=1e-4
    )
    assert (np.asarray(first["event_id"]).dtype, np.asarray(first["obs_id"]).dtype) == (np.int64, np.int64)


def test_merged_by_ctapipe(trained, dl1_file, events, dl2, tmp_path):
    array = subarray({1: camera(), 2: camera()})
    second = write_dl1(tmp_path / "second.dl1.h5", array, events, obs_id=2)
    other = run_plan(plan_dl2(files(second), [trained], ALL, PARAMETERS), tmp_path / "dl2")
    with HDF5Merger(tmp_path / "merged.dl2.h5") as merger:
        merger(dl2.paths[0])
        merger(other.paths[0])
    with TableLoader(tmp_path / "merged.dl2.h5", focal_length_choice="EQUIVALENT") as loader:
        merged = loader.read_subarray_events()
    assert len(merged) == 2 * len(events)
    assert np.isfinite(merged["toy_energy_energy"]).all()


def test_data_without_truth(trained, events, tmp_path):
    source = write_dl1(tmp_path / "observed.dl1.h5", subarray({1: camera(), 2: camera()}), events, simulated=False)
    found = read_predictions(run_plan(plan_dl2(files(source), [trained], ALL, PARAMETERS), tmp_path / "dl2"))
    assert found["is_valid"].all()
    assert np.isnan(found["true_energy"]).all()


def test_problems_are_found_before_the_work(trained, dl1_file, other_file, dl2, tmp_path):
    with pytest.raises(UserError, match="no DL1 files"):
        plan_dl2(files(), [trained], ALL, PARAMETERS)
    with pytest.raises(UserError, match="OtherCam"):
        plan_dl2(files(dl1_file, other_file), [trained], ALL, PARAMETERS)
    again = ReconstructionParameters(prefix="toy", keep_images=True)
    with_images = run_plan(plan_dl2(files(dl1_file), [trained], ALL, again), tmp_path)
    with pytest.raises(UserError, match="named toy_energy already"):
        plan_dl2(with_images, [trained], ALL, PARAMETERS)


def test_plan_changes_with_model_selection_parameters_and_code(trained, dl1_file, monkeypatch):
    def mark(selection=ALL, model=trained, **changes):
        return plan_dl2(files(dl1_file), [model], selection, PARAMETERS.model_copy(update=changes)).fingerprint

    first = mark()
    other = replace(trained, model=keras.models.clone_model(trained.model))  # the weights are new
    marks = [first, mark(SelectionParameters()), mark(model=other), mark(combination="none"), mark(prefix="b")]
    monkeypatch.setattr("cherenkov_pipeline.reconstruction.dl2.code_fingerprint", lambda *rooms: "changed")
    marks.append(mark())
    monkeypatch.undo()
    for name in ("cherenkov_pipeline.reconstruction.dl2.ctapipe_version", "keras.__version__"):
        monkeypatch.setattr(name, "0.0")
        marks.append(mark())
    monkeypatch.setattr("keras.backend.backend", lambda: "another")
    marks.append(mark())
    assert len(set(marks)) == len(marks)
    monkeypatch.undo()
    assert mark(chunk_size=7) == first


def test_plan_changes_with_the_code_of_every_room_that_predicts(trained, dl1_file, monkeypatch):
    rooms = set()
    monkeypatch.setattr("cherenkov_pipeline.reconstruction.dl2.code_fingerprint", lambda *names: rooms.update(names))
    plan_dl2(files(dl1_file), [trained], ALL, PARAMETERS)
    assert rooms >= {"dl1", "models", "reconstruction", "store", "tasks", "directions", "ground"}


def test_plan_is_the_same_for_the_same_model(trained, dl1_file, tmp_path):
    """Saved at another time, loaded, of another training with the same outcome: what is there is not made again."""
    save_model(trained, tmp_path)
    loaded = load_model(tmp_path)
    later = replace(trained, card=trained.card.model_copy(update={"created": now() + timedelta(days=1)}))
    plans = [plan_dl2(files(dl1_file), [model], ALL, PARAMETERS) for model in (trained, loaded, later)]
    assert len({plan.fingerprint for plan in plans}) == 1


def test_images_outside_the_training_data_are_counted(trained, mixed_file, dl2, tmp_path, caplog):
    assert [record["tasks"]["energy"]["n_outside_validity"] for record in dl2.records] == [0, 0]
    validity = trained.card.validity.model_copy(update={"zenith": (40.0, 50.0)})
    other = replace(trained, card=trained.card.model_copy(update={"validity": validity}))
    with caplog.at_level(logging.WARNING, "cherenkov_pipeline"):
        made = run_plan(plan_dl2(files(mixed_file), [other], ALL, PARAMETERS), tmp_path)
    counts = made.records[0]["tasks"]["energy"]
    assert counts["n_outside_validity"] == counts["n_valid"] < counts["n_images"]  # the rest has another camera
    assert len([record for record in caplog.records if "do not cover" in record.message]) == 1


def test_equal_names_in_different_folders(trained, dl1_file, shuffled_file, tmp_path):
    copy = tmp_path / dl1_file.name
    copy.write_bytes(shuffled_file.read_bytes())
    names = [job.name for job in plan_dl2(files(dl1_file, copy), [trained], ALL, PARAMETERS).jobs]
    assert len(set(names)) == 2
    assert all(name.startswith("gamma-") and name.endswith(".dl2.h5") for name in names)


def test_a_page_lost_on_a_full_disk_is_no_finished_file(trained, dl1_file, tmp_path, monkeypatch):
    def lost(path):
        raise OSError("a page is missing")

    monkeypatch.setattr(written, "_read_back", lost)
    with pytest.raises(UserError, match="was not written completely"):
        run_plan(plan_dl2(files(dl1_file), [trained], ALL, PARAMETERS), tmp_path)
    assert not list(tmp_path.rglob("*.dl2.h5"))
