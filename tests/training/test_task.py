import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.toy_store import INPUTS, toy_store

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.reconstruction.predict import predict_store
from cherenkov_pipeline.store.parameters import SplitParameters
from cherenkov_pipeline.training import task
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.task import train_task

MODEL = ModelParameters(options={"filters": [8], "pooling": "average"}, head={"options": {"units": [16]}})
TRAINING = TrainingParameters(epochs=40, batch_size=32, optimizer={"learning_rate": 0.02})


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    store = toy_store(folder / "toy.store.h5", 240)
    return folder, store, train_task(store, "energy", MODEL, INPUTS, TRAINING, folder / "states", run="first")


def test_energy_is_learnt(learnt):
    _, store, trained = learnt
    predictions = predict_store(trained, store, "test")
    gammas = predictions[predictions["true_shower_primary_id"] == 0]
    error = np.log10(gammas["reco_energy"] / gammas["true_energy"])
    assert error.std() < 0.3 * np.log10(gammas["true_energy"].value).std()


def test_card_tells_what_was_done(learnt):
    _, store, trained = learnt
    card = trained.card
    gammas = np.asarray(store.table["true_shower_primary_id"]) == 0
    train = gammas & (np.asarray(store.table["split"]) == 0)
    assert (card.task, card.name, card.model) == ("energy", "single_tel", MODEL)
    assert card.data.n_train == train.sum()
    assert card.data.fingerprint == store.fingerprint
    assert card.data.split == SplitParameters().model_dump()
    assert card.training["mlflow_run"] == "first"
    assert card.camera.fingerprint == store.camera_fingerprint
    assert card.validity.energy == (store.table["true_energy"][train].min(), store.table["true_energy"][train].max())
    assert card.validity.zenith == pytest.approx((20, 20))
    best = trained.history[card.training["best_epoch"] - 1]
    assert card.metrics["val_loss"] == best["val_loss"] == trained.history["val_loss"].min()
    assert card.training["epochs"] == len(trained.history)


def test_same_inputs_and_parameters_are_not_trained_again(learnt, monkeypatch):
    folder, store, trained = learnt
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    monkeypatch.setattr(task, "now", lambda: datetime(2100, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(task, "software_versions", lambda: {"git_revision": "later"})
    again = train_task(store, "energy", MODEL, INPUTS, TRAINING, folder / "states", run="second")
    assert again.card == trained.card
    for one, other in zip(again.model.get_weights(), trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_parameters_are_another_training(learnt, monkeypatch):
    folder, store, _ = learnt
    seen = []
    monkeypatch.setattr(
        "cherenkov_pipeline.training.task.train", lambda *args, **options: seen.append(args[5]) or stop()
    )

    class StopHereError(Exception):
        pass

    def stop():
        raise StopHereError

    changes = [
        (MODEL, INPUTS, TRAINING),
        (MODEL, INPUTS, TRAINING.model_copy(update={"resume": False})),
        (MODEL, INPUTS, TRAINING.model_copy(update={"in_memory": False})),  # the order is the same
        (MODEL, INPUTS, TRAINING.model_copy(update={"seed": 1})),
        (MODEL, INPUTS.model_copy(update={"channels": ("image", "peak_time")}), TRAINING),
        (ModelParameters(options={"filters": [9]}), INPUTS, TRAINING),
    ]
    for model, inputs, training in changes:
        with pytest.raises(StopHereError):
            train_task(store, "energy", model, inputs, training, folder / "states")
    rooms = set()
    monkeypatch.setattr(task, "code_fingerprint", lambda *names: rooms.update(names) or f"changed {names}")
    with pytest.raises(StopHereError):
        train_task(store, "energy", MODEL, INPUTS, TRAINING, folder / "states")
    monkeypatch.setattr(keras, "__version__", "4")
    with pytest.raises(StopHereError):
        train_task(store, "energy", MODEL, INPUTS, TRAINING, folder / "states")
    assert rooms >= {"models", "training", "store", "tasks", "directions", "ground", "spectra"}
    assert seen[0].is_dir()  # the folder of the finished training
    assert seen[0] == seen[1] == seen[2]
    assert len(set(seen)) == len(seen) - 2


@pytest.mark.parametrize("edited", ["own.py", "own_package/head.py"])
def test_an_edited_model_of_the_users_own_is_another_training(learnt, edited, tmp_path, monkeypatch):
    _, store, _ = learnt
    files = {
        "own.py": "def flat(inputs):\n    return keras.layers.Flatten(name='backbone_flat')(inputs['image'])\n",
        "own_package/__init__.py": "from own_package.head import same\n",
        "own_package/head.py": "def same(features):\n    return features\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"import keras\n\n\n{text}")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own_package", "own_package.head"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    model = ModelParameters(name=f"{tmp_path / 'own.py'}:flat", head={"name": "own_package:same"})
    seen = []

    class StopHereError(Exception):
        pass

    def remember(*arguments, **options):
        seen.append(arguments[5])
        raise StopHereError

    monkeypatch.setattr(task, "train", remember)
    for text in ("", "", "# edited\n"):
        with (tmp_path / edited).open("a") as stream:
            stream.write(text)
        with pytest.raises(StopHereError):
            train_task(store, "energy", model, INPUTS, TRAINING, tmp_path / "states")
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_no_events_is_an_error_before_the_training(learnt, split, monkeypatch):
    folder, store, _ = learnt
    indices = type(store).indices
    monkeypatch.setattr(
        type(store),
        "indices",
        lambda self, name, particles: indices(self, name, particles)[: 0 if name == split else None],
    )
    with pytest.raises(UserError, match=rf"no {split} events of gamma"):
        train_task(store, "energy", MODEL, INPUTS, TRAINING, folder / "other")
    assert not (folder / "other").exists()


def test_unlabelled_events_are_counted(learnt, tmp_path):
    folder, _, _ = learnt
    store = toy_store(tmp_path / "toy.store.h5", 40)
    store._columns["true_energy"] = store.table["true_energy"].copy()
    store.table["true_energy"][[0, 1, 7]] = np.nan  # event 7 is a proton
    with pytest.raises(UserError, match=r"2 of .* train events"):
        train_task(store, "energy", MODEL, INPUTS, TRAINING, folder / "other")


def test_one_kind_of_events_teaches_no_type(learnt, monkeypatch):
    folder, store, _ = learnt
    get_task = task.get_task
    monkeypatch.setattr(task, "get_task", lambda name: replace(get_task(name), particles=("gamma",)))
    with pytest.raises(UserError, match=r"All training events of type in .* are of one kind"):
        train_task(store, "type", MODEL, INPUTS, TRAINING, folder / "other")
    assert not (folder / "other").exists()


def test_unknown_task(learnt):
    folder, store, _ = learnt
    with pytest.raises(UserError, match="no task"):
        train_task(store, "mass", MODEL, INPUTS, TRAINING, folder / "other")
