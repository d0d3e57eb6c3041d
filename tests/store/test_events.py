import pickle

import h5py
import numpy as np
import pytest
from tests.store.toy_store import ALL, build

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store import EventStore


@pytest.fixture(scope="module")
def store(gamma_file, proton_file, tmp_path_factory) -> EventStore:
    return build(tmp_path_factory.mktemp("store"), gamma_file, proton_file)[0]


@pytest.fixture
def copied(store, tmp_path):
    path = tmp_path / "copy.store.h5"
    path.write_bytes(store.path.read_bytes())
    return path


def test_rows_in_any_order(store):
    everything = store.read(slice(None))
    for rows in (np.array([7, 3, 99, 3]), slice(10, 30), np.arange(len(store)) % 3 == 0, np.array([], dtype=int)):
        part = store.read(rows)
        np.testing.assert_array_equal(part.image, everything.image[rows])
        np.testing.assert_array_equal(part.peak_time, everything.peak_time[rows])
        np.testing.assert_array_equal(part.image_mask, everything.image_mask[rows])
        np.testing.assert_array_equal(part.table["true_energy"], everything.table["true_energy"][rows])
    with pytest.raises(IndexError):
        store.read(np.array([len(store)]))


def test_indices_divide_the_store(store):
    sides = ("train", "validation", "test")
    parts = [store.indices(side, (particle,)) for side in sides for particle in ("gamma", 101)]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(store)))
    np.testing.assert_array_equal(store.indices(), np.arange(len(store)))
    assert len(store.indices(particles=("iron",))) == 0
    with pytest.raises(UserError, match="no split 'training'"):
        store.indices("training")
    with pytest.raises(UserError, match="no particle 'photon'"):
        store.indices(particles=("photon",))


def test_columns(store):
    assert store.read(slice(0, 3), columns=("obs_id",)).table.colnames == ["obs_id"]
    with pytest.raises(UserError, match="no column 'hillas_size'"):
        store.columns(["hillas_size"])


def test_handle_travels(store):
    store.table, store.read(slice(0, 1))  # opened
    assert len(pickle.dumps(store)) < 1000
    other = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(other.read(slice(0, 2)).image, store.read(slice(0, 2)).image)


def test_repr_tells_what_is_inside(store):
    assert "100 images of SST_TOY_ToyCam" in repr(store)


def test_columns_keep_the_order_of_the_files(store):
    assert store.table.colnames[:3] == ["obs_id", "event_id", "tel_id"]


def test_cut_off_file(copied):
    content = copied.read_bytes()
    copied.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"copy\.store\.h5 is cut off"):
        EventStore(copied)


def test_unfinished_and_foreign_files(tmp_path):
    path = tmp_path / "half.h5"
    with h5py.File(path, "w") as file:
        file["images/image"] = np.zeros((2, 3))
    with pytest.raises(UserError, match="no complete event store"):
        EventStore(path)
    path.write_text("hello")
    with pytest.raises(UserError, match="no HDF5 file"):
        EventStore(path)
    with pytest.raises(UserError, match="does not exist"):
        EventStore(tmp_path / "absent.h5")


@pytest.mark.parametrize("name", ["images/peak_time", "events/obs_id"])
def test_lost_rows(copied, name):
    with h5py.File(copied, "r+") as file:
        file[name].resize(90, axis=0)
    with pytest.raises(UserError, match=rf"/{name} has 90 rows instead of 100"):
        EventStore(copied)


def test_missing_dataset_and_other_layout(copied):
    with h5py.File(copied, "r+") as file:
        del file["images/image_mask"]
    with pytest.raises(UserError, match="/images/image_mask is missing"):
        EventStore(copied)
    with h5py.File(copied, "r+") as file:
        file.attrs["layout_version"] = 99
    with pytest.raises(UserError, match="layout 99"):
        EventStore(copied)


@pytest.mark.parametrize("name", ["images/image", "events/true_energy"])
def test_changed_content_is_noticed(store, copied, name):
    store.verify()
    with h5py.File(copied, "r+") as file:
        file[name][17] = 1
    with pytest.raises(UserError, match=f"/{name} is not what was written"):
        EventStore(copied).verify()


def test_observers_see_the_selection(store):
    assert store.provenance["selection"] == ALL.model_dump(mode="json")
    assert store.provenance["n_images"] == len(store)
