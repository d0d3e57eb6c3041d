import numpy as np
import pytest
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1
from tests.store.toy_store import build

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store import EventStore, order
from cherenkov_pipeline.store import batches as module
from cherenkov_pipeline.store.inputs import input_maker
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.store.stereo import StereoBatches

PARAMETERS = InputParameters(brightest=20, parameters=("hillas_width",))
POSITIONS = {1: (-70.0, 0, 0), 2: (70.0, 0, 0), 3: (0.0, 90.0, 30.0)}
SEEN_BY = {100: (1, 2, 3), 200: (2, 3), 300: (1,), 400: (1, 3), 500: (2,), 600: (1, 2)}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> EventStore:
    """Gammas and protons with the same obs_id and event_ids, seen by the same telescopes."""
    folder = tmp_path_factory.mktemp("stereo")
    array = subarray({tel_id: camera() for tel_id in POSITIONS})
    for name, primary, seed in (("gamma", 0, 0), ("proton", 101, 1000)):
        events = [ToyEvent(event_id, seed + event_id, primary, tel_ids) for event_id, tel_ids in SEEN_BY.items()]
        write_dl1(folder / f"{name}.dl1.h5", array, events)
    return build(folder / "store", folder / "gamma.dl1.h5", folder / "proton.dl1.h5")[0]


@pytest.fixture(params=[True, False], ids=["in memory", "from the file"])
def in_memory(request, monkeypatch) -> bool:
    for place in (module, order):
        monkeypatch.setattr(place, "BLOCK", 2)
        monkeypatch.setattr(place, "BLOCKS_PER_WINDOW", 2)
    return request.param


def labels(table):
    return np.stack([table["event_id"], table["true_shower_primary_id"], table["true_energy"]], axis=-1)


def make(store, indices=None, positions=POSITIONS, **options) -> StereoBatches:
    indices = np.arange(len(store)) if indices is None else indices
    return StereoBatches(store, indices, positions, PARAMETERS, labels, **{"batch_size": 4, "seed": 3} | options)


def epoch(batches: StereoBatches) -> list[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Events of an epoch, one by one."""
    events = []
    for number in range(len(batches)):
        inputs, targets = batches[number]
        events += [({name: values[i] for name, values in inputs.items()}, targets[i]) for i in range(len(targets))]
    return events


def test_every_event_once_with_its_telescopes(store, in_memory):
    batches = make(store, in_memory=in_memory, batch_size=5)
    assert len(batches) == 3
    assert len(batches[2][1]) == 2
    for number in range(2):
        batches.set_epoch(number)
        found = {(int(target[0]), int(target[1])): inputs["telescopes"] for inputs, target in epoch(batches)}
        assert found.keys() == {(event_id, primary) for event_id in SEEN_BY for primary in (0, 101)}
        for (event_id, _), telescopes in found.items():
            assert telescopes.tolist() == [tel_id in SEEN_BY[event_id] for tel_id in POSITIONS]


def test_events_of_two_files_are_never_one(store):
    """Peers' fault 2: dl1-data-handler joins gamma and proton events of equal obs_id and event_id."""
    keys = store.table["obs_id", "event_id"]
    assert len(np.unique(keys)) == len(SEEN_BY)
    energies = {
        (int(row["event_id"]), int(row["true_shower_primary_id"])): float(row["true_energy"]) for row in store.table
    }
    for inputs, (event_id, primary, energy) in epoch(make(store)):
        assert energy == pytest.approx(energies[int(event_id), int(primary)], rel=1e-6)
        assert inputs["telescopes"].sum() == len(SEEN_BY[int(event_id)])


def test_images_are_those_of_their_telescopes_and_missing_ones_are_zero(store, in_memory):
    single = input_maker(store.camera, PARAMETERS).from_chunk(store.read(slice(None)))
    row = {
        (int(one["event_id"]), int(one["true_shower_primary_id"]), int(one["tel_id"])): number
        for number, one in enumerate(store.table)
    }
    for inputs, (event_id, primary, _) in epoch(make(store, in_memory=in_memory)):
        for place, tel_id in enumerate(POSITIONS):
            number = row.get((int(event_id), int(primary), tel_id))
            for name, values in single.items():
                if number is None:
                    assert not inputs[name][place].any()
                elif name in ("image", "parameters"):
                    np.testing.assert_allclose(inputs[name][place], values[number], atol=2**-7, rtol=1e-3)
                else:
                    np.testing.assert_allclose(inputs[name][place].sum(0), values[number].sum(0), atol=0.1, rtol=1e-3)


def test_shapes_and_positions(store):
    batches = make(store)
    inputs, _ = batches[0]
    assert {name: values.shape[1:] for name, values in inputs.items()} == batches.shapes
    assert {values.dtype for values in inputs.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(inputs["positions"].mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(np.diff(inputs["positions"][0], axis=0), np.diff(list(POSITIONS.values()), axis=0))


def test_a_part_of_the_images_masks_the_others(store):
    """Rows that a cut removed are missing telescopes, not other events."""
    rows = np.flatnonzero(np.asarray(store.table["tel_id"]) != 1)
    events = epoch(make(store, rows))
    assert len(events) == 10
    assert not any(inputs["telescopes"][0] for inputs, _ in events)


def test_events_do_not_cross_the_split(store):
    """Peers' fault 3: the split is by shower, so that all telescopes of an event are on one side."""
    n_images = {}
    for split in ("train", "validation", "test"):
        indices = store.indices(split)
        for inputs, (event_id, primary, _) in epoch(make(store, indices)) if len(indices) else []:
            assert inputs["telescopes"].sum() == len(SEEN_BY[int(event_id)])
            n_images[event_id, primary] = n_images.get((event_id, primary), 0) + 1
    assert set(n_images.values()) == {1}
    assert len(n_images) == 2 * len(SEEN_BY)


def test_unknown_telescope(store):
    with pytest.raises(UserError, match="telescope 3: give its position"):
        make(store, positions={1: (0, 0, 0), 2: (1, 0, 0)})
