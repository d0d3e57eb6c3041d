import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from kedro.io import DatasetError
from tests.store.toy_dl1 import ToyEvent, camera, geometry, subarray, toy_image, write_dl1
from tests.store.toy_store import ALL, TOY, build, file_set

from cherenkov_pipeline.datasets.event_store import EventStoreDataset
from cherenkov_pipeline.dl1 import written
from cherenkov_pipeline.dl1.contents import describe
from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.dl1.provenance import provenance_table
from cherenkov_pipeline.dl1.settings import make_settings, write_settings
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet, read_file_set, run_plan
from cherenkov_pipeline.fingerprints import fingerprint_file
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store import build as build_module
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.chunks import iter_chunks
from cherenkov_pipeline.store.layout import PIXELS
from cherenkov_pipeline.store.packing import CHARGE_PRECISION
from cherenkov_pipeline.store.parameters import SplitParameters, StoreParameters
from cherenkov_pipeline.store.part import open_part
from cherenkov_pipeline.store.writer import StoreWriter


def keys(store: EventStore) -> list[tuple]:
    table = store.table
    names = np.array(store.productions)[table["production"]]
    return list(zip(names, table["obs_id"], table["event_id"], table["tel_id"], strict=True))


def test_the_store_holds_what_the_dl1_file_holds(gamma_file, tmp_path):
    (store,) = build(tmp_path, gamma_file, chunk_size=7)
    (dl1,) = iter_chunks(gamma_file, TOY, 10_000)
    chunk = store.read(slice(None))
    assert len(store) == len(dl1) == 60
    assert (np.abs(chunk.image - dl1.image) <= CHARGE_PRECISION * np.abs(dl1.image) + 1e-6).all()
    np.testing.assert_array_equal(chunk.image_mask, dl1.image_mask)
    for name in dl1.table.colnames:
        if name != "time":
            values = np.asarray(dl1.table[name])
            single = values.astype(np.float32) if values.dtype == np.float64 else values
            np.testing.assert_array_equal(store.table[name], single, err_msg=name)
            assert store.table[name].dtype == single.dtype, name
            assert store.table[name].unit == dl1.table[name].unit, name
    assert store.telescope_type == TOY
    np.testing.assert_allclose(store.camera.pix_x.to_value("m"), geometry().pix_x.to_value("m"), atol=1e-7)
    assert store.camera.frame.focal_length.to_value("m") == pytest.approx(5.6)


def test_gammas_and_protons_of_equal_numbers_stay_apart(gamma_file, proton_file, tmp_path):
    (store,) = build(tmp_path, gamma_file, proton_file)
    assert len(set(keys(store))) == len(store) == 100
    assert store.productions == ("gamma", "proton")
    assert len(store.indices(particles=("gamma",))) == 60
    assert len(store.indices(particles=("proton",))) == 40
    assert len(np.unique(store.table["shower"])) == 50
    plain = {key[1:] for key in keys(store)}
    assert len(plain) == 60  # obs_id, event_id and tel_id alone would have merged 40


def test_files_of_different_cleaning_are_not_mixed(gamma_file, proton_file, tmp_path):
    cleaned = {}
    for file, threshold in ((gamma_file, 8), (proton_file, 9)):
        cleaned[threshold] = Path(shutil.copy(file, tmp_path))
        parameters = DL1Parameters(cleaning={"picture_threshold_pe": threshold})
        write_settings(cleaned[threshold], make_settings(parameters, calibrated=True))
    with pytest.raises(UserError, match=r"proton.*gamma.*cleaning\.picture_threshold_pe 9.0 instead of 8.0"):
        build(tmp_path / "both", *cleaned.values())
    (store,) = build(tmp_path / "one", cleaned[9])
    assert store.provenance["dl1_settings"]["cleaning"]["picture_threshold_pe"] == 9


def test_files_of_equal_names_stay_apart(tmp_path, toy_gammas):
    array = subarray({1: camera(), 2: camera()})
    for folder, seed in (("a", 0), ("b", 500)):
        (tmp_path / folder).mkdir()
        events = [ToyEvent(event.event_id, event.seed + seed) for event in toy_gammas[:4]]
        write_dl1(tmp_path / folder / "run.dl1.h5", array, events)
    (store,) = build(tmp_path / "store", *(tmp_path / folder / "run.dl1.h5" for folder in "ab"))
    assert len(set(keys(store))) == 16


def test_no_shower_on_both_sides_of_the_split(tmp_path, toy_gammas):
    """Two telescopes, two uses of each shower in one file, and the same showers once more in another file."""
    array = subarray({1: camera(), 2: camera()})
    uses = [ToyEvent(e.event_id + use, e.seed, core_x=50.0 * use) for e in toy_gammas for use in range(2)]
    first = write_dl1(tmp_path / "first.dl1.h5", array, uses)
    second = write_dl1(tmp_path / "second.dl1.h5", array, [ToyEvent(e.event_id + 7, e.seed) for e in toy_gammas])
    (store,) = build(tmp_path / "store", first, second, split=SplitParameters(train=0.5, validation=0.2, test=0.3))
    energies = [set(store.table["true_energy"][store.indices(side)]) for side in ("train", "validation", "test")]
    assert all(energies)
    assert sum(map(len, energies)) == len(set.union(*energies)) == len(toy_gammas)
    assert len(store) == 180


def test_a_growing_set_moves_no_event(gamma_file, proton_file, tmp_path):
    (alone,) = build(tmp_path / "alone", gamma_file)
    (both,) = build(tmp_path / "both", proton_file, gamma_file)
    sides = dict(zip(keys(both), both.table["split"], strict=True))
    assert [sides[key] for key in keys(alone)] == list(alone.table["split"])


def test_two_pixel_orders_in_one_set(tmp_path, toy_gammas):
    order = np.random.default_rng(5).permutation(331)
    events = [ToyEvent(event.event_id, event.seed, tel_ids=(1,)) for event in toy_gammas[:5]]
    first = write_dl1(tmp_path / "first.dl1.h5", subarray({1: camera()}), events)
    second = write_dl1(tmp_path / "second.dl1.h5", subarray({1: camera(order=order)}), events)
    (store,) = build(tmp_path / "store", first, second)
    images = store.read(slice(None))
    np.testing.assert_array_equal(images.image[:5], images.image[5:])
    np.testing.assert_array_equal(images.image_mask[:5], images.image_mask[5:])
    np.testing.assert_allclose(images.image[0], toy_image(geometry(), events[0].seed + 7)[0], rtol=CHARGE_PRECISION)
    assert [entry["pixels_reordered"] for entry in store.provenance["inputs"]] == [False, True]
    table = provenance_table([], FileSet("none"), stores={TOY: store})
    inputs = table[table["step"] == "store input"].set_index("item")["detail"]
    assert "pixel order" not in inputs["first"]
    assert "pixel order" in inputs["second"]


def test_different_cameras_of_one_type_are_refused_before_work(gamma_file, tmp_path):
    events = [ToyEvent(1, 1, tel_ids=(1,))]
    other = write_dl1(tmp_path / "other.dl1.h5", subarray({1: camera(focal_length=5.4 * u.m)}), events)
    with pytest.raises(UserError, match=r"other\.dl1\.h5 does not fit .*gamma\.dl1\.h5\. .*of a pixel apart"):
        plan_store(file_set(gamma_file, other), ALL, StoreParameters())


def test_a_part_for_each_file_and_telescope_type(tmp_path):
    array = subarray({1: camera(), 2: camera(rings=6, pitch=0.05, name="BigCam"), 3: camera(name="Idle")})
    path = write_dl1(tmp_path / "two.dl1.h5", array, [ToyEvent(1, 1), ToyEvent(2, 2), ToyEvent(3, 3, tel_ids=(2,))])
    plan = plan_store(file_set(path), ALL, StoreParameters(n_workers=1))
    assert [job.name for job in plan.jobs] == ["BigCam_two.store.h5", "ToyCam_two.store.h5"]
    pickle.dumps(plan.jobs)  # for workers
    files = run_plan(plan, tmp_path / "store")
    assert [record["telescope_type"] for record in files.records] == ["SST_TOY_BigCam", TOY]
    assert [len(EventStore(path)) for path in files.paths] == [3, 2]
    for store in map(EventStore, files.paths):
        store.verify()


def test_counts_close(gamma_file, proton_file, tmp_path):
    selection = SelectionParameters(
        quality={"bright": "hillas_intensity > 800", "inside": "leakage_intensity_width_2 < 0.3"},
        truth={"energetic": "true_energy > 2"},
        min_telescopes=2,
    )
    (store,) = build(tmp_path, gamma_file, proton_file, selection=selection, chunk_size=9)
    record = store.provenance
    assert [entry["n_read"] for entry in record["inputs"]] == [60, 40]
    assert all(entry["n_read"] == entry["n_cut"] + entry["n_selected"] for entry in record["inputs"])
    assert all(cut["n_in"] == cut["n_cut"] + cut["n_out"] for cut in record["cuts"])
    assert record["cuts"][0]["n_in"] == 100
    assert [cut["n_in"] for cut in record["cuts"][1:]] == [cut["n_out"] for cut in record["cuts"][:-1]]
    n_images = sum(entry["n_selected"] for entry in record["inputs"])
    assert n_images == record["cuts"][-1]["n_out"] == sum(s["n_images"] for s in record["samples"]) == len(store) < 100
    showers = sum(entry["n_showers"] for entry in record["samples"])
    assert showers == len(np.unique(store.table["shower"])) == len(store) // 2
    assert (store.table["hillas_intensity"] > 800).all()
    json.dumps(record)


def test_nothing_survives(gamma_file, proton_file, tmp_path):
    selection = SelectionParameters(quality={"huge": "hillas_intensity > 1e9"})
    plan = plan_store(file_set(gamma_file, proton_file), selection, StoreParameters(n_workers=1))
    with pytest.raises(
        UserError, match=r"SST_TOY_ToyCam: No image is left, the cut 'huge' .*removed the last 100"
    ) as caught:
        run_plan(plan, tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no finished set"):
        read_file_set(tmp_path)


def test_a_file_of_which_nothing_is_left_is_an_empty_part(gamma_file, proton_file, tmp_path):
    selection = SelectionParameters(quality={}, truth={"gammas": "true_shower_primary_id == 0"})
    (store,) = build(tmp_path, proton_file, gamma_file, selection=selection)
    assert [part.n_images for part in store.parts] == [0, 60]
    assert store.productions == ("proton", "gamma")
    assert (store.table["production"] == 1).all()
    assert [item["n_selected"] for item in store.provenance["inputs"]] == [0, 60]
    (alone,) = build(tmp_path / "alone", gamma_file, selection=selection)
    np.testing.assert_array_equal(store.read(slice(None)).image, alone.read(slice(None)).image)
    store.verify()


def test_a_telescope_type_of_which_nothing_is_left_is_told(tmp_path, caplog):
    array = subarray({1: camera(), 2: camera(rings=6, pitch=0.05, name="BigCam")})
    path = write_dl1(tmp_path / "two.dl1.h5", array, [ToyEvent(1, 1), ToyEvent(2, 2)])
    selection = SelectionParameters(quality={}, telescope_ids=(1,))
    dataset = EventStoreDataset(filepath=str(tmp_path / "store"))
    dataset.save(plan_store(file_set(path), selection, StoreParameters(n_workers=1)))
    assert list(dataset.load()) == [TOY]
    assert "SST_TOY_BigCam: No image is left, the cut 'telescopes'" in caplog.text


@pytest.mark.parametrize(("free", "message"), [(2**40, "not written completely"), (4096, "No space left")])
def test_incomplete_store_is_not_kept(gamma_file, tmp_path, monkeypatch, free, message):
    """HDF5 may lose on a full disk what it still has to write when it closes the file."""
    close = StoreWriter.__exit__

    def lose_a_page(writer, *error):
        path = Path(writer._file.filename)
        offset = writer._file[PIXELS].id.get_offset()
        close(writer, *error)
        with path.open("r+b") as stream:
            stream.seek(offset + 1000)
            stream.write(bytes(4096))

    monkeypatch.setattr(StoreWriter, "__exit__", lose_a_page)
    monkeypatch.setattr(written.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=message) as caught:
        build(tmp_path, gamma_file)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.store.h5*"))
    assert (tmp_path / "notes.txt").exists()


def test_no_files_and_no_images(tmp_path):
    with pytest.raises(UserError, match="no DL1 files"):
        plan_store(FileSet("none"), ALL, StoreParameters())
    empty = write_dl1(tmp_path / "empty.dl1.h5", subarray({1: camera()}), [])
    with pytest.raises(UserError, match=r"empty\.dl1\.h5 .*no "):
        plan_store(file_set(empty), ALL, StoreParameters())


def test_missing_columns_are_nan(gamma_file, toy_gammas, tmp_path):
    """Simulated and observed files in one store."""
    array = subarray({1: camera(), 2: camera()})
    data = write_dl1(tmp_path / "data.dl1.h5", array, toy_gammas[:3], simulated=False)
    (store,) = build(tmp_path / "store", gamma_file, data)
    assert np.isnan(store.table["true_energy"][60:]).all()
    assert np.isfinite(store.table["hillas_intensity"]).all()
    assert len(store.indices(particles=("gamma",))) == 60


def test_fingerprint_follows_content_cuts_and_split(gamma_file, proton_file, tmp_path):
    def identity(*paths, selection=ALL, **parameters):
        return plan_store(file_set(*paths), selection, StoreParameters(**parameters)).fingerprint

    moved = tmp_path / gamma_file.name
    moved.write_bytes(gamma_file.read_bytes())
    assert identity(gamma_file) == identity(moved, chunk_size=10, n_workers=1)
    others = {
        identity(gamma_file, proton_file),
        identity(proton_file),
        identity(gamma_file, selection=SelectionParameters()),
        identity(gamma_file, split=SplitParameters(seed=1)),
    }
    assert len(others | {identity(gamma_file)}) == 5


class TestAppending:
    """A set that grows: only what is new is built."""

    @pytest.fixture
    def dataset(self, tmp_path) -> EventStoreDataset:
        return EventStoreDataset(filepath=str(tmp_path / "store"))

    def save(self, dataset, *paths, selection=ALL, **parameters) -> dict[str, Path]:
        """Build and give the files by name of their DL1 file."""
        dataset.save(plan_store(file_set(*paths), selection, StoreParameters(n_workers=1, **parameters)))
        (store,) = dataset.load().values()
        return dict(zip(store.productions, store.paths, strict=True))

    def test_only_the_new_part_is_built(self, dataset, gamma_file, proton_file, toy_gammas, tmp_path, monkeypatch):
        first = self.save(dataset, gamma_file, proton_file)
        events = [ToyEvent(event.event_id, event.seed + 70) for event in toy_gammas[:4]]
        new_file = write_dl1(tmp_path / "a_new.dl1.h5", subarray({1: camera(), 2: camera()}), events)
        built = []
        monkeypatch.setattr(build_module, "open_images", count_calls(build_module.open_images, built))
        grown = self.save(dataset, new_file, gamma_file, proton_file)

        assert built == [str(new_file)]
        for name, path in first.items():
            assert grown[name] != path
            assert grown[name].samefile(path)  # not even copied
        (store,) = dataset.load().values()
        (scratch,) = build(tmp_path / "scratch", new_file, gamma_file, proton_file)
        assert store.fingerprint == scratch.fingerprint
        assert store.provenance == scratch.provenance
        assert (store.records(slice(None)) == scratch.records(slice(None))).all()
        for name in scratch.table.colnames:
            np.testing.assert_array_equal(store.table[name], scratch.table[name], err_msg=name)

    def test_the_smaller_set_is_still_there(self, dataset, gamma_file, proton_file):
        self.save(dataset, gamma_file, proton_file)
        assert list(self.save(dataset, gamma_file)) == ["gamma"]
        assert len(dataset.list_versions()) == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"selection": SelectionParameters(quality={"bright": "hillas_intensity > 300"})},
            {"split": SplitParameters(seed=1)},
        ],
    )
    def test_other_cuts_or_another_split_build_everything(self, dataset, gamma_file, proton_file, change):
        first = self.save(dataset, gamma_file, proton_file)
        second = self.save(dataset, gamma_file, proton_file, **change)
        assert not any(second[name].samefile(path) for name, path in first.items())

    def test_chunks_and_workers_do_not_count(self, dataset, gamma_file, proton_file):
        first = self.save(dataset, gamma_file)
        second = self.save(dataset, gamma_file, proton_file, chunk_size=7)
        assert second["gamma"].samefile(first["gamma"])

    def test_a_damaged_part_is_not_taken_over(self, dataset, gamma_file, proton_file):
        first = self.save(dataset, gamma_file)
        with first["gamma"].open("r+b") as stream:
            stream.seek(open_part(first["gamma"]).offset)
            stream.write(bytes(100))
        second = self.save(dataset, gamma_file, proton_file)
        assert not second["gamma"].samefile(first["gamma"])
        EventStore(second["gamma"]).verify()

    def test_another_reference_of_the_pixel_order_builds_everything(self, dataset, gamma_file, toy_gammas, tmp_path):
        first = self.save(dataset, gamma_file)
        order = np.random.default_rng(5).permutation(331)
        events = [ToyEvent(1, 1, tel_ids=(1,))]
        other = write_dl1(tmp_path / "other.dl1.h5", subarray({1: camera(order=order)}), events)
        assert self.save(dataset, gamma_file, other)["gamma"].samefile(first["gamma"])
        assert not self.save(dataset, other, gamma_file)["gamma"].samefile(first["gamma"])


def test_workers_make_the_same_bytes(gamma_file, proton_file, tmp_path):
    digests = []
    for n_workers in (1, 2):
        plan = plan_store(file_set(gamma_file, proton_file), ALL, StoreParameters(n_workers=n_workers))
        digests.append([record["digest"] for record in run_plan(plan, tmp_path / str(n_workers)).records])
    assert digests[0] == digests[1]


def count_calls(function, calls: list):
    def counted(path, *args):
        calls.append(path)
        return function(path, *args)

    return counted


def test_a_part_that_was_exchanged_is_refused(gamma_file, proton_file, tmp_path):
    """Two stores of the same names: the files of one in the place of the other's."""
    dataset = EventStoreDataset(filepath=str(tmp_path / "store"))
    paths = []
    for seed in (0, 1):
        parameters = StoreParameters(n_workers=1, split=SplitParameters(seed=seed))
        dataset.save(plan_store(file_set(gamma_file, proton_file), ALL, parameters))
        (store,) = dataset.load().values()
        paths.append(store.paths)
    for mine, other in zip(*paths, strict=True):
        other.write_bytes(mine.read_bytes())
    with pytest.raises(DatasetError, match="is not the file that was made here: make the event store again"):
        dataset.load()


def test_files_are_not_opened_where_their_records_tell_enough(gamma_file, proton_file, monkeypatch):
    opened = []
    monkeypatch.setattr(build_module, "cameras", count_calls(build_module.cameras, opened))
    records = [
        {**describe(path), "path": str(path), "fingerprint": fingerprint_file(path)}
        for path in (gamma_file, proton_file)
    ]
    plan = plan_store(FileSet("toys", records), ALL, StoreParameters())
    assert opened == [str(gamma_file)]
    assert plan.fingerprint == plan_store(file_set(gamma_file, proton_file), ALL, StoreParameters()).fingerprint


def test_plan_changes_with_the_code_of_every_room_that_makes_a_store(gamma_file, monkeypatch):
    rooms = set()
    monkeypatch.setattr("cherenkov_pipeline.store.build.code_fingerprint", lambda *names: rooms.update(names))
    plan_store(file_set(gamma_file), ALL, StoreParameters())
    assert rooms >= {"dl1", "store", "spectra"}  # the last one says how showers were thrown
