import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz
from ctapipe.coordinates import NominalFrame
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1
from tests.store.toy_store import build

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store import EventStore, order
from cherenkov_pipeline.store import batches as module
from cherenkov_pipeline.store.inputs import input_maker
from cherenkov_pipeline.store.layout import TELESCOPE_DTYPE
from cherenkov_pipeline.store.parameters import AugmentationParameters, InputParameters
from cherenkov_pipeline.store.stereo import StereoBatches, pointing_positions

PARAMETERS = InputParameters(brightest=20, parameters=("hillas_width",))
TELESCOPES = (1, 2, 3)
SEEN_BY = {100: (1, 2, 3), 200: (2, 3), 300: (1,), 400: (1, 3), 500: (2,), 600: (1, 2)}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> EventStore:
    """Gammas and protons with the same obs_id and event_ids, seen by the same telescopes."""
    folder = tmp_path_factory.mktemp("stereo")
    array = subarray({tel_id: camera() for tel_id in TELESCOPES})
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


def make(store, indices=None, parameters=PARAMETERS, **options) -> StereoBatches:
    indices = np.arange(len(store)) if indices is None else indices
    return StereoBatches(store, indices, parameters, labels, **{"batch_size": 4, "seed": 3} | options)


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
            assert telescopes.tolist() == [tel_id in SEEN_BY[event_id] for tel_id in TELESCOPES]


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
        for place, tel_id in enumerate(TELESCOPES):
            number = row.get((int(event_id), int(primary), tel_id))
            for name, values in single.items():
                if number is None:
                    assert not inputs[name][place].any()
                elif name in ("image", "parameters"):
                    np.testing.assert_allclose(inputs[name][place], values[number], atol=2**-7, rtol=1e-3)
                else:
                    np.testing.assert_allclose(inputs[name][place].sum(0), values[number].sum(0), atol=0.1, rtol=1e-3)


def test_shapes_and_positions(store):
    """The toys stand in a row, 70 m apart to the north, and look to the south, 20 deg from the zenith."""
    batches = make(store)
    inputs, _ = batches[0]
    assert {name: values.shape[1:] for name, values in inputs.items()} == batches.shapes
    assert {values.dtype for values in inputs.values()} == {np.dtype(np.float32)}
    assert batches.tel_ids.tolist() == list(TELESCOPES)
    lon, lat, along = np.moveaxis(inputs["positions"], -1, 0)
    north = np.array([0.7, 1.4, 2.1])
    np.testing.assert_allclose(lon, 0 * lon, atol=1e-6)
    np.testing.assert_allclose(lat, np.tile(np.sin(np.deg2rad(70)) * north, (4, 1)), rtol=1e-5)
    np.testing.assert_allclose(along, np.tile(-np.cos(np.deg2rad(70)) * north, (4, 1)), rtol=1e-5)


def test_positions_are_where_ctapipe_sees_them():
    """A lamp in the air, seen from each telescope: in the frame of the pointing its direction is a plain difference."""
    rng = np.random.default_rng(5)
    places = np.concatenate([rng.uniform(-300, 300, (4, 3)), rng.uniform(8000, 9000, (1, 3))])
    records = np.array([(number, *place) for number, place in enumerate(places)], dtype=TELESCOPE_DTYPE)
    altitude, azimuth = np.deg2rad([50.0, 70.0, 85.0]), np.deg2rad([30.0, 180.0, 300.0])
    found = pointing_positions(records, altitude, azimuth).astype(float)
    a, b, c = np.moveaxis(found[:, 4:] - found[:, :4], -1, 0)
    north, west, up = (places[4] - places[:4]).T
    for number in range(3):
        lamp = AltAz(az=np.arctan2(-west, north) * u.rad, alt=np.arctan2(up, np.hypot(north, west)) * u.rad)
        pointing = AltAz(az=azimuth[number] * u.rad, alt=altitude[number] * u.rad)
        # not ctapipe's altaz_to_nominal: it fails where gammapy has made a frame with an origin in the same process
        seen = lamp.transform_to(NominalFrame(origin=pointing))
        lon, lat = (angle.to_value(u.rad) for angle in (seen.fov_lon, seen.fov_lat))
        np.testing.assert_allclose(lon, np.arctan2(a[number], c[number]), atol=1e-6)
        np.testing.assert_allclose(lat, np.arctan2(b[number], np.hypot(a[number], c[number])), atol=1e-6)


def test_events_with_enough_images(store, in_memory):
    """Those with fewer are left out, and their images are not read."""
    for number, wanted in ((1, 6), (2, 4), (3, 1)):
        batches = make(store, parameters=PARAMETERS.model_copy(update={"min_telescopes": number}), in_memory=in_memory)
        assert len(batches.targets) == 2 * wanted
        events = epoch(batches)
        assert all(inputs["telescopes"].sum() >= number for inputs, _ in events)
        assert {int(target[0]) for _, target in events} == {
            event_id for event_id, tel_ids in SEEN_BY.items() if len(tel_ids) >= number
        }
    with pytest.raises(UserError, match=r"has 4 images, at most 3: lower input.min_telescopes"):
        make(store, parameters=PARAMETERS.model_copy(update={"min_telescopes": 4}))


def test_keys_and_rows_of_the_events(store):
    batches = make(store, np.arange(len(store))[::-1], parameters=PARAMETERS.model_copy(update={"min_telescopes": 2}))
    table = store.table
    assert len(np.unique(batches.keys)) == len(batches.targets) == len(batches.rows)
    for key, rows, target in zip(batches.keys, batches.rows, batches.targets, strict=True):
        assert key["event_id"] == target[0]
        seen = rows[rows >= 0]
        assert (table["tel_id"][seen] == np.array(TELESCOPES)[rows >= 0]).all()
        for name in ("production", "obs_id", "event_id"):
            assert (table[name][seen] == key[name]).all()


def test_an_event_without_pointing(store, monkeypatch):
    columns = store.columns

    def without(names):
        table = columns(names).copy()
        if "telescope_pointing_altitude" in names:
            table["telescope_pointing_altitude"] = np.nan
        return table

    monkeypatch.setattr(store, "columns", without)
    with pytest.raises(UserError, match="events without pointing"):
        make(store)


def test_augmentation_that_would_move_images_past_the_telescopes(store):
    with pytest.raises(UserError, match=r"stand where they stand"):
        make(store, augmentation=AugmentationParameters(mirror=True))
    make(store, augmentation=AugmentationParameters(night_sky=2.0))[0]


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


def test_files_of_two_arrays(tmp_path):
    """They make a store for single telescopes; together, their telescopes are told apart."""
    paths = []
    for number, distance in enumerate((70.0, 70.05, 100.0)):
        array = subarray({tel_id: camera() for tel_id in (1, 2)}, distance)
        events = [ToyEvent(event_id, 10 * number + event_id) for event_id in (1, 2)]
        paths.append(write_dl1(tmp_path / f"{number}.dl1.h5", array, events))
    same = build(tmp_path / "same", *paths[:2])[0]
    assert same.telescopes["x"].tolist() == [70, 140]
    other = build(tmp_path / "other", paths[0], paths[2])[0]
    assert len(other.read(slice(None)).image) == 8
    with pytest.raises(UserError, match=r"different arrays: telescope 1 stands at \(70, 0, 0\) m and at \(100, "):
        make(other)


def test_the_store_knows_telescopes_without_images(tmp_path):
    array = subarray({tel_id: camera() for tel_id in TELESCOPES})
    path = write_dl1(tmp_path / "one.dl1.h5", array, [ToyEvent(1, 1, tel_ids=(2,)), ToyEvent(2, 2, tel_ids=(1, 2))])
    store = build(tmp_path / "store", path)[0]
    assert store.telescopes["tel_id"].tolist() == list(TELESCOPES)
    assert store.telescopes["x"].tolist() == [70, 140, 210]
    assert make(store).shapes["telescopes"] == (3,)
