import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from tests.toy_store import INPUTS, toy_camera

from cherenkov_pipeline.dl1.cameras import camera_fingerprint
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models import saved as saved_module
from cherenkov_pipeline.models.build import Scales, build_model
from cherenkov_pipeline.models.card import Camera, Data, ModelCard, Validity, card_path, now, software_versions
from cherenkov_pipeline.models.cost import model_cost
from cherenkov_pipeline.models.on_disk import SavedModel
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import (
    TrainedModel,
    check_fit,
    load_model,
    load_network,
    read_card,
    save_model,
)
from cherenkov_pipeline.tasks import TASKS

PARAMETERS = ModelParameters(options={"filters": [4]}, head={"options": {"units": [4]}})


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    camera = toy_camera()
    model = build_model(PARAMETERS, TASKS["energy"], {"image": (16, 16, 2)}, Scales([0.4], [0.6]))
    card = ModelCard(
        name="single_tel",
        task="energy",
        model=PARAMETERS,
        inputs=INPUTS.model_dump(mode="json"),
        camera=Camera(
            telescope_type="TOY_ToyCam", name="ToyCam", n_pixels=camera.n_pixels, fingerprint=camera_fingerprint(camera)
        ),
        data=Data(fingerprint="abc", n_train=10, n_validation=2, split={"train": 0.7, "seed": 2**53 + 1}),
        validity=Validity(particles=("gamma",), energy=(1, 100), zenith=(20, 20)),
        training={"epochs": 1},
        metrics={"val_loss": 0.5},
        cost=model_cost(model),
        versions=software_versions(),
        created=now(),
    )
    return TrainedModel(model, card, QTable({"epoch": [1], "loss": [0.7], "val_loss": [0.5]}), camera)


@pytest.fixture
def saved(trained, tmp_path):
    path = tmp_path / "version" / "model.keras"
    return path, save_model(trained, path)


def test_a_model_of_another_target_is_refused(trained, tmp_path, monkeypatch):
    save_model(trained, tmp_path)
    monkeypatch.setitem(TASKS, "energy", replace(TASKS["energy"], version=2))
    with pytest.raises(UserError, match=r"has learnt another energy .*train it again"):
        load_model(tmp_path)


def test_loaded_model_predicts_the_same(trained, saved):
    path, written = saved
    loaded = load_model(path)
    images = np.random.default_rng(0).exponential(1, (5, 16, 16, 2))
    np.testing.assert_array_equal(
        loaded.model.predict_on_batch({"image": images}), trained.model.predict_on_batch({"image": images})
    )
    assert loaded.card == written.card
    assert loaded.history.colnames == trained.history.colnames
    assert camera_fingerprint(loaded.camera) == trained.card.camera.fingerprint


def test_folder_means_the_model_in_it(saved):
    path, written = saved
    assert read_card(path.parent) == written.card
    assert load_model(path.parent).card == written.card
    assert not list(path.parent.glob(".part*"))


def test_fingerprint_is_that_of_what_is_predicted(trained, saved):
    path, written = saved
    fingerprints = {trained.fingerprint, written.fingerprint, load_model(path).fingerprint}
    assert len(fingerprints) == 1
    later = trained.card.model_copy(update={"created": trained.card.created + timedelta(days=1)})
    assert replace(trained, card=later).fingerprint in fingerprints
    other = load_model(path)
    weights = other.model.get_weights()
    weights[0].flat[0] = np.nextafter(weights[0].flat[0], 2, dtype=np.float32)
    other.model.set_weights(weights)
    channels = trained.card.inputs | {"channels": ["log_image", "peak_time"]}
    inputs = replace(trained, card=trained.card.model_copy(update={"inputs": channels}))
    assert len(fingerprints | {other.fingerprint, inputs.fingerprint}) == 3


def test_seed_of_the_split_comes_back_exactly(saved):
    path, _ = saved
    assert read_card(path).data.split["seed"] == 2**53 + 1


def test_card_and_history_are_read_without_keras(saved):
    """As a node takes the model from the catalog."""
    script = (
        "import sys; from cherenkov_pipeline.datasets.trained_model import TrainedModelDataset;"
        f"model = TrainedModelDataset(filepath={str(saved[0])!r}).load();"
        "print(model.card.name, len(model.history), 'keras' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["single_tel", str(len(saved[1].history)), "False"]


def test_another_process_gets_the_place_of_a_model_not_its_network(saved):
    found = SavedModel(saved[0])
    found.load()
    sent = pickle.dumps(found)
    assert len(sent) < len(pickle.dumps(found.card)) + 1000
    assert pickle.loads(sent).fingerprint == found.fingerprint


def test_rest_is_read_once_when_it_is_asked_for(saved, tmp_path, monkeypatch):
    path, written = saved
    read = []
    monkeypatch.setattr(saved_module, "load_model", lambda place: read.append(place) or load_model(place))
    found = SavedModel(path.parent)
    assert found.card == written.card
    assert not read
    assert found.fingerprint == written.fingerprint
    assert found.history.colnames == written.history.colnames
    assert [camera.name for camera in found.cameras] == ["ToyCam"]
    assert read == [path]
    again = save_model(found, tmp_path / "again.keras")
    assert (again.fingerprint, found.further_cameras) == (written.fingerprint, ())


@pytest.mark.parametrize("load", [load_model, SavedModel])
@pytest.mark.parametrize("name", ["model.keras", "model.card.json", "model.history.ecsv", "model.camera.ecsv"])
def test_missing_file_is_named(saved, name, load):
    path, _ = saved
    (path.parent / name).unlink()
    with pytest.raises(UserError, match=name):
        load(path.parent / "model.keras")


@pytest.mark.parametrize("load", [load_model, SavedModel])
def test_model_of_another_training_is_refused(saved, load):
    path, _ = saved
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(UserError, match="not the file"):
        load(path)


@pytest.mark.parametrize("name", ["model.camera.ecsv", "model.history.ecsv"])
def test_a_table_that_was_cut_off_is_refused(saved, name):
    place = saved[0].with_name(name)
    text = place.read_text()
    place.write_text(text[: text.rstrip().rindex(" ")])  # the last row lacks a column
    with pytest.raises(UserError, match=f"{name}.*copy it from where"):
        load_model(saved[0])


def test_a_camera_with_fewer_pixels_is_refused(saved):
    place = saved[0].with_name("model.camera.ecsv")
    place.write_text("".join(place.read_text().splitlines(keepends=True)[:-3]))
    with pytest.raises(UserError, match=r"model\.camera\.ecsv is not the camera"):
        load_model(saved[0])


@pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
def test_a_damaged_network_is_told_in_one_line(saved, part):
    """As pre-trained weights are read, which no fingerprint guards."""
    content = bytearray(saved[0].read_bytes())
    with zipfile.ZipFile(saved[0]) as archive:
        place = archive.getinfo(part).header_offset
    content[place + 200] ^= 1
    saved[0].write_bytes(content)
    with pytest.raises(UserError, match="Cannot load"):
        load_network(saved[0])


def test_an_archive_without_a_network_is_told_in_one_line(saved):
    with zipfile.ZipFile(saved[0], "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(UserError, match="Cannot load"):
        load_network(saved[0])


def test_unreadable_card_names_the_place(saved):
    path, _ = saved
    card_path(path).write_text(card_path(path).read_text().replace('"n_train": 10', '"n_train": "many"'))
    with pytest.raises(UserError, match=r"data\.n_train"):
        load_model(path)


def test_nothing_is_unpickled(trained, saved, tmp_path):
    path, _ = saved
    marker = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return marker.touch, ()

    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["model.weights.h5"] = pickle.dumps(Attack())
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    from cherenkov_pipeline.fingerprints import fingerprint_file

    card = trained.card.model_copy(update={"file_fingerprint": fingerprint_file(path)})
    card_path(path).write_text(card.model_dump_json())
    with pytest.raises(UserError, match="Cannot load"):
        load_model(path)
    assert not marker.exists()


def test_all_layers_of_the_package_are_known_where_a_network_is_loaded():
    """Also without a card, which names the model: in a new process, in which nothing else was imported."""
    folder = Path(saved_module.__file__).parent
    modules = [path for path in folder.rglob("*.py") if "@keras.saving.register_keras_serializable" in path.read_text()]
    names = {".".join(path.relative_to(folder.parents[1]).with_suffix("").parts) for path in modules}
    assert len(names) > 5
    script = f"import sys, cherenkov_pipeline.models.saved; print({names} - sys.modules.keys())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_pixels_are_matched_by_position(trained):
    order = np.random.default_rng(0).permutation(trained.camera.n_pixels)
    shuffled = trained.camera[order]
    shuffled.frame = trained.camera.frame
    assert check_fit(trained, trained.camera) is None
    values = np.random.default_rng(1).normal(size=(2, len(order)))
    np.testing.assert_array_equal(values[:, order][:, check_fit(trained, shuffled)], values)


def test_another_camera_is_refused_with_the_reason(trained):
    with pytest.raises(UserError, match=r"single_tel.*TOY_ToyCam.*OtherCam"):
        check_fit(trained, toy_camera(12, name="OtherCam"))
