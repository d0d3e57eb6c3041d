"""Options of `train_task` on toy showers: several tasks, stereo, weights, calibration, small samples."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tests.training.toy_showers import ALTITUDE, shower_store

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.likelihoods.joint import parse
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import REGISTRY, ModelEntry
from cherenkov_pipeline.models.saved import load_model, save_model
from cherenkov_pipeline.reconstruction.predict import predict_store
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.tasks import get_task
from cherenkov_pipeline.training import trainer
from cherenkov_pipeline.training.checks import check_effects
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
from cherenkov_pipeline.training.task import task_batches, train_task, with_loss_weights

SMALL = {"options": {"filters": [4], "pooling": "average"}, "head": {"options": {"units": [8]}}}
MODEL = ModelParameters(name="single_tel", **SMALL)
INPUTS = input_parameters(MODEL, {"mapping": "square"})
SHORT = {"epochs": 1, "batch_size": 32}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shower_store(tmp_path_factory.mktemp("showers") / "toy.store.h5", 200)


def train(store, folder, task="energy", model=MODEL, inputs=INPUTS, **training):
    return train_task(store, task, model, inputs, TrainingParameters(**SHORT | training), folder / "states")


@pytest.fixture(scope="module")
def energy(store, tmp_path_factory):
    """A short training of the energy, and its folder, which tests copy."""
    folder = tmp_path_factory.mktemp("energy")
    return train(store, folder), folder


@pytest.fixture(scope="module")
def particle(store, tmp_path_factory):
    """A short training of the type, and its folder, which tests copy."""
    folder = tmp_path_factory.mktemp("particle")
    return train(store, folder, "type"), folder


class BegunError(Exception):
    pass


def outputs(trained, store, split="validation"):
    inputs = InputParameters.model_validate(trained.card.inputs)
    batches = task_batches(store, get_task(trained.card.task), inputs, TrainingParameters(), split)
    return np.concatenate([trained.model.predict_on_batch(batches[number][0]) for number in range(len(batches))])


def test_a_validation_set_smaller_than_a_batch_saves_a_model(tmp_path):
    """Peers' fault 4: there the training "succeeds" and no model is saved."""
    store = shower_store(tmp_path / "toy.store.h5", 40)
    trained = train(store, tmp_path, batch_size=1000, augmentation={"mirror": True})
    assert trained.card.data.n_validation == 5
    assert np.isfinite(trained.card.metrics["val_loss"])
    save_model(trained, tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(outputs(again, store), outputs(trained, store), rtol=1e-5)


def test_what_is_in_the_folder_of_the_states_stays(store, energy, tmp_path):
    """Peers' fault 10: there an existing output directory is deleted without asking."""
    shutil.copytree(energy[1], tmp_path, dirs_exist_ok=True)
    (folder,) = (tmp_path / "states").iterdir()
    foreign = [tmp_path / "states" / "thesis.txt", folder / "notes.txt", folder / "figures" / "loss.png"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    train(store, tmp_path, resume=False)
    train(store, tmp_path, seed=1)
    assert all(path.read_text() == "mine" for path in foreign)
    assert len([path for path in (tmp_path / "states").iterdir() if path.is_dir()]) == 2


def test_several_tasks_in_one_network(store, tmp_path):
    trained = train(store, tmp_path, "energy+type+skydirection")
    assert trained.card.inputs["shower_frame"] is True
    assert trained.card.data.n_train == 140  # protons teach the type
    assert {"0.factor_places", "1.temperature", "2.temperature"} <= set(trained.card.training["calibration"])
    learned = next(weight for weight in trained.model.weights if weight.name == "log_variances")
    assert np.abs(keras.ops.convert_to_numpy(learned)).max() > 0


def test_protons_do_not_teach_the_energy(store, tmp_path):
    """With a target of the protons that is nonsense, the network of the energy and type stays the same."""
    target = task_batches(store, get_task("energy+type"), INPUTS, TrainingParameters(), "train").targets
    assert np.isnan(target[:, 0]).sum() == (target[:, 1] == 0).sum() > 0
    weights = []
    for factor in (1, 1000):
        other = shower_store(tmp_path / f"{factor}.store.h5", 60)
        energy = np.array(other.columns(["true_energy"])["true_energy"])
        energy[np.asarray(other.table["true_shower_primary_id"]) == 101] *= factor
        other._columns["true_energy"] = other._columns["true_energy"].copy()
        other._columns["true_energy"][:] = energy
        trained = train(other, tmp_path / str(factor), "energy+type", deterministic=True, calibrate=False)
        weights.append(trained.model.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_given_loss_weights(store, tmp_path):
    heavy, light = (
        train(store, tmp_path, "energy+type", loss_weights={"type": weight}, seed=2).card.metrics
        for weight in (100.0, 0.01)
    )
    assert heavy["loss"] > 10 * light["loss"]
    task = with_loss_weights(get_task("energy+type"), TrainingParameters(loss_weights={"energy": 3e-9, "type": 1 / 3}))
    assert [part.weight for part in parse(task.likelihood)] == [3e-9, 1 / 3]
    with pytest.raises(UserError, match="loss_weights names type, but of energy, it is one task"):
        train(store, tmp_path, loss_weights={"type": 1})
    with pytest.raises(UserError, match="names xmax, but of energy\\+type, it has energy, type"):
        train(store, tmp_path, "energy+type", loss_weights={"xmax": 1})


def test_events_of_several_telescopes(tmp_path, monkeypatch):
    entry = ModelEntry(f"{__name__}:mean_of_telescopes", REGISTRY["single_tel"].options, "toy", mode="stereo")
    monkeypatch.setitem(REGISTRY, "toy", entry)
    monkeypatch.setattr("cherenkov_pipeline.models.build.resolve", _resolve)
    store = shower_store(tmp_path / "two.store.h5", 80, n_telescopes=2)
    model = ModelParameters(name="toy", head={"options": {"units": [8]}})
    inputs = input_parameters(model, {"mapping": "square"})
    trained = train(store, tmp_path, "skydirection", model, inputs)
    assert trained.model.output_shape == (None, 3)  # a point, no head and tail
    assert trained.card.data.n_train == len(store.indices("train", ("gamma",))) // 2  # events, not images
    assert trained.card.inputs["shower_frame"] is False
    with pytest.raises(UserError, match="cannot be mirrored or turned"):
        train(store, tmp_path, "skydirection", model, inputs, augmentation={"mirror": True})
    train(store, tmp_path, "skydirection", model, inputs, augmentation={"night_sky": 2})


def _resolve(name, entries, options):
    from cherenkov_pipeline.models.registry import resolve

    return (lambda inputs, **_: mean_of_telescopes(inputs)) if name == "toy" else resolve(name, entries, options)


def mean_of_telescopes(inputs):
    means = keras.layers.Flatten()(keras.ops.mean(inputs["image"], axis=(2, 3)))
    return keras.layers.Concatenate()([means, keras.layers.Flatten()(inputs["positions"])])


@pytest.mark.parametrize("task", ["energy", "type", "skydirection"])
def test_trees_are_grown_where_the_model_wants_it(store, tmp_path, task):
    trees = {"n_trees_regression": 5, "n_trees_classification": 5}
    model = ModelParameters(name="random_forest", options=trees)
    weights = {"spectra": {"gamma": {"target": -2.5, "simulated": -1}}}
    trained = train(store, tmp_path, task, model, input_parameters(model), weights=weights)
    assert trained.card.training["parameters"]["weights"]["spectra"]["gamma"]["target"] == -2.5
    assert trained.card.data.n_train == len(store.indices("train", ("gamma",) if task != "type" else None))
    save_model(trained, tmp_path / "forest.keras")
    predictions = predict_store(load_model(tmp_path / "forest.keras"), store, "test")
    assert predictions["is_valid"].all()


def test_options_of_networks_are_refused_where_trees_grow(store, tmp_path):
    model = ModelParameters(name="random_forest")
    for options in ({"augmentation": {"mirror": True}}, {"fraction": 0.5}, {"precision": "mixed_bfloat16"}):
        with pytest.raises(UserError, match=f"training.{next(iter(options))} has no effect on random_forest"):
            train(store, tmp_path, "energy", model, input_parameters(model), **options)
    for name, given in (("pretrained", {"path": "old.keras"}), ("head", {"options": {"units": [3]}})):
        other = ModelParameters(name="random_forest", **{name: given})
        with pytest.raises(UserError, match=f"model.{name} has no effect on random_forest"):
            train(store, tmp_path, "energy", other, input_parameters(model))
    for name, given in (("channels", ["image"]), ("brightest", 8)):
        with pytest.raises(UserError, match=f"input.{name} has no effect on random_forest"):
            train(store, tmp_path, "energy", model, input_parameters(model, {name: given}))
    with pytest.raises(UserError, match="random_forest is for mono input"):
        train(store, tmp_path, "energy", model, input_parameters(model, {"mode": "stereo"}))


@pytest.mark.parametrize(
    ("name", "options", "given", "message"),
    [
        ("set_network", {}, {"mapping": "bilinear", "size": 96}, "input.mapping has no effect without input.channels"),
        ("set_network", {}, {"mapping": "axial", "map_in": "network"}, "input.map_in has no effect without"),
        ("variable_input", {"array_filters": [4]}, {}, 'array_filters has no effect with combination: "vectors"'),
        ("resnet", {"attention": None, "attention_ratio": 4}, {}, "attention_ratio has no effect with attention: null"),
    ],
)
def test_options_without_effect_are_refused(store, tmp_path, name, options, given, message):
    model = ModelParameters(name=name, options=options)
    with pytest.raises(UserError, match=message):
        train(store, tmp_path, "energy", model, input_parameters(model, given))
    assert not (tmp_path / "states").exists()


def test_what_a_head_without_layers_cannot_do_is_refused(store, tmp_path):
    model = ModelParameters(name="set_network", head={"options": {"dropout": 0.3}})
    with pytest.raises(UserError, match=r"model.head.options.dropout has no effect without units"):
        train(store, tmp_path, "energy", model, input_parameters(model))
    check_effects(bare := ModelParameters(name="cnn_rnn", head={"options": {"units": []}}), input_parameters(bare))


def test_the_brightest_image_is_found_in_a_charge(store, tmp_path):
    model = ModelParameters(name="cnn_rnn")
    inputs = input_parameters(model, {"channels": ["cleaned_relative_peak_time", "cleaned_image"]})
    with pytest.raises(UserError, match=r"first channel, which is cleaned_relative_peak_time.*order to given"):
        train(store, tmp_path, "energy", model, inputs)
    check_effects(model, inputs.model_copy(update={"channels": (), "mapping": None}))  # another check's business


def test_weights_reach_the_loss(store, tmp_path, monkeypatch):
    seen = {}

    def remember(self, training, **options):
        seen.update(training=training, validation=options["validation_data"])
        raise BegunError

    monkeypatch.setattr(keras.Model, "fit", remember)
    with pytest.raises(BegunError):
        train(store, tmp_path, "type", weights={"classes": {"proton": 5.0}})
    for batches in seen.values():
        _, targets, weights = batches[0]
        np.testing.assert_allclose(
            weights[targets[:, 0] == 0].mean() / weights[targets[:, 0] == 1].mean(), 5, rtol=1e-5
        )
    seen.clear()
    with pytest.raises(BegunError):
        train(store, tmp_path, "type")
    assert len(seen["training"][0]) == 2


def test_validation_events_are_neither_changed_nor_left_out(store):
    training = TrainingParameters(augmentation={"mirror": True, "night_sky": 3}, fraction=0.3, batch_size=500)
    plain, changed = (
        task_batches(store, get_task("skydirection"), INPUTS, parameters, "validation")
        for parameters in (TrainingParameters(batch_size=500), training)
    )
    np.testing.assert_array_equal(plain[0][0]["image"], changed[0][0]["image"])
    np.testing.assert_array_equal(plain[0][1], changed[0][1])
    assert task_batches(store, get_task("skydirection"), INPUTS, training, "train").n_events == 28


def test_the_core_is_mirrored_with_the_image(store):
    task, rows = get_task("core"), store.indices("train", ("gamma",))
    training = TrainingParameters(augmentation={"mirror": True}, batch_size=500)
    ((inputs, targets),) = task_batches(store, task, INPUTS, training, "train")
    ((plain, seen),) = task_batches(store, task, INPUTS, TrainingParameters(batch_size=500), "train")
    mirrored = ~np.isclose(inputs["image"], plain["image"], atol=1e-3).all(axis=(1, 2, 3))
    assert 0.3 * len(rows) < mirrored.sum() < 0.7 * len(rows)
    np.testing.assert_allclose(targets, np.where(mirrored[:, np.newaxis], seen * [-1, 1], seen), rtol=1e-5)


def test_the_core_of_an_event_is_seen_from_the_origin(tmp_path):
    """Of a telescope alone it is seen from there: here 100 m further north, and the pointing is to the north."""
    store = shower_store(tmp_path / "two.store.h5", 40, n_telescopes=2)
    task = get_task("core")
    inputs = input_parameters(ModelParameters(name="stereo_set_network"), {"parameters": []})
    training = TrainingParameters(batch_size=500)
    ((_, events),) = task_batches(store, task, inputs, training, "validation")
    ((_, images),) = task_batches(store, task, INPUTS, training, "validation")
    moved = [[0, 0], [0, np.sin(np.deg2rad(ALTITUDE)) * 100]]
    np.testing.assert_allclose(images.reshape(-1, 2, 2) - events[:, np.newaxis], np.tile(moved, (len(events), 1, 1)))


def test_calibration_is_done_once_and_can_be_left_out(store, particle, tmp_path, monkeypatch):
    first, folder = particle
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    made = []
    calibrate = trainer.calibrate_model
    monkeypatch.setattr(trainer, "calibrate_model", lambda *arguments: made.append(1) or calibrate(*arguments))
    second = train(store, tmp_path, "type")
    assert not made
    assert first.card == second.card
    np.testing.assert_array_equal(outputs(first, store), outputs(second, store))
    without = train(store, tmp_path, "type", calibrate=False)
    assert not made
    assert without.card.training["calibration"] == {}
    again = train(store, tmp_path, "type", resume=False)
    assert len(made) == 1
    assert again.card.training["calibration"] == first.card.training["calibration"]


def test_a_calibration_that_was_cut_off_is_made_again(store, particle, tmp_path):
    first, folder = particle
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.glob("states/*/calibration.npz")
    path.write_bytes(path.read_bytes()[:40])
    assert train(store, tmp_path, "type").card.training["calibration"] == first.card.training["calibration"]


@pytest.mark.parametrize("precision", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_mixed_precision_gives_a_model_in_single_precision(store, tmp_path, precision):
    single = train(store, tmp_path, calibrate=False)
    mixed = train(store, tmp_path, calibrate=False, precision=precision)
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in mixed.model.layers} == {"float32"}
    assert outputs(mixed, store).dtype == np.float32
    assert mixed.card.metrics["val_loss"] == pytest.approx(single.card.metrics["val_loss"], rel=0.05)
    assert mixed.card.metrics["val_loss"] != single.card.metrics["val_loss"]


def test_an_old_backbone_is_frozen_or_moves_slowly(store, energy, tmp_path):
    old = save_model(energy[0], tmp_path / "old.keras").model

    def moved(**options):
        model = ModelParameters(name="single_tel", pretrained={"path": str(tmp_path / "old.keras"), **options}, **SMALL)
        trained = train(store, tmp_path, "type", model, optimizer={"learning_rate": 0.01})
        layer = "backbone_convolution_1"
        new, before = (one.get_layer(layer).get_weights()[0] for one in (trained.model, old))
        return np.abs(new - before).max()

    assert moved(freeze=["backbone_"]) == 0
    slow, fast = moved(learning_rate_factors={"backbone_": 0.01}), moved()
    assert 0 < slow < 0.05 * fast


def test_another_old_backbone_is_another_training(store, energy, tmp_path, monkeypatch):
    save_model(energy[0], tmp_path / "0" / "old.keras")
    other = load_model(tmp_path / "0" / "old.keras")
    other.model.set_weights([2 * weight for weight in other.model.get_weights()])
    save_model(other, tmp_path / "1" / "old.keras")
    folders = []

    def begin(*arguments, **options):
        folders.append(arguments[5])
        raise BegunError

    monkeypatch.setattr("cherenkov_pipeline.training.task.train", begin)
    for path in ("0/old.keras", "1/old.keras", "0/old.keras"):
        model = ModelParameters(name="single_tel", pretrained={"path": str(tmp_path / path)}, **SMALL)
        with pytest.raises(BegunError):
            train(store, tmp_path / "new", "type", model)
    assert folders[0] == folders[2] != folders[1]


def test_an_old_backbone_of_another_split_may_know_the_test_events(store, energy, tmp_path):
    trained = energy[0]
    data = trained.card.data.model_copy(update={"split": {**trained.card.data.split, "seed": 5}})
    old = save_model(replace(trained, card=trained.card.model_copy(update={"data": data})), tmp_path / "old.keras")
    model = ModelParameters(name="single_tel", pretrained={"path": str(tmp_path / "old.keras")}, **SMALL)
    with pytest.raises(UserError, match=r"split otherwise than the training data .*old\.keras \(seed 0 instead of 5\)"):
        train(store, tmp_path / "new", "type", model)
    assert not (tmp_path / "new").exists()
    with pytest.raises(UserError, match=r"its test events may be among those"):
        predict_store(old, store, "test")


@pytest.mark.parametrize("changed", [{"channels": ["log_image"]}, {"parameters": ["hillas_length", "hillas_width"]}])
def test_an_old_backbone_has_seen_the_same_quantities(store, energy, tmp_path, changed):
    trained = energy[0]
    seen = trained.card.inputs | {"parameters": ["hillas_width", "hillas_length"]}
    old = replace(trained, card=trained.card.model_copy(update={"inputs": seen}))
    save_model(old, tmp_path / "old.keras")
    model = ModelParameters(name="single_tel", pretrained={"path": str(tmp_path / "old.keras")}, **SMALL)
    inputs = input_parameters(model, {"mapping": "square", "channels": trained.card.inputs["channels"], **changed})
    name = next(iter(changed))
    with pytest.raises(UserError, match=rf"old.keras was trained with input.{name}: \["):
        train(store, tmp_path / "new", "type", model, inputs)
    assert not (tmp_path / "new").exists()


def test_tensorboard_that_is_not_there_is_an_error_before_the_start(store, tmp_path, monkeypatch):
    monkeypatch.setattr("cherenkov_pipeline.training.devices.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        train(store, tmp_path, tensorboard=True)
    assert not (tmp_path / "states").exists()


def test_tensorboard_shows_each_epoch_once(store, tmp_path):
    for _ in range(2):  # begun anew, not gone on with
        trained = train(store, tmp_path, tensorboard=True, resume=False, epochs=2)
    (folder,) = (tmp_path / "states").iterdir()
    shown = EventMultiplexer().AddRunsFromDirectory(str(folder / "tensorboard")).Reload()
    for run, column in (("train", "loss"), ("validation", "val_loss")):
        losses = [float(tf.make_ndarray(event.tensor_proto)) for event in shown.Tensors(run, "epoch_loss")]
        np.testing.assert_allclose(losses, trained.history[column], rtol=1e-6)


def nameless(inputs):
    """Backbone of operations that Keras names."""
    return keras.ops.mean(keras.ops.cast(inputs["image"] > 0, "float32"), axis=(1, 2))


def test_a_training_is_found_again_whatever_was_built_before(store, tmp_path):
    model = ModelParameters(name=f"{__name__}:nameless")

    def stop(row):
        raise BegunError

    with pytest.raises(BegunError):
        train_task(store, "energy", model, INPUTS, TrainingParameters(**SHORT | {"epochs": 2}), tmp_path, watch=stop)
    epochs = []
    trained = train_task(
        store, "energy", model, INPUTS, TrainingParameters(**SHORT | {"epochs": 2}), tmp_path, watch=epochs.append
    )
    assert [row["epoch"] for row in epochs] == [1, 2]
    again = train_task(store, "energy", model, INPUTS, TrainingParameters(**SHORT | {"epochs": 2}), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert again.card.created == trained.card.created
    assert again.fingerprint == trained.fingerprint
