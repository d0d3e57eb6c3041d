import json
import shutil

import numpy as np
import pytest
from tests.alerts.toy_bundle import card

from cherenkov_pipeline.alerts.bundle import CARD, Neighbours, newest_bundle, read_bundle, write_bundle
from cherenkov_pipeline.errors import UserError


@pytest.fixture
def copied(bundle_path, tmp_path):
    return shutil.copytree(bundle_path, tmp_path / "ensemble")


def files_of(folder):
    return {path.name: path for path in folder.iterdir() if path.name != CARD}


def test_bundle_comes_back_as_it_was_written(bundle):
    assert [member.name for member in bundle.card.members] == ["plain", "masked"]
    assert bundle.card.members[1].preparation.mask == "codes"
    assert bundle.card.thresholds["real"].value == 0.8
    assert all(len(file.sha256) == 64 for file in bundle.card.files)
    assert bundle.neighbours.thumbnails.shape == (120, 56, 56)
    assert bundle.isolation_forest.n_samples == 120


def test_existing_folder_is_refused(bundle_path):
    with pytest.raises(UserError, match="exists already"):
        write_bundle(card(), files_of(bundle_path), bundle_path)


def test_bundle_without_a_file_is_not_written(bundle_path, tmp_path):
    files = files_of(bundle_path)
    del files["masked.onnx"]
    with pytest.raises(UserError, match=r"lacks masked\.onnx"):
        write_bundle(card(), files, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_no_bundle(tmp_path):
    with pytest.raises(UserError, match="pipeline=grb_alerts"):
        read_bundle(tmp_path / "none")


@pytest.mark.parametrize("name", ["plain.onnx", "autoencoder.onnx", "isolation_forest.npz", "neighbours.npz"])
def test_changed_and_missing_files_are_named(copied, name):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=f"{name} is not the file"):
        read_bundle(copied)
    (copied / name).unlink()
    with pytest.raises(UserError, match=f"{name} is gone"):
        read_bundle(copied)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 2}, "format"),
        ({"temperature": 0}, "temperature"),
        ({"members": []}, "members"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_card_that_is_wrong_is_refused_in_one_line(copied, change, problem):
    content = json.loads((copied / CARD).read_text()) | change
    (copied / CARD).write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"Cannot read .*{problem}") as error:
        read_bundle(copied)
    assert "\n" not in str(error.value)


def test_files_outside_of_the_folder_are_refused(copied):
    content = json.loads((copied / CARD).read_text())
    content["members"][0]["file"] = "../plain.onnx"
    (copied / CARD).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"members\.0\.file"):
        read_bundle(copied)


@pytest.mark.parametrize(
    ("name", "other", "problem"),
    [
        ("plain.onnx", "neighbours.npz", "no network"),
        ("plain.onnx", "autoencoder.onnx", "no output cam, logit"),
    ],
)
def test_network_that_is_none_is_refused(bundle_path, tmp_path, name, other, problem):
    files = files_of(bundle_path)
    with pytest.raises(UserError, match=problem):
        write_bundle(card(), files | {name: files[other]}, tmp_path / "new")


def test_inputs_that_are_not_prepared_are_refused(bundle_path, tmp_path):
    plain, masked = card().members
    without = plain.preparation.model_copy(update={"snr_max": False, "snr_std": False})
    changed = card(members=(plain.model_copy(update={"preparation": without}), masked))
    with pytest.raises(UserError, match="reads scalars"):
        write_bundle(changed, files_of(bundle_path), tmp_path / "new")


def test_newest_version_is_found(tmp_path, copied):
    assert newest_bundle(copied) == copied
    for version in ("2026-01-01T00.00.00.000Z", "2026-02-01T00.00.00.000Z"):
        shutil.copytree(copied, tmp_path / "versions" / "ensemble" / version / "ensemble")
    assert newest_bundle(tmp_path / "versions" / "ensemble").parent.name == "2026-02-01T00.00.00.000Z"


def test_neighbours_of_different_number_are_refused():
    with pytest.raises(ValueError, match="one row an image"):
        Neighbours(np.zeros((3, 2)), np.zeros((3, 5, 5)), np.array(["a"]), np.array(["grb"]), np.array([True]))
