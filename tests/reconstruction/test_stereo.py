import numpy as np
import pytest
from tests.store.toy_dl1 import ToyEvent, camera, geometry, subarray, write_dl1
from tests.store.toy_store import ALL, build
from tests.untrained import untrained

from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel, load_model, save_model
from cherenkov_pipeline.reconstruction.predict import NO_SIGNAL, NOT_SELECTED, OTHER_CAMERA
from cherenkov_pipeline.reconstruction.stereo import TOO_FEW, is_stereo, predict_stereo_dl1, predict_stereo_store
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.store.stereo import StereoBatches

INPUTS = InputParameters(
    mode="stereo", channels=(), mapping=None, brightest=8, parameters=("hillas_width",), min_telescopes=2
)
MODEL = ModelParameters(
    name="stereo_set_network",
    options={"encoder": {"width": 4, "heads": 2, "exchanges": 1, "units": (4,)}, "units": (6,)},
    head={"options": {"units": ()}},
)
EVENTS = [ToyEvent(200 - 3 * number, number, tel_ids=((1, 2), (2, 1), (1,), (2,))[number % 4]) for number in range(60)]
BOTH = {event.event_id for event in EVENTS if len(event.tel_ids) == 2}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    array = subarray({1: camera(), 2: camera()})
    return write_dl1(tmp_path_factory.mktemp("dl1") / "gamma.dl1.h5", array, EVENTS)


@pytest.fixture(scope="module")
def store(tmp_path_factory, path) -> EventStore:
    return build(tmp_path_factory.mktemp("store"), path)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, store) -> TrainedModel:
    folder = tmp_path_factory.mktemp("model")
    save_model(untrained(store, "energy", MODEL, INPUTS, folder), folder / "stereo.keras")
    return load_model(folder / "stereo.keras")


@pytest.fixture(scope="module")
def predicted(trained, store):
    return predict_stereo_store(trained, store, split=None)


def by_event(table):
    return {int(row["event_id"]): row for row in table}


def test_the_card_knows_the_array(trained):
    assert is_stereo(trained)
    assert trained.card.telescopes == {1: (70, 0, 0), 2: (140, 0, 0)}


def test_every_event_has_a_row(predicted):
    assert sorted(predicted["event_id"]) == sorted(event.event_id for event in EVENTS)
    for row in predicted:
        enough = row["event_id"] in BOTH
        assert row["is_valid"] == enough == np.isfinite(row["reco_energy"])
        assert row["reason"] == ("" if enough else TOO_FEW)
        assert row["n_telescopes"] == row["telescopes"].sum() == 1 + enough
    assert len(np.unique(predicted["reco_energy"][predicted["is_valid"]])) > 0.8 * len(BOTH)
    assert predicted.meta["tel_ids"] == [1, 2]
    assert set(predicted["production"]) == {"gamma"}
    assert "tel_id" not in predicted.colnames


def test_inputs_are_those_of_the_training(trained, store, predicted):
    batches = StereoBatches(store, np.arange(len(store)), INPUTS, lambda table: table["event_id"], 7, shuffle=False)
    rows = by_event(predicted)
    for number in range(len(batches)):
        inputs, event_ids = batches[number]
        outputs = np.asarray(trained.model.predict_on_batch(inputs))
        for event_id, output in zip(event_ids, outputs, strict=True):
            assert rows[int(event_id)]["reco_energy"].value == pytest.approx(10 ** output[0], rel=1e-4)


@pytest.mark.parametrize("chunk_size", [1, 7, 2048])
def test_a_file_is_predicted_like_the_store(trained, path, predicted, chunk_size):
    found = predict_stereo_dl1([trained], path, ALL, chunk_size)["energy"]
    assert found["event_id"].tolist() == sorted(found["event_id"])
    wanted, rows = by_event(predicted), by_event(found)
    assert rows.keys() == wanted.keys()
    for event_id, row in rows.items():
        for name in ("is_valid", "reason", "n_telescopes"):
            assert row[name] == wanted[event_id][name]
        # the store's pixels have half precision
        assert row["reco_energy"].value == pytest.approx(wanted[event_id]["reco_energy"].value, rel=0.02, nan_ok=True)
        assert row["hillas_intensity"] == pytest.approx(wanted[event_id]["hillas_intensity"], rel=1e-4)


def test_the_core_of_an_event_is_seen_from_the_origin(store, path, tmp_path, monkeypatch):
    core = untrained(store, "core", MODEL, INPUTS, tmp_path)
    monkeypatch.setattr(core.model, "predict_on_batch", lambda inputs: np.zeros((len(inputs["telescopes"]), 4)))
    for found in (predict_stereo_store(core, store, None), predict_stereo_dl1([core], path, ALL)["core"]):
        places = [found[f"reco_core_{axis}"][found["is_valid"]].to_value("m") for axis in "xy"]
        assert len(places[0]) == len(BOTH)
        np.testing.assert_allclose(places, 0, atol=1e-9)


def test_light_of_all_telescopes(store, predicted):
    table = store.table
    for event_id, row in by_event(predicted).items():
        own = np.asarray(table["event_id"]) == event_id
        assert row["hillas_intensity"] == pytest.approx(np.asarray(table["hillas_intensity"])[own].sum(), rel=1e-5)


def test_images_that_are_cut_count_as_absent(trained, path):
    everything = by_event(predict_stereo_dl1([trained], path, ALL)["energy"])
    selection = SelectionParameters(quality={"one side": "hillas_fov_lon > 0"})
    reasons = {}
    for event_id, row in by_event(predict_stereo_dl1([trained], path, selection)["energy"]).items():
        used = row["telescopes"].sum()
        assert row["is_valid"] == (used == 2)
        if row["is_valid"]:
            # in another batch, sums come in another order
            assert row["reco_energy"].value == pytest.approx(everything[event_id]["reco_energy"].value, rel=1e-5)
            assert row["hillas_intensity"] == everything[event_id]["hillas_intensity"]
        reasons.setdefault(row["reason"], set()).add(int(used))
    assert reasons == {"": {2}, TOO_FEW: {1}, NOT_SELECTED: {0}}


def test_events_without_light(trained, tmp_path):
    faint = [ToyEvent(1, 1), ToyEvent(2, 2)]
    path = write_dl1(tmp_path / "faint.dl1.h5", subarray({1: camera(), 2: camera()}), faint)
    cleaned_away = _without_masks(path)
    table = predict_stereo_dl1([trained], cleaned_away, ALL)["energy"]
    assert set(table["reason"]) == {NO_SIGNAL}
    assert not table["telescopes"].any()


def test_pixels_in_another_order(trained, path, tmp_path):
    order = np.random.default_rng(0).permutation(geometry().n_pixels)
    array = subarray({1: camera(order=order), 2: camera(order=order)})
    shuffled = write_dl1(tmp_path / "shuffled.dl1.h5", array, EVENTS)
    tables = [predict_stereo_dl1([trained], one, ALL)["energy"] for one in (path, shuffled)]
    np.testing.assert_allclose(*(table["reco_energy"].value for table in tables), rtol=1e-3)


def test_another_camera_in_the_same_array(trained, tmp_path):
    """Its images are no reason to give an event two rows."""
    array = subarray({1: camera(), 2: camera(rings=8, name="OtherCam")})
    mixed = write_dl1(tmp_path / "mixed.dl1.h5", array, EVENTS)
    table = predict_stereo_dl1([trained], mixed, ALL)["energy"]
    assert table["event_id"].tolist() == sorted(event.event_id for event in EVENTS)
    assert table.meta["tel_ids"] == [1, 2]
    assert not table["is_valid"].any()
    alone = {event.event_id for event in EVENTS if event.tel_ids == (2,)}
    for row in table:
        assert row["reason"] == (OTHER_CAMERA if row["event_id"] in alone else TOO_FEW)
        assert row["telescopes"].tolist() == [row["event_id"] not in alone, False]


def test_another_array(trained, tmp_path):
    for name, array, problem in (
        ("moved", subarray({1: camera(), 2: camera()}, distance=100), "telescope 1 stands 30 m from its place"),
        ("larger", subarray({tel_id: camera() for tel_id in (1, 2, 3)}), "telescope 3 is not among those"),
    ):
        other = write_dl1(tmp_path / f"{name}.dl1.h5", array, EVENTS[:2])
        with pytest.raises(UserError, match=problem):
            predict_stereo_dl1([trained], other, ALL)
        with pytest.raises(UserError, match=problem):
            predict_stereo_store(trained, build(tmp_path / name, other)[0], split=None)


def test_models_of_single_telescopes_are_left_out(trained, path):
    card = trained.card.model_copy(update={"inputs": {**trained.card.inputs, "mode": "mono"}})
    mono = TrainedModel(trained.model, card, trained.history, trained.camera)
    assert predict_stereo_dl1([mono], path, ALL) == {}


def _without_masks(path):
    """Let no pixel survive the cleaning."""
    import tables

    with tables.open_file(path, "a") as file:
        for table in file.root.dl1.event.telescope.images:
            table.modify_column(column=np.zeros_like(table.col("image_mask")), colname="image_mask")
    return path


def test_light_is_that_of_the_images_that_are_used(trained, path):
    everything = by_event(predict_stereo_dl1([trained], path, ALL)["energy"])
    selection = SelectionParameters(quality={"one side": "hillas_fov_lon > 0"})
    shares = {}
    for event_id, row in by_event(predict_stereo_dl1([trained], path, selection)["energy"]).items():
        if event_id in BOTH:
            shares.setdefault(int(row["telescopes"].sum()), []).append(
                row["hillas_intensity"] / everything[event_id]["hillas_intensity"]
            )
    assert len(shares[1]) > 3
    assert max(shares[1]) < 1
    assert set(shares[0]) == set(shares[2]) == {1}
