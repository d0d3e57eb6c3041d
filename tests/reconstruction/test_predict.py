import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.reconstruction.conftest import INPUTS, MODEL
from tests.store.toy_store import build
from tests.untrained import untrained

from cherenkov_pipeline.dl1.cameras import camera_fingerprint
from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.dl1.settings import make_settings, write_settings
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.saved import TrainedModel, load_model, save_model
from cherenkov_pipeline.reconstruction import predict
from cherenkov_pipeline.reconstruction.predict import make_predictor, match_models, predict_dl1, predict_store
from cherenkov_pipeline.store.chunks import cameras

ALL = SelectionParameters(quality={})


def test_every_event_of_the_split_has_a_row(trained, store):
    predictions = predict_store(trained, store, "test")
    rows = store.indices("test")
    assert list(predictions["event_id"]) == list(store.table["event_id"][rows])
    assert list(predictions["production"]) == [store.productions[code] for code in store.table["production"][rows]]
    assert predictions["is_valid"].all()
    assert predictions["true_energy"].unit == predictions["reco_energy"].unit == "TeV"
    assert (predictions["reco_energy_uncert"] > 0).all()
    assert len(predict_store(trained, store, None)) == len(store)


@pytest.mark.parametrize("change", [{"seed": 1}, {"train": 0.6, "test": 0.3}])
def test_test_events_of_another_split_are_refused(trained, store, change):
    learnt = trained.card.data.model_copy(update={"split": trained.card.data.split | change})
    other = replace(trained, card=trained.card.model_copy(update={"data": learnt}))
    with pytest.raises(UserError, match=f"split otherwise.*{next(iter(change))} .* instead of"):
        predict_store(other, store, "test")
    assert len(predict_store(other, store, "train")) == len(store.indices("train"))


@pytest.mark.parametrize(("chunk_size", "batch_size"), [(7, 256), (2048, 3), (1, 1)])
def test_chunks_and_batches_do_not_matter(trained, store, monkeypatch, chunk_size, batch_size):
    expected = predict_store(trained, store)
    monkeypatch.setattr(predict, "CHUNK_SIZE", chunk_size)
    monkeypatch.setattr(predict, "BATCH_SIZE", batch_size)
    found = predict_store(trained, store)
    assert len(np.unique(found["reco_energy"])) == len(found)
    np.testing.assert_allclose(found["reco_energy"].value, expected["reco_energy"].value, rtol=1e-4)


def test_saved_model_predicts_the_same(trained, store, tmp_path):
    save_model(trained, tmp_path)
    np.testing.assert_array_equal(
        predict_store(load_model(tmp_path), store)["reco_energy"], predict_store(trained, store)["reco_energy"]
    )


def test_what_cannot_be_predicted_is_nan_with_a_reason(trained, store):
    chunk = store.read(np.arange(6))
    chunk.image_mask[1] = False
    chunk.image[2] = np.inf  # counts as no signal at all, but can be predicted
    selected = np.array([True, True, True, False, True, True])
    predictions = make_predictor(trained, store.camera).predict(chunk, selected)
    assert list(predictions["reason"]) == ["", predict.NO_SIGNAL, "", predict.NOT_SELECTED, "", ""]
    np.testing.assert_array_equal(predictions["is_valid"], predictions["reason"] == "")
    np.testing.assert_array_equal(np.isfinite(predictions["reco_energy"]), predictions["is_valid"])
    np.testing.assert_array_equal(np.isfinite(predictions["reco_energy_uncert"]), predictions["is_valid"])


def test_prediction_that_is_not_finite_is_invalid(trained, store, monkeypatch):
    chunk = store.read(np.arange(4))
    predictor = make_predictor(trained, store.camera)
    monkeypatch.setattr(
        type(predictor), "outputs", lambda self, *_: np.array([[0, 0], [np.nan, 0], [0, np.nan], [0, 1e6]])
    )
    predictions = predictor.predict(chunk, np.ones(4, dtype=bool))
    assert list(predictions["reason"]) == ["", *3 * [predict.NOT_FINITE]]
    assert not np.isfinite(predictions["reco_energy"][1:]).any()


def test_dl1_file_is_predicted_completely(trained, dl1_file, events):
    predictions = predict_dl1([trained], dl1_file, ALL)["energy"]
    expected = sorted((event.event_id, tel_id) for event in events for tel_id in event.tel_ids)
    assert sorted(zip(predictions["event_id"], predictions["tel_id"], strict=True)) == expected
    assert predictions["is_valid"].all()
    assert set(predictions["production"]) == {"gamma"}


def test_constant_memory_gives_the_same(trained, dl1_file):
    whole = predict_dl1([trained], dl1_file, ALL)["energy"]
    chunks = predict_dl1([trained], dl1_file, ALL, chunk_size=4)["energy"]
    np.testing.assert_allclose(chunks["reco_energy"].value, whole["reco_energy"].value, rtol=1e-4)


def test_the_core_is_where_the_telescope_sees_it(dl1_file, tmp_path, monkeypatch):
    """Showers that fall on the telescope that sees them: 70 and 140 m to the north."""
    core = untrained(build(tmp_path / "store", dl1_file)[0], "core", MODEL, INPUTS, tmp_path)
    monkeypatch.setattr(core.model, "predict_on_batch", lambda inputs: np.zeros((len(inputs["image"]), 4)))
    found = predict_dl1([core], dl1_file, ALL)["core"]
    np.testing.assert_allclose(found["reco_core_x"].to_value("m"), 70 * found["tel_id"], atol=1e-4)
    np.testing.assert_allclose(found["reco_core_y"].to_value("m"), 0, atol=1e-4)
    # an error of 1 m in the plane across the pointing, which is 20 deg from the zenith, to the south
    np.testing.assert_allclose(found["reco_core_uncert_x"].to_value("m"), 1 / np.sin(np.deg2rad(70)), rtol=1e-6)
    np.testing.assert_allclose(found["reco_core_uncert_y"].to_value("m"), 1, rtol=1e-6)


def test_images_that_fail_the_selection_are_invalid(trained, dl1_file):
    everything = predict_dl1([trained], dl1_file, ALL)["energy"]
    limit = np.median(everything["hillas_intensity"])
    cut = SelectionParameters(quality={"bright": f"hillas_intensity > {limit}"}, truth={"none": "true_energy > 1e6"})
    predictions = predict_dl1([trained], dl1_file, cut)["energy"]
    np.testing.assert_array_equal(predictions["is_valid"], everything["hillas_intensity"] > limit)
    assert set(predictions["reason"]) == {"", predict.NOT_SELECTED}


def test_another_pixel_order_changes_nothing(trained, dl1_file, shuffled_file):
    expected = predict_dl1([trained], dl1_file, ALL)["energy"]
    found = predict_dl1([trained], shuffled_file, ALL)["energy"]
    np.testing.assert_allclose(found["reco_energy"].value, expected["reco_energy"].value, rtol=1e-3)


def test_another_camera_is_not_predicted(trained, mixed_file):
    predictions = predict_dl1([trained], mixed_file, ALL)["energy"]
    other = predictions["tel_id"] == 2
    assert set(predictions["reason"][other]) == {predict.OTHER_CAMERA}
    assert not predictions["is_valid"][other].any()
    assert np.isnan(predictions["reco_energy"][other]).all()
    assert predictions["is_valid"][~other].all()


def test_file_that_fits_no_model_is_refused(trained, other_file):
    with pytest.raises(UserError, match=r"other\.dl1\.h5 cannot be reconstructed.*OtherCam"):
        predict_dl1([trained], other_file, ALL)


def test_model_that_fits_no_camera_of_the_file_is_refused(trained, mixed_file, other_file):
    """Beside one that does: its whole column would be empty, without a word."""
    (camera,) = cameras(other_file).values()
    of_camera = trained.card.camera.model_copy(update={"fingerprint": camera_fingerprint(camera)})

    def of_other_camera(task: str) -> TrainedModel:
        card = trained.card.model_copy(update={"task": task, "camera": of_camera})
        return replace(trained, card=card, camera=camera)

    other, beside = of_other_camera("type"), of_other_camera("energy")
    found = match_models([trained, other], mixed_file)
    assert sorted(tuple(by_task) for _, by_task in found.values()) == [("energy",), ("type",)]
    with pytest.raises(UserError, match=r"other\.dl1\.h5 cannot be reconstructed: energy\. .*OtherCam"):
        match_models([trained, other], other_file)
    (matched,) = match_models([trained, beside], other_file).values()
    assert matched[1]["energy"] is beside


def test_file_of_another_cleaning_is_refused(trained, dl1_file, tmp_path):
    path = Path(shutil.copy(dl1_file, tmp_path))
    write_settings(path, make_settings(DL1Parameters(cleaning={"picture_threshold_pe": 9}), calibrated=True))
    learnt = make_settings(DL1Parameters(), calibrated=True)
    model = replace(trained, card=trained.card.model_copy(update={"dl1_settings": learnt}))
    with pytest.raises(UserError, match=r"cleaning\.picture_threshold_pe 9.0 instead of 8.0"):
        predict_dl1([model], path, ALL)


def test_store_of_another_cleaning_is_refused(trained, store, monkeypatch):
    made = make_settings(DL1Parameters(cleaning={"picture_threshold_pe": 9}), calibrated=True)
    monkeypatch.setitem(store.provenance, "dl1_settings", made)
    learnt = make_settings(DL1Parameters(), calibrated=True)
    model = replace(trained, card=trained.card.model_copy(update={"dl1_settings": learnt}))
    with pytest.raises(UserError, match=r"cleaning\.picture_threshold_pe 9.0 instead of 8.0"):
        predict_store(model, store)


def test_no_model_is_an_error(dl1_file):
    with pytest.raises(UserError, match="no model"):
        predict_dl1([], dl1_file, ALL)
