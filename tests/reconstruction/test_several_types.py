"""One stereo model for telescopes of two types: trained, saved, and applied to stores and files."""

from dataclasses import replace

import numpy as np
import pytest
from ctapipe.io import TableLoader
from tests.store.toy_dl1 import ToyEvent, camera, geometry, subarray, write_dl1
from tests.store.toy_store import ALL, EVENTS, SMALL, mixed_array, two_types
from tests.untrained import untrained

from cherenkov_pipeline.dl1.convert import plan_dl1
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.models.card import ModelCard
from cherenkov_pipeline.models.export import OUTPUT, export_onnx, random_events, run_onnx
from cherenkov_pipeline.models.parameters import ModelParameters, PretrainedParameters
from cherenkov_pipeline.models.registry import SHAPE
from cherenkov_pipeline.models.saved import TrainedModel, load_model, save_model
from cherenkov_pipeline.performance.parameters import ComparisonParameters, EvaluationParameters
from cherenkov_pipeline.pipelines.comparison.nodes import choose_models_of, compare_models, predict_with_all
from cherenkov_pipeline.pipelines.evaluation.nodes import predict_test_events
from cherenkov_pipeline.pipelines.search.nodes import search_of
from cherenkov_pipeline.pipelines.training.nodes import training_of
from cherenkov_pipeline.reconstruction.dl2 import plan_dl2
from cherenkov_pipeline.reconstruction.measure import predict_and_measure
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.reconstruction.predict import OTHER_CAMERA
from cherenkov_pipeline.reconstruction.read import read_predictions
from cherenkov_pipeline.reconstruction.stereo import predict_stereo_dl1, predict_stereo_store
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.chunks import cameras
from cherenkov_pipeline.store.parameters import GivenInputs, InputParameters, SplitParameters, StoreParameters
from cherenkov_pipeline.store.part import StorePart
from cherenkov_pipeline.store.stereo import StereoBatches
from cherenkov_pipeline.training.ensemble_parameters import EnsembleParameters
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.search_parameters import SearchParameters
from cherenkov_pipeline.training.task import train_task

INPUTS = InputParameters(mode="stereo", channels=(), mapping=None, brightest=8, parameters=("hillas_width",))
MODEL = ModelParameters(
    name="stereo_set_network",
    options={"encoder": {"width": 4, "heads": 2, "exchanges": 1, "units": (4,)}, "units": (6,)},
    head={"options": {"units": ()}},
)
TYPES = ["SST_TOY_OtherCam", "SST_TOY_ToyCam"]
SEEN_BY = {event.event_id: event.tel_ids for event in EVENTS}
CAMERAS = {"large": {}, "small": SMALL}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return two_types(tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module")
def store(stores):
    return JoinedStores(list(stores.values()))


@pytest.fixture(scope="module")
def path(store):
    return store.provenance["inputs"][0]["path"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory, store):
    """Path of a model, and what it was before it was saved."""
    folder = tmp_path_factory.mktemp("model")
    trained = train_task(store, "energy", MODEL, INPUTS, TrainingParameters(epochs=2, batch_size=16), folder)
    assert len(trained.history) == 2
    rng = np.random.default_rng(0)
    for variable in trained.model.trainable_variables:  # every prediction depends on all of its images
        variable.assign(rng.normal(0, 0.3, variable.shape))
    save_model(trained, folder / "array.keras")
    return folder / "array.keras", trained


@pytest.fixture(scope="module")
def trained(saved) -> TrainedModel:
    return load_model(saved[0])


@pytest.fixture(scope="module")
def predicted(trained, store):
    return predict_stereo_store(trained, store, split=None)


@pytest.fixture(scope="module")
def of_one_type(tmp_path_factory, stores) -> TrainedModel:
    folder = tmp_path_factory.mktemp("of_one_type")
    return untrained(stores[TYPES[0]], "energy", MODEL, INPUTS, folder)


def by_event(table):
    return {int(row["event_id"]): row for row in table}


def energies(table):
    return {event_id: row["reco_energy"].value for event_id, row in by_event(table).items()}


def assert_same(one, two, **options):
    assert one.keys() == two.keys()
    np.testing.assert_allclose([one[key] for key in one], [two[key] for key in one], **{"rtol": 1e-4} | options)


def test_the_card_knows_all_cameras(trained, store):
    card = trained.card
    assert [(one.telescope_type, one.name, one.n_pixels) for one in card.cameras] == [
        (TYPES[0], "OtherCam", geometry(**SMALL).n_pixels),
        (TYPES[1], "ToyCam", geometry().n_pixels),
    ]
    assert [one.fingerprint for one in card.cameras] == [one.camera_fingerprint for one in store.stores]
    assert [one.name for one in trained.cameras] == ["OtherCam", "ToyCam"]
    assert card.telescope_types == {1: TYPES[1], 2: TYPES[0], 3: TYPES[1], 4: TYPES[0]}
    assert sorted(card.telescopes) == [1, 2, 3, 4]


def test_a_card_of_one_camera_is_read_as_before(trained):
    """Cards that were written before there were several know nothing of further cameras."""
    written = trained.card.model_dump(mode="json", exclude={"further_cameras", "telescope_types"})
    card = ModelCard.model_validate(written)
    assert card.cameras == (trained.card.camera,)
    assert card.telescope_types is None


def test_the_same_after_saving(saved, trained, store, predicted):
    assert saved[1].fingerprint == trained.fingerprint
    assert_same(energies(predict_stereo_store(saved[1], store, split=None)), energies(predicted), rtol=1e-5)


def test_every_event_has_a_row(predicted):
    assert by_event(predicted).keys() == SEEN_BY.keys()
    assert len(predicted) == len(SEEN_BY)
    assert predicted["is_valid"].all()
    for event_id, row in by_event(predicted).items():
        assert row["telescopes"].tolist() == [tel_id in SEEN_BY[event_id] for tel_id in (1, 2, 3, 4)]
    assert len(np.unique(predicted["reco_energy"])) > 0.8 * len(SEEN_BY)


def test_only_what_is_needed_is_read(trained, stores, predicted, monkeypatch):
    read, events = set(), StorePart.events

    def noted(part, names):
        read.update(names)
        return events(part, names)

    monkeypatch.setattr(StorePart, "events", noted)
    fresh = JoinedStores([EventStore(store.paths) for store in stores.values()])
    found = predict_stereo_store(trained, fresh, split=None)
    assert found.colnames == predicted.colnames
    assert {"hillas_width", "true_energy"} < read
    assert not read & {"hillas_length", "hillas_skewness", "timing_slope", "concentration_pixel"}


def test_inputs_are_those_of_the_training(trained, store, predicted):
    batches = StereoBatches(store, np.arange(len(store)), INPUTS, lambda table: table["event_id"], 7, shuffle=False)
    found = {}
    for number in range(len(batches)):
        inputs, event_ids = batches[number]
        outputs = np.asarray(trained.model.predict_on_batch(inputs))
        found |= dict(zip(map(int, event_ids), 10 ** outputs[:, 0], strict=True))
    assert_same(found, energies(predicted))


def test_order_of_the_types_does_not_count(trained, stores, predicted):
    other = JoinedStores(list(stores.values())[::-1])
    assert_same(energies(predict_stereo_store(trained, other, split=None)), energies(predicted), rtol=1e-6)


@pytest.mark.parametrize("chunk_size", [7, 2048])
def test_a_file_is_predicted_like_the_store(trained, path, predicted, chunk_size):
    found = predict_stereo_dl1([trained], path, ALL, chunk_size)["energy"]
    assert found["event_id"].tolist() == sorted(SEEN_BY)
    assert found.meta["tel_ids"] == [1, 2, 3, 4]
    # the store's pixels have half precision
    assert_same(energies(found), energies(predicted), rtol=0.02)
    for event_id, row in by_event(found).items():
        assert row["telescopes"].tolist() == by_event(predicted)[event_id]["telescopes"].tolist()


def test_events_of_one_type_are_the_same_without_the_other(trained, stores, store, predicted):
    """Whether the other type is absent from the event, or from the data altogether."""
    everything = energies(predicted)
    for telescope_type, own in ((TYPES[1], {1, 3}), (TYPES[0], {2, 4})):
        alone = energies(predict_stereo_store(trained, stores[telescope_type], split=None))
        unmixed = {event_id for event_id, tel_ids in SEEN_BY.items() if set(tel_ids) <= own}
        assert len(unmixed) >= 10
        assert_same({one: alone[one] for one in unmixed}, {one: everything[one] for one in unmixed})
        mixed = alone.keys() - unmixed
        assert np.mean([abs(alone[one] / everything[one] - 1) > 1e-4 for one in mixed]) > 0.8


def test_pixels_in_another_order(trained, path, tmp_path):
    order = {name: np.random.default_rng(0).permutation(geometry(**one).n_pixels) for name, one in CAMERAS.items()}
    array = subarray(
        {
            tel_id: camera(**CAMERAS[name], order=order[name])
            for tel_id, name in ((1, "large"), (2, "small"), (3, "large"), (4, "small"))
        }
    )
    shuffled = write_dl1(tmp_path / "shuffled.dl1.h5", array, EVENTS[:12])
    found, wanted = (energies(predict_stereo_dl1([trained], one, ALL)["energy"]) for one in (shuffled, path))
    assert_same(found, {event_id: wanted[event_id] for event_id in found}, rtol=1e-3)


def test_a_third_camera_counts_nothing(trained, path, tmp_path):
    """Its telescopes are no part of the model's array: images of it are left out, its events have their rows."""
    cameras = {1: camera(), 2: camera(**SMALL), 3: camera(), 4: camera(**SMALL), 5: camera(rings=5, name="Third")}
    events = [*EVENTS[:6], ToyEvent(1000, 3, tel_ids=(5,)), ToyEvent(1001, 4, tel_ids=(1, 5))]
    third = write_dl1(tmp_path / "third.dl1.h5", subarray(cameras), events)
    table = predict_stereo_dl1([trained], third, ALL)["energy"]
    rows = by_event(table)
    assert rows.keys() == {event.event_id for event in events}
    assert (rows[1000]["is_valid"], rows[1000]["reason"]) == (False, OTHER_CAMERA)
    assert rows[1001]["telescopes"].tolist() == [True, False, False, False, False]
    wanted = energies(predict_stereo_dl1([trained], path, ALL)["energy"])
    known = {event.event_id for event in EVENTS[:6]}
    assert_same({one: energies(table)[one] for one in known}, {one: wanted[one] for one in known}, rtol=1e-6)


@pytest.mark.parametrize("tel_ids", [(1, 3), pytest.param((2, 4), marks=pytest.mark.slow)])
def test_a_file_without_images_of_one_type(trained, path, tmp_path, tel_ids):
    """Whether its array has telescopes of the other type or not."""
    events = [event for event in EVENTS if set(event.tel_ids) <= set(tel_ids)]
    wanted = energies(predict_stereo_dl1([trained], path, ALL)["energy"])
    every = {tel_id: camera() if tel_id % 2 else camera(**SMALL) for tel_id in (1, 2, 3, 4)}
    for name, array in (("all", mixed_array()), ("some", subarray({one: every[one] for one in tel_ids}))):
        file = write_dl1(tmp_path / f"{name}.dl1.h5", array, events)
        assert len(cameras(file)) == 1
        table = predict_stereo_dl1([trained], file, ALL)["energy"]
        assert table.meta["tel_ids"] == sorted(array.tel)
        assert table["is_valid"].all()
        for event in events:
            used = by_event(table)[event.event_id]["telescopes"]
            assert used.tolist() == [one in event.tel_ids for one in sorted(array.tel)]
        assert_same(energies(table), {event.event_id: wanted[event.event_id] for event in events}, rtol=1e-4)


def test_a_model_of_all_types_goes_before_one_of_some(trained, of_one_type, path, tmp_path):
    """Else it would miss the images of the type that the other one is for."""
    wanted = predict_stereo_dl1([trained], path, ALL)["energy"]
    renamed = replace(of_one_type, card=of_one_type.card.model_copy(update={"name": "of_one_type"}))
    for models in ([renamed, trained], [trained, renamed]):
        found = predict_stereo_dl1(models, path, ALL)["energy"]
        np.testing.assert_array_equal(found["telescopes"], wanted["telescopes"])
        assert_same(energies(found), energies(wanted), rtol=1e-6)
    files = FileSet("dl1", ({"path": str(path)},))
    dl2 = run_plan(plan_dl2(files, [renamed, trained], ALL, ReconstructionParameters()), tmp_path)
    assert dl2.records[0]["stereo_models"] == {"energy": "stereo_set_network_energy"}


def test_files_that_do_not_fit(trained, tmp_path):
    for name, array, problem in (
        ("moved", mixed_array(distance=100), "telescope [1-4] stands [0-9]+ m from its place"),
        ("others", subarray({1: camera(rings=5, name="Third")}), "OtherCam and SST_TOY_ToyCam and does not fit"),
        ("exchanged", subarray({1: camera(**SMALL)}), f"telescope 1 is a {TYPES[0]} and was a {TYPES[1]}"),
    ):
        events = [ToyEvent(1, 1, tel_ids=tuple(array.tel)), ToyEvent(2, 2, tel_ids=(1,))]
        with pytest.raises(UserError, match=problem) as error:
            predict_stereo_dl1([trained], write_dl1(tmp_path / f"{name}.dl1.h5", array, events), ALL)
        assert "\n" not in str(error.value)


def test_what_is_for_one_type_is_refused(store, stores, saved, tmp_path):
    training = TrainingParameters(epochs=1)
    with pytest.raises(UserError, match="set_network reads images one by one"):
        train_task(store, "energy", ModelParameters(name="set_network"), InputParameters(), training, tmp_path)
    with pytest.raises(UserError, match="cameradirection is a place in one camera"):
        train_task(store, "cameradirection", MODEL, INPUTS, training, tmp_path)
    begun = PretrainedParameters(path=str(saved[0]), prefixes=["backbone_array_telescope"])
    model = MODEL.model_copy(update={"pretrained": begun})
    with pytest.raises(UserError, match=f"was trained on {TYPES[0]}, {TYPES[1]}, but .* has {TYPES[1]}"):
        train_task(stores[TYPES[1]], "energy", model, INPUTS, training, tmp_path)


@pytest.mark.slow
def test_pretrained_by_a_model_of_the_same_types(store, saved, tmp_path):
    other = load_model(saved[0])
    scales = other.model.get_layer("input_parameters")
    scales.mean = [[value + 0.25 for value in one] for one in scales.mean]
    save_model(other, tmp_path / "begun.keras")
    begun = PretrainedParameters(path=str(tmp_path / "begun.keras"), prefixes=["backbone_"], freeze=["backbone_"])
    model = MODEL.model_copy(update={"pretrained": begun})
    trained = train_task(store, "energy", model, INPUTS, TrainingParameters(epochs=1), tmp_path)
    name = "backbone_array_telescope_1"
    for one, two in zip(*(net.get_layer(name).get_weights() for net in (trained.model, saved[1].model)), strict=True):
        np.testing.assert_array_equal(one, two)
    assert trained.model.get_layer("input_parameters").mean == scales.mean
    assert scales.mean != saved[1].model.get_layer("input_parameters").mean


def test_each_type_is_scaled_by_itself(saved, store):
    """On all training events, by hand: there are fewer than a sample of the scales."""
    layer, table = saved[1].model.get_layer("input_parameters"), store.table
    is_train = np.asarray(table["split"]) == 0
    for number, telescope_type in enumerate(TYPES):
        of_type = [store.telescope_types[int(tel_id)] == telescope_type for tel_id in table["tel_id"]]
        values = np.asarray(table["hillas_width"])[is_train & of_type]
        assert layer.mean[number] == pytest.approx([values.mean()], rel=1e-4)
        assert layer.deviation[number] == pytest.approx([values.std()], rel=1e-3)
    assert layer.mean[0] != layer.mean[1]


def test_test_events_with_their_cost(trained, store):
    predictions, cost = predict_and_measure(trained, store, "test")
    assert cost["n_events"] == len(predictions) == len(np.unique(store.columns(["event_id"])[store.indices("test")]))


def test_no_test_events(trained, store, monkeypatch):
    monkeypatch.setattr(JoinedStores, "indices", lambda *_: np.zeros(0, dtype=int))
    with pytest.raises(UserError, match="no test events"):
        predict_and_measure(trained, store, "test")


@pytest.mark.slow
def test_onnx(trained, store, tmp_path):
    types = random_events(trained.model, 50)["telescope_types"]
    assert types.shape == (50, 4, 2)
    assert set(np.unique(types)) == {0, 1}
    np.testing.assert_array_equal(types.sum(axis=-1), 1)
    assert types.any(axis=(0, 1)).all()
    exported = export_onnx(trained.model, tmp_path / "array.onnx", trained.card)
    batches = StereoBatches(store, np.arange(len(store)), INPUTS, lambda table: table["event_id"], 60, shuffle=False)
    inputs, _ = batches[0]
    expected = np.asarray(trained.model.predict_on_batch(inputs))
    np.testing.assert_allclose(run_onnx(exported, inputs)[OUTPUT], expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0


def test_dl2_files(trained, path, tmp_path):
    files = FileSet("dl1", ({"path": str(path)},))
    dl2 = run_plan(plan_dl2(files, [trained], ALL, ReconstructionParameters(prefix="toy")), tmp_path)
    assert dl2.records[0]["stereo_models"] == {"energy": "toy_energy"}
    wanted = energies(predict_stereo_dl1([trained], path, ALL)["energy"])
    found = energies(read_predictions(dl2))
    assert_same({key: found[key] for key in wanted}, wanted)
    with TableLoader(dl2.paths[0], focal_length_choice="EQUIVALENT") as loader:
        events = loader.read_subarray_events()
    assert {int(row["event_id"]): tuple(np.flatnonzero(row["toy_energy_telescopes"]) + 1) for row in events} == {
        event_id: tuple(sorted(tel_ids)) for event_id, tel_ids in SEEN_BY.items()
    }


@pytest.mark.slow
def test_telescopes_of_two_sizes_in_real_files(test_data, tmp_path):
    """LST and NectarCam images of sim_telarray files, from raw data to DL2."""
    folder = test_data / "simtel"
    raw = [file for name in ("gamma_diffuse*", "proton_run*") for file in find_inputs(folder / name)]
    dl1 = run_plan(plan_dl1(raw, DL1Parameters(n_workers=1)), tmp_path / "dl1")
    # a gamma and a proton on each side
    split = SplitParameters(train=0.5, validation=0.5, test=0, seed=10)
    built = run_plan(plan_store(dl1, ALL, StoreParameters(n_workers=1, split=split)), tmp_path / "store")
    paths: dict[str, list[str]] = {}
    for record in built.records:
        paths.setdefault(record["telescope_type"], []).append(record["path"])
    joined = JoinedStores([EventStore(parts) for parts in paths.values()])
    assert [one.telescope_type.split("_")[0] for one in joined.stores] == ["LST", "MST"]
    inputs = INPUTS.model_copy(update={"parameters": SHAPE})
    training = TrainingParameters(epochs=2, batch_size=2)
    trained = train_task(joined, "energy+type", MODEL, inputs, training, tmp_path / "states")
    table = predict_stereo_store(trained, joined, split=None)
    assert np.isfinite(table["reco_energy"].value).all()
    of_lst = np.isin(table.meta["tel_ids"], joined.stores[0].telescopes["tel_id"])
    both = table["telescopes"][:, of_lst].any(axis=1) & table["telescopes"][:, ~of_lst].any(axis=1)
    assert set(table["event_id"][both]) == {403, 500, 4312}
    dl2 = run_plan(plan_dl2(dl1, [trained], ALL, ReconstructionParameters()), tmp_path / "dl2")
    valid = read_predictions(dl2)
    valid = valid[valid["is_valid"]]
    keys = ("true_shower_primary_id", "event_id")
    wanted = {tuple(int(row[key]) for key in keys): row["gammaness"] for row in table}
    found = {tuple(int(row[key]) for key in keys): row["gammaness"] for row in valid}
    assert_same(found, {key: wanted[key] for key in found}, atol=0.02)
    assert len(found) == len(table)


@pytest.mark.slow
def test_nodes_of_the_pipelines(stores, tmp_path):
    """From the catalog's stores of all types: training of an ensemble, evaluation, search."""
    given = GivenInputs.model_validate({"brightest": 8, "parameters": ["hillas_width"]})
    training = TrainingParameters(epochs=1)
    members = EnsembleParameters(members=2)
    trained = training_of("skydirection")(stores, MODEL, given, training, members, tmp_path / "states", None)
    assert [one.name for one in trained.cameras] == ["OtherCam", "ToyCam"]
    predictions, _ = predict_test_events(stores, trained)
    assert np.isfinite(predictions["reco_alt"]).all()
    assert predictions["telescopes"].any(axis=0).all()
    search = SearchParameters.model_validate({"n_trials": 1, "space": {"training.batch_size": {"values": [8, 16]}}})
    trials, _ = search_of("energy", "energy")(stores, MODEL, given, training, search, tmp_path / "search", None)
    assert trials["state"].tolist() == ["finished"]
    with pytest.raises(UserError, match=r"^The event stores hold .* all pixels is for one of them: .*$"):
        training_of("energy")(
            stores, ModelParameters(name="cnn_rnn"), None, training, EnsembleParameters(), tmp_path / "states", None
        )


@pytest.mark.slow
def test_models_of_several_types_are_compared(saved, stores, store, predicted, tmp_path):
    other = train_task(store, "energy", MODEL, INPUTS, TrainingParameters(epochs=1, seed=1), tmp_path / "states")
    save_model(other, tmp_path / "other.keras")
    models = {"one": str(saved[0]), "other": str(tmp_path / "other.keras")}
    choose = choose_models_of("energy")
    with pytest.raises(UserError, match="two models or more, and there is none"):
        choose(stores, {}, ComparisonParameters(), None)
    candidates = choose(stores, {}, ComparisonParameters(models=models), None)
    predictions, costs, histories = predict_with_all(stores, candidates)
    assert sorted(costs["model"]) == ["one", "other"]
    own = predictions[predictions["model"] == "one"]
    assert_same(energies(own), {key: energies(predicted)[key] for key in map(int, own["event_id"])})
    evaluation = EvaluationParameters(resamples=100, minimum_events=2)
    metrics, *_, summary = compare_models(candidates, predictions, costs, histories, evaluation)
    assert set(metrics["model"]) == {"one", "other"}
    assert "other" in summary
