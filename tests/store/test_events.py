import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.table import Table
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1
from tests.store.toy_store import ALL, build
from tests.toy_store import toy_camera

from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store import events as events_module
from cherenkov_pipeline.store.layout import LAYOUT_VERSION, TELESCOPE_DTYPE
from cherenkov_pipeline.store.packing import pack, pixel_dtype
from cherenkov_pipeline.store.writer import StoreWriter

NOWHERE = np.empty(0, dtype=TELESCOPE_DTYPE)


@pytest.fixture(scope="module")
def store(gamma_file, proton_file, tmp_path_factory) -> EventStore:
    return build(tmp_path_factory.mktemp("store"), gamma_file, proton_file)[0]


@pytest.fixture
def copied(store, tmp_path):
    """A part of 60 images."""
    path = tmp_path / "copy.store.h5"
    path.write_bytes(store.paths[0].read_bytes())
    return path


def test_rows_in_any_order(store):
    everything = store.read(slice(None))
    for rows in (np.array([7, 3, 99, 3]), slice(10, 30), np.arange(len(store)) % 3 == 0, np.array([], dtype=int)):
        part = store.read(rows)
        np.testing.assert_array_equal(part.image, everything.image[rows])
        np.testing.assert_array_equal(part.peak_time, everything.peak_time[rows])
        np.testing.assert_array_equal(part.image_mask, everything.image_mask[rows])
        np.testing.assert_array_equal(part.table["true_energy"], everything.table["true_energy"][rows])
    for rows in ([len(store)], [0, -len(store) - 1], np.ones(3, dtype=bool)):
        with pytest.raises(IndexError):
            store.read(np.array(rows))


def as_bytes(records):
    """A row of bytes a record: numpy leaves out what lies between the fields when it takes rows."""
    return records.view(np.uint8).reshape(len(records), -1)


@pytest.mark.parametrize("at_a_time", [1024, 3])
def test_records_are_those_of_the_rows(store, monkeypatch, at_a_time):
    """In order and not, in runs and alone, repeated, across the parts (60 and 40 rows)."""
    monkeypatch.setattr(events_module, "_RECORDS_AT_A_TIME", at_a_time)
    everything = store.records(slice(None))
    assert everything.dtype == pixel_dtype(store.n_pixels)
    assert everything.shape == (100,)
    rng = np.random.default_rng(0)
    blocks = np.concatenate([np.arange(50, 70), np.arange(10, 20), np.arange(90, 100)])
    for rows in (rng.permutation(100), np.sort(rng.choice(100, 40, replace=False)), blocks, [-1, 0, 0, -100], [], [60]):
        rows = np.array(rows, dtype=int)
        assert store.records(rows).tobytes() == as_bytes(everything)[rows].tobytes()
    assert store.records(slice(95, 20, -7)).tobytes() == as_bytes(everything)[95:20:-7].tobytes()


def test_parts_are_one_store(store):
    """Opened together, the rows are those of the parts, one after the other."""
    assert store.productions == ("gamma", "proton")
    first = 0
    for code, path in enumerate(store.paths):
        part = EventStore(path)
        rows = slice(first, first + len(part))
        assert store.records(rows).tobytes() == part.records(slice(None)).tobytes()
        for name in part.table.colnames:
            values = np.full(len(part), code) if name == "production" else part.table[name]
            np.testing.assert_array_equal(store.table[name][rows], values, err_msg=name)
        assert part.fingerprint != store.fingerprint
        first += len(part)
    assert first == len(store)
    turned = EventStore(store.paths[::-1])
    assert turned.fingerprint != store.fingerprint
    assert turned.records(slice(0, 40)).tobytes() == store.records(slice(60, 100)).tobytes()


def test_parts_that_do_not_belong_together_are_refused(store, gamma_file, toy_gammas, tmp_path):
    events = [ToyEvent(1, 1, tel_ids=(1,))]
    order = np.arange(331)[::-1]
    turned = write_dl1(tmp_path / "turned.dl1.h5", subarray({1: camera(order=order)}), events)
    other = write_dl1(tmp_path / "other.dl1.h5", subarray({1: camera(name="Other")}), events)
    cut = SelectionParameters(quality={"bright": "hillas_intensity > 1"})
    wrong = {
        "another camera": build(tmp_path / "1", turned)[0],
        "another telescope type": build(tmp_path / "2", other)[0],
        "another selection or split": build(tmp_path / "3", gamma_file, selection=cut)[0],
    }
    for reason, others in wrong.items():
        with pytest.raises(UserError, match=reason):
            EventStore([store.paths[0], others.path])
    with pytest.raises(UserError, match="hold the same events"):
        EventStore([store.paths[0], store.paths[1], store.paths[0]])
    with pytest.raises(UserError, match="no files of an event store"):
        EventStore([])


def test_files_do_not_stay_open(store):
    others = pickle.loads(pickle.dumps(store))
    others.table, others.camera, others.provenance, others.records([3, 99, 1]), others.verify()
    opened = {path.resolve() for path in Path("/proc/self/fd").iterdir()}
    assert not opened & {path.resolve() for path in store.paths}


def test_threads_share_a_store(store):
    everything = store.records(slice(None))
    rows = [np.random.default_rng(seed).permutation(100) for seed in range(16)]
    fresh = pickle.loads(pickle.dumps(store))
    with ThreadPoolExecutor(4) as pool:
        tables = [pool.submit(fresh.columns, ["shower", "split"]) for _ in rows]
        found = list(pool.map(fresh.records, rows))
    for wanted, records in zip(rows, found, strict=True):
        assert records.tobytes() == as_bytes(everything)[wanted].tobytes()
    assert all((table.result()["shower"] == store.table["shower"]).all() for table in tables)


def test_only_the_columns_that_are_asked_for_are_read(store):
    fresh = pickle.loads(pickle.dumps(store))
    first = fresh.columns(["split", "true_energy"])
    assert set(fresh._columns) == {"split", "true_energy"}
    assert np.shares_memory(fresh.columns(["true_energy"])["true_energy"], first["true_energy"])


def test_columns_of_unlike_parts(tmp_path):
    """Another unit, and a column that only one of them has."""
    paths = [tmp_path / f"{number}.store.h5" for number in range(2)]
    tables = (
        Table({"obs_id": [1, 2], "width": np.array([0.5, 1.5]) * u.deg, "age": [3, 4], "flag": [True, False]}),
        Table({"obs_id": [3], "width": np.array([np.deg2rad(2.5)]) * u.rad, "other": [1.0]}),
    )
    pixels = np.zeros((2, toy_camera().n_pixels))
    for path, table in zip(paths, tables, strict=True):
        with StoreWriter(path) as writer:
            writer.append_events(table)
            writer.append_pixels(pack(pixels[: len(table)], pixels[: len(table)], pixels[: len(table)] > 0))
            writer.finish(path.name, "TOY", toy_camera(), NOWHERE, {})
    table = EventStore(paths).table
    assert table.colnames == ["obs_id", "width", "age", "flag", "production"]
    assert table["width"].unit == "deg"
    np.testing.assert_allclose(table["width"], [0.5, 1.5, 2.5], rtol=1e-6)
    assert table["age"].tolist() == [3, 4, -1]
    assert table["flag"].tolist() == [True, False, False]


def test_directions_and_keys_keep_their_precision(tmp_path):
    rng = np.random.default_rng(1)
    alt, az, energy = rng.uniform(60, 90, 500), rng.uniform(0, 360, 500), 10 ** rng.uniform(-1, 3, 500)
    keys = {"obs_id": np.full(500, 2**40 + 1), "event_id": 2**53 + 1 + np.arange(500)}
    table = Table({**keys, "true_alt": alt * u.deg, "true_az": az * u.deg, "true_energy": energy})
    with StoreWriter(tmp_path / "one.store.h5") as writer:
        writer.append_events(table)
        writer.append_pixels(np.zeros(500, pixel_dtype(toy_camera().n_pixels)))
        writer.finish("one", "TOY", toy_camera(), NOWHERE, {})
    found = EventStore(tmp_path / "one.store.h5").table
    for name in keys:
        np.testing.assert_array_equal(found[name], keys[name])
    for name, exact in (("true_alt", alt), ("true_az", az)):
        assert np.abs(found[name].astype(float) - exact).max() < 2e-5  # deg
    np.testing.assert_allclose(found["true_energy"], energy, rtol=2.0**-24)


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
        file["pixels"] = np.zeros(2)
    with pytest.raises(UserError, match="no complete event store"):
        EventStore(path)
    path.write_text("hello")
    with pytest.raises(UserError, match="no HDF5 file"):
        EventStore(path)
    with pytest.raises(UserError, match="does not exist"):
        EventStore(tmp_path / "absent.h5")


@pytest.mark.parametrize("tail", [1, 3000, 100_000])
def test_file_that_lost_its_end(copied, tail):
    """Also where HDF5 says nothing: its own record of the file's length is set to the new one."""
    length = copied.stat().st_size - tail
    with copied.open("r+b") as stream:
        stream.truncate(length)
    with pytest.raises(UserError, match=r"copy\.store\.h5 is cut off .*make the event store again"):
        EventStore(copied)


def test_pixels_must_lie_inside_the_file(store, tmp_path):
    """Pixels at the very end of a file, whose length in the superblock agrees with what is there."""
    part = store.parts[0]
    shorter = replace(part, offset=part.path.stat().st_size - 10 * part.dtype.itemsize)
    with shorter.reading_pixels() as read, pytest.raises(UserError, match="is cut off"):
        read(5, np.empty((10, part.dtype.itemsize), np.uint8))


def test_lost_rows(copied):
    with h5py.File(copied, "r+") as file:
        file["events"].resize(50, axis=0)
    with pytest.raises(UserError, match=r"/events has 50 rows instead of 60"):
        EventStore(copied)


def test_pixels_in_chunks_are_refused(copied):
    with h5py.File(copied, "r+") as file:
        pixels, checksum = file["pixels"][...], file["pixels"].attrs["crc32"]
        del file["pixels"]
        file.create_dataset("pixels", data=pixels, chunks=(8,)).attrs["crc32"] = checksum
    with pytest.raises(UserError, match="not laid out as it should be"):
        EventStore(copied)


def test_missing_dataset_and_other_layout(copied):
    with h5py.File(copied, "r+") as file:
        del file["pixels"]
    with pytest.raises(UserError, match="/pixels is missing"):
        EventStore(copied)
    with h5py.File(copied, "r+") as file:
        file.attrs["layout_version"] = 1
    message = rf"layout 1, this program reads {LAYOUT_VERSION}: .*kedro run --pipeline=data_processing"
    with pytest.raises(UserError, match=message) as caught:
        EventStore(copied)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["pixels", "events"])
def test_changed_content_is_noticed(store, copied, name):
    store.verify()
    with h5py.File(copied, "r+") as file:
        row = file[name][17]
        row["image" if name == "pixels" else "true_energy"] = 1
        file[name][17] = row
    with pytest.raises(UserError, match=f"/{name} is not what was written"):
        EventStore(copied).verify()


def test_pixels_begin_at_a_page(store):
    for part in store.parts:
        assert part.offset > 0
        assert part.offset % 4096 == 0


def test_observers_see_the_selection(store):
    assert store.provenance["selection"] == ALL.model_dump(mode="json")
    assert store.provenance["n_images"] == len(store)


def test_tables_cannot_part_labels_from_images(store):
    before = store.table["true_energy"].copy()
    store.table.sort("true_energy")  # another table: this one has columns of its own from now on
    with pytest.raises(ValueError, match="read-only"):
        store.read(slice(0, 5)).table["true_energy"][:] = 0
    np.testing.assert_array_equal(store.table["true_energy"], before)
