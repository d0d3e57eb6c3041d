import keras
import numpy as np
import pytest
from tests.store.toy_store import build

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store import EventStore, order
from cherenkov_pipeline.store import batches as module
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.inputs import input_maker
from cherenkov_pipeline.store.packing import TIME_PRECISION
from cherenkov_pipeline.store.parameters import InputParameters

PIXELS = InputParameters(channels=("image", "relative_peak_time"), mapping=None, parameters=("hillas_width",))


def labels(table):
    return np.stack([table["event_id"], table["tel_id"]], axis=-1)


@pytest.fixture(scope="module")
def store(gamma_file, proton_file, tmp_path_factory) -> EventStore:
    return build(tmp_path_factory.mktemp("store"), gamma_file, proton_file)[0]


@pytest.fixture(params=[True, False], ids=["in memory", "from the file"])
def in_memory(request, monkeypatch) -> bool:
    # blocks small enough that a few images make several windows
    for place in (module, order):
        monkeypatch.setattr(place, "BLOCK", 4)
        monkeypatch.setattr(place, "BLOCKS_PER_WINDOW", 3)
    return request.param


def make(store, in_memory, indices=None, **options) -> Batches:
    indices = store.indices(particles=("gamma",)) if indices is None else indices
    options = {"batch_size": 8, "seed": 3} | options
    return Batches(store, indices, PIXELS, labels, in_memory=in_memory, **options)


def seen(batches: Batches) -> list[tuple]:
    return [tuple(row) for number in range(len(batches)) for row in batches[number][1].tolist()]


def test_every_image_once_an_epoch_and_the_partial_batch_is_kept(store, in_memory):
    batches = make(store, in_memory, batch_size=7)
    assert len(batches) == 9
    assert len(batches[8][1]) == 60 - 8 * 7
    table = store.table[store.indices(particles=("gamma",))]
    for epoch in range(3):
        batches.set_epoch(epoch)
        assert sorted(seen(batches)) == sorted(zip(table["event_id"], table["tel_id"], strict=True))


def test_inputs_belong_to_their_targets(store, in_memory):
    batches = make(store, in_memory)
    rows = {tuple(key): row for row, key in enumerate(labels(store.table)[:60].tolist())}
    expected = input_maker(store.camera, PIXELS).from_chunk(store.read(slice(0, 60)))
    for number in np.random.default_rng(0).permutation(len(batches)):
        inputs, targets = batches[number]
        places = [rows[tuple(key)] for key in targets.tolist()]
        for name, values in expected.items():
            np.testing.assert_allclose(inputs[name], values[places], rtol=1e-6, atol=TIME_PRECISION)


def test_order_depends_on_seed_and_epoch_alone(store, in_memory):
    undisturbed = make(store, in_memory)
    epochs = []
    for epoch in range(3):
        undisturbed.set_epoch(epoch)
        epochs.append(seen(undisturbed))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    resumed = make(store, in_memory)
    resumed.set_epoch(2)
    assert seen(resumed) == epochs[2]
    assert seen(make(store, in_memory, seed=4)) != epochs[0]


def test_order_is_the_same_in_memory_and_from_the_file(store, in_memory):
    here, there = make(store, in_memory), make(store, not in_memory)
    for epoch in range(2):
        for batches in (here, there):
            batches.set_epoch(epoch)
        assert seen(here) == seen(there)


def test_batches_do_not_share_memory(store, in_memory):
    batches = make(store, in_memory)
    first = {name: values.copy() for name, values in batches[0][0].items()}
    again = batches[0][0]
    for values in again.values():
        values[...] = -1
    for name, values in batches[0][0].items():
        np.testing.assert_array_equal(values, first[name])


def test_shuffling_mixes_far_rows(store, in_memory):
    batches = make(store, in_memory)
    spans = []
    for epoch in range(5):
        batches.set_epoch(epoch)
        spans.append(np.ptp([event_id for event_id, _ in seen(batches)[:12]]))
    assert np.mean(spans) > 1000  # of 3000


def test_without_shuffling_the_order_is_the_given_one(store, in_memory):
    indices = np.array([5, 1, 40, 40, 2])
    batches = make(store, in_memory, indices=indices, shuffle=False, batch_size=2)
    expected = [tuple(row) for row in labels(store.table[indices]).tolist()]
    assert seen(batches) == expected
    batches.set_epoch(1)
    assert seen(batches) == expected


def test_fewer_images_than_a_batch(store, in_memory):
    """Peers' faults 4 and 7: there, a set smaller than a batch has no batch at all, and partial ones are dropped."""
    batches = make(store, in_memory, indices=[3], batch_size=64)
    assert len(batches) == 1
    assert len(batches[0][1]) == 1


def test_no_images(store):
    with pytest.raises(UserError, match="No images are left"):
        make(store, True, indices=[])


def test_mapped_batches(store, in_memory):
    parameters = InputParameters()
    batches = Batches(store, np.arange(10), parameters, labels, 4, shuffle=False, in_memory=in_memory)
    inputs, _ = batches[1]
    expected = input_maker(store.camera, parameters).from_chunk(store.read(slice(4, 8)))
    np.testing.assert_allclose(inputs["image"], expected["image"], atol=TIME_PRECISION)
    assert {name: values.shape[1:] for name, values in inputs.items()} == batches.shapes


def test_memory_decides_when_asked_to(store, monkeypatch):
    assert make(store, "auto").in_memory
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    assert not make(store, "auto").in_memory


@pytest.mark.parametrize("workers", [1, 2])
def test_keras_sees_every_image_in_the_order_of_the_epoch(store, in_memory, workers):
    """Keras' own loop, with and without worker threads."""
    batches = make(store, in_memory, workers=workers)
    collected = []

    def collect(y_true, y_pred):
        collected.extend(map(tuple, keras.ops.convert_to_numpy(y_true).tolist()))
        return keras.ops.mean(y_pred)

    inputs = {name: keras.Input(shape, name=name) for name, shape in batches.shapes.items()}
    flat = keras.layers.Flatten()(inputs["pixels"])
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()([flat, inputs["parameters"]])))
    model.compile("sgd", loss=collect, run_eagerly=True)
    callback = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.set_epoch(epoch))
    model.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=[callback])
    expected = make(store, in_memory)
    for epoch in range(2):
        expected.set_epoch(epoch)
        assert collected[60 * epoch : 60 * (epoch + 1)] == seen(expected)
    assert len(collected) == 120


def test_processes_are_refused(store):
    with pytest.raises(UserError, match="threads"):
        make(store, True, use_multiprocessing=True)


def test_a_fraction_of_the_images_others_in_each_epoch(store, in_memory):
    batches = make(store, in_memory, batch_size=7, fraction=0.3)
    assert batches.n_events == 18
    assert len(batches) == 3
    drawn = []
    for epoch in range(12):
        batches.set_epoch(epoch)
        epoch_seen = seen(batches)
        assert len(epoch_seen) == len(set(epoch_seen)) == 18
        drawn.append(frozenset(epoch_seen))
    assert len(set(drawn)) == 12
    assert len(frozenset().union(*drawn)) == 60


def test_a_fraction_of_images_in_order_would_be_the_same_always(store, in_memory):
    assert len(seen(make(store, in_memory, fraction=0.3, shuffle=False))) == 60


def test_weights_belong_to_their_images(store, in_memory):
    batches = make(store, in_memory)
    assert len(batches[0]) == 2
    batches.weigh(batches.events(("event_id",))["event_id"] / 7)
    for number in range(len(batches)):
        _, targets, weights = batches[number]
        np.testing.assert_allclose(weights, targets[:, 0] / 7, rtol=1e-6)
    with pytest.raises(ValueError, match="60 weights"):
        batches.weigh(np.ones(3))
