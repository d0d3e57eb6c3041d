"""Gammas and protons with the same obs_id and event_id, as two productions numbered alike give them, stay apart."""

import numpy as np
import pytest
from tests.store.toy_store import build

from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.store.stereo import StereoBatches

PIXELS = InputParameters(channels=("image",), mapping=None)


@pytest.fixture(scope="module", params=["gammas first", "protons first"])
def store(request, gamma_file, proton_file, tmp_path_factory) -> EventStore:
    """30 gammas and 20 protons, each seen by both telescopes; the protons have numbers of the gammas."""
    files = [gamma_file, proton_file] if request.param == "gammas first" else [proton_file, gamma_file]
    (store,) = build(tmp_path_factory.mktemp("store"), *files)
    return store


def by_shower(table) -> np.ndarray:
    """Shower and particle as labels."""
    return np.stack([np.asarray(table["true_energy"]), np.asarray(table["true_shower_primary_id"])], axis=-1)


def test_numbers_are_equal(store):
    table = store.table
    gamma = table["true_shower_primary_id"] == 0
    keys = [{(row["obs_id"], row["event_id"], row["tel_id"]) for row in table[one]} for one in (gamma, ~gamma)]
    assert keys[1] < keys[0]


def test_stereo_events_are_not_fused(store):
    batches = StereoBatches(
        store, np.arange(len(store)), PIXELS, by_shower, batch_size=7, shuffle=False, in_memory=True
    )
    inputs, labels = zip(*(batches[number] for number in range(len(batches))), strict=True)
    labels = np.concatenate(labels)
    images = np.concatenate([one["pixels"] for one in inputs])

    assert len(labels) == 50
    assert (labels[:, 1] == 101).sum() == 20
    assert len(np.unique(labels[:, 0])) == 50
    assert all(one["telescopes"].all() for one in inputs)
    # both telescopes' images are those of the shower that the label is of
    chunk = store.read(slice(None))
    for label, of_event in zip(labels, images, strict=True):
        for telescope, image in zip(batches.tel_ids, of_event, strict=True):
            (row,) = np.flatnonzero(
                (np.asarray(chunk.table["true_energy"], dtype=np.float32) == label[0])
                & (chunk.table["tel_id"] == telescope)
            )
            np.testing.assert_array_equal(image.reshape(-1), chunk.image[row])


def test_split_and_showers_know_the_particle(store):
    table = store.table
    showers = {particle: set(table["shower"][table["true_shower_primary_id"] == particle]) for particle in (0, 101)}
    assert (len(showers[0]), len(showers[101])) == (30, 20)
    assert not showers[0] & showers[101]
