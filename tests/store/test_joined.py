import numpy as np
import pytest
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1
from tests.store.toy_store import EVENTS, build, mixed_array, two_types

from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.dl1.settings import make_settings, write_settings
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.store.chunks import iter_array_chunks, iter_chunks
from cherenkov_pipeline.store.parameters import AugmentationParameters, InputParameters
from cherenkov_pipeline.store.part import StorePart
from cherenkov_pipeline.store.stereo import StereoBatches

PARAMETERS = InputParameters(
    mode="stereo", channels=(), mapping=None, brightest=20, parameters=("hillas_width", "log_hillas_intensity")
)
TYPES = ["SST_TOY_OtherCam", "SST_TOY_ToyCam"]
SEEN_BY = {event.event_id: event.tel_ids for event in EVENTS}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    return two_types(tmp_path_factory.mktemp("joined"))


@pytest.fixture(scope="module")
def joined(stores):
    return JoinedStores(list(stores.values()))


def labels(table):
    return np.stack([table["event_id"], table["true_energy"]], axis=-1)


def make(store, parameters=PARAMETERS, **options):
    return StereoBatches(store, np.arange(len(store)), parameters, labels, **{"batch_size": 7, "seed": 3} | options)


def by_event(batches):
    """Inputs and targets of each event, by event_id."""
    found = {}
    for number in range(len(batches)):
        inputs, targets = batches[number]
        for place, target in enumerate(targets):
            found[int(target[0])] = {name: values[place] for name, values in inputs.items()} | {"target": target}
    return found


@pytest.mark.parametrize("in_memory", [True, False])
def test_telescopes_of_all_types_in_one_event(joined, stores, in_memory):
    batches = make(joined, in_memory=in_memory)
    assert batches.tel_ids.tolist() == [1, 2, 3, 4]
    assert {name: values.shape[1:] for name, values in batches[0][0].items()} == batches.shapes
    found = by_event(batches)
    assert found.keys() == SEEN_BY.keys()
    for event_id, inputs in found.items():
        assert inputs["telescopes"].tolist() == [tel_id in SEEN_BY[event_id] for tel_id in (1, 2, 3, 4)]
        assert inputs["telescope_types"].tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]
    # each telescope's inputs are those that it has in the store of its type alone
    for telescope_type, store in stores.items():
        own = np.array([0, 2] if telescope_type == TYPES[1] else [1, 3])
        for event_id, alone in by_event(make(store)).items():
            for name in ("brightest", "brightest_mask", "shower_frame", "parameters", "positions", "telescopes"):
                np.testing.assert_array_equal(found[event_id][name][own], alone[name], err_msg=name)
            np.testing.assert_array_equal(found[event_id]["target"], alone["target"])


def test_order_of_the_types_does_not_count(joined, stores):
    other = JoinedStores(list(stores.values())[::-1])
    assert other.fingerprint == joined.fingerprint
    one, two = (by_event(make(store)) for store in (joined, other))
    for event_id, inputs in one.items():
        for name, values in inputs.items():
            np.testing.assert_array_equal(values, two[event_id][name])


def test_rows_and_columns_belong_together(joined, stores):
    table = joined.table
    assert len(joined) == len(table) == sum(map(len, stores.values()))
    rows = joined.indices("train")
    assert (np.asarray(table["split"])[rows] == 0).all()
    chunks = joined.read(rows)
    assert list(chunks) == TYPES
    for telescope_type, chunk in chunks.items():
        store = stores[telescope_type]
        own = store.indices("train")
        np.testing.assert_array_equal(chunk.image, store.read(own).image)
        np.testing.assert_array_equal(chunk.table["event_id"], store.table["event_id"][own])
    np.testing.assert_array_equal(
        np.concatenate([chunk.table["event_id"] for chunk in chunks.values()]), table["event_id"][rows]
    )
    assert joined.telescope_types == {1: TYPES[1], 2: TYPES[0], 3: TYPES[1], 4: TYPES[0]}
    for chunk in joined.read(rows, ("tel_id", "event_id")).values():
        assert chunk.table.colnames == ["tel_id", "event_id"]


def test_columns_are_kept_by_the_stores_alone(joined):
    one, two = (joined.columns(["hillas_width"])["hillas_width"] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert not np.shares_memory(one, two)


@pytest.mark.parametrize("units", [("GeV", "TeV"), ("TeV", "GeV"), ("TeV", None), (None, "TeV")])
def test_units_of_the_stores_may_differ(stores, units):
    fresh = [EventStore(stores[telescope_type].paths) for telescope_type in TYPES]
    for store, unit in zip(fresh, units, strict=True):
        for part in store.parts:
            assert part.units.pop("true_energy") == "TeV"
            part.units.update({} if unit is None else {"true_energy": unit})
    joined = JoinedStores(fresh)
    values = [np.asarray(stores[telescope_type].table["true_energy"]) for telescope_type in TYPES]
    if "GeV" in units:
        # numbers stay what they are in the store whose unit counts
        values[1] = values[1] * (1000 if units[0] == "GeV" else 0.001)
    wanted, column = np.concatenate(values), joined.columns(["true_energy"])["true_energy"]
    assert column.unit == (units[0] or units[1])
    np.testing.assert_allclose(column, wanted, rtol=1e-6)
    chunks = joined.read(np.arange(len(joined)), ["true_energy"]).values()
    assert {chunk.table["true_energy"].unit for chunk in chunks} == {column.unit}
    np.testing.assert_array_equal(np.concatenate([chunk.table["true_energy"] for chunk in chunks]), column)


def test_provenance_is_that_of_all_types(joined):
    provenance = joined.provenance
    assert provenance["telescope_type"] == joined.telescope_type == ", ".join(TYPES)
    assert provenance["camera"] == "OtherCam, ToyCam"
    assert provenance["camera_fingerprint"] == ", ".join(store.camera_fingerprint for store in joined.stores)
    assert provenance["n_pixels"] == joined.n_pixels == max(store.n_pixels for store in joined.stores)
    assert provenance["n_images"] == len(joined)


def test_joining_reads_no_events(stores, monkeypatch):
    fresh = [EventStore(store.paths) for store in stores.values()]
    monkeypatch.setattr(StorePart, "events", lambda *_: pytest.fail("events are read"))
    assert len(JoinedStores(fresh)) == sum(map(len, stores.values()))


def test_files_are_told_apart_across_the_types(tmp_path):
    """Two files with the same event numbers, the second without images of one type."""
    paths = [
        write_dl1(tmp_path / "a.dl1.h5", mixed_array(), [ToyEvent(1, 1, tel_ids=(1, 2)), ToyEvent(2, 2, tel_ids=(2,))]),
        write_dl1(tmp_path / "b.dl1.h5", mixed_array(), [ToyEvent(1, 8, 101, (2, 4))]),
        write_dl1(tmp_path / "c.dl1.h5", mixed_array(), [ToyEvent(1, 9, 101, (1, 4)), ToyEvent(2, 7, 101, (1,))]),
    ]
    joined = JoinedStores(build(tmp_path / "store", *paths))
    assert sorted(joined.productions) == ["a", "b", "c"]
    assert [item["n_selected"] for item in sorted(joined.provenance["inputs"], key=lambda item: item["path"])] == [
        3, 2, 3,
    ]  # fmt: skip
    read = [name for chunk in joined.read(np.arange(len(joined))).values() for name in chunk.table["production"]]
    np.testing.assert_array_equal(read, joined.columns(["production"])["production"])
    batches = make(joined)
    found = {
        (joined.productions[key["production"]], int(key["event_id"])): (rows >= 0).tolist()
        for key, rows in zip(batches.keys, batches.rows, strict=True)
    }
    assert found == {
        ("a", 1): [True, True, False, False],
        ("a", 2): [False, True, False, False],
        ("b", 1): [False, True, False, True],
        ("c", 1): [True, False, False, True],
        ("c", 2): [True, False, False, False],
    }


def test_what_does_not_go_together(stores, joined, tmp_path):
    (one, two) = stores.values()
    split_otherwise = two_types(tmp_path, split={"seed": 1})
    with pytest.raises(UserError, match=r"is split otherwise than .*\(seed 1 instead of 0\)"):
        JoinedStores([one, split_otherwise[two.telescope_type]])
    (tmp_path / "cut").mkdir()
    cut_otherwise = two_types(tmp_path / "cut", selection=SelectionParameters(quality={"bright": "hillas_width > 0"}))
    with pytest.raises(UserError, match=r"was selected otherwise than .*with the same selection\.$"):
        JoinedStores([one, cut_otherwise[two.telescope_type]])
    with pytest.raises(UserError, match="one telescope type are one store"):
        JoinedStores([one, one])
    for alone in ([], [one]):
        with pytest.raises(UserError, match=r"two telescope types or more: take the event store itself"):
            JoinedStores(alone)
    with pytest.raises(UserError, match="all pixels is for one of them"):
        make(joined, PARAMETERS.model_copy(update={"channels": ("image",)}))
    with pytest.raises(UserError, match="are not augmented"):
        make(joined, augmentation=AugmentationParameters(night_sky=1))


def test_files_of_another_cleaning_are_refused(tmp_path):
    found = []
    for threshold in (8, 9):
        path = write_dl1(tmp_path / f"{threshold}.dl1.h5", mixed_array(), EVENTS[:12])
        settings = make_settings(DL1Parameters(cleaning={"picture_threshold_pe": threshold}), calibrated=True)
        write_settings(path, settings)
        found.append({store.telescope_type: store for store in build(tmp_path / f"store_{threshold}", path)})
    assert len(JoinedStores(list(found[0].values())).provenance["dl1_settings"]["cleaning"]) > 0
    with pytest.raises(UserError, match=r"different settings \(cleaning\.picture_threshold_pe 9\.0 instead of 8\.0\)"):
        JoinedStores([found[0][TYPES[0]], found[1][TYPES[1]]])


def test_a_telescope_of_two_types(stores, tmp_path):
    array = subarray({1: camera(), 2: camera()})
    other = build(tmp_path / "store", write_dl1(tmp_path / "other.dl1.h5", array, [ToyEvent(1, 1)]))
    with pytest.raises(UserError, match="telescope 2 is of several types"):
        make(JoinedStores([stores[TYPES[0]], *other]))


@pytest.mark.parametrize("chunk_size", [1, 5, 2048])
def test_a_file_in_slices_of_whole_events(stores, chunk_size):
    path = stores[TYPES[0]].provenance["inputs"][0]["path"]
    slices = list(iter_array_chunks(path, TYPES, chunk_size))
    for telescope_type in TYPES:
        parts = [chunks[telescope_type] for chunks in slices if telescope_type in chunks]
        alone = list(iter_chunks(path, telescope_type))
        for name in ("event_id", "tel_id"):
            np.testing.assert_array_equal(
                *(np.concatenate([one.table[name] for one in found]) for found in (parts, alone))
            )
        np.testing.assert_array_equal(*(np.concatenate([one.image for one in found]) for found in (parts, alone)))
    events = [{int(one) for chunk in chunks.values() for one in chunk.table["event_id"]} for chunks in slices]
    assert sum(map(len, events)) == len(set.union(*events)) == len(EVENTS)
