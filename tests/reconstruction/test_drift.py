"""Drift of data against the training data: of the same particle, of the sky, and where nothing is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from tests.store.toy_dl1 import geometry

from cherenkov_pipeline.dl1.cameras import camera_fingerprint
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.models.reference import make_reference
from cherenkov_pipeline.reconstruction.drift import DriftCounter, describe_drift, drift_summary, drift_table
from cherenkov_pipeline.reconstruction.parameters import DriftParameters
from cherenkov_pipeline.reconstruction.provenance import reconstruction_provenance
from cherenkov_pipeline.store import EventChunk
from cherenkov_pipeline.store.quantities import given_quantities, image_quantities

CAMERA = geometry(rings=3)
WIDTHS = {0: 0.08, 101: 0.13, -1: 0.13}
"""Of gammas, protons, and cosmic rays without a truth."""


def chunk(n: int, primary: int, seed: int, *, noise: float = 1.0, width: float = 1.0) -> EventChunk:
    rng = np.random.default_rng(seed)
    table = Table(
        {
            "obs_id": np.ones(n, dtype=int),
            "event_id": np.arange(n) // 2,
            "true_shower_primary_id": np.full(n, primary),
            "hillas_intensity": 10 ** rng.uniform(1.7, 3.5, n),
            "timing_slope": rng.normal(0, 3, n),
            "hillas_width": width * WIDTHS[primary] * rng.lognormal(0, 0.2, n),
        }
    )
    # the light of the showers in some pixels
    image = rng.normal(2, noise * rng.lognormal(0, 0.05, (n, 1)), (n, CAMERA.n_pixels)).astype(np.float32)
    image[:, :2] += 100
    return EventChunk(table, image, np.zeros_like(image), image > 50)


def model(task: str, *primaries: int) -> SimpleNamespace:
    names = {0: "gamma", 101: "proton"}
    references = []
    for primary in primaries:
        training = chunk(3000, primary, seed=primary)
        references.append(
            make_reference("TOY", names[primary], given_quantities(training.table), image_quantities(training))
        )
    camera = SimpleNamespace(fingerprint=camera_fingerprint(CAMERA), telescope_type="TOY")
    card = SimpleNamespace(name="toy", task=task, cameras=(camera,), references=tuple(references))
    return SimpleNamespace(card=card, cameras=(CAMERA,))


@pytest.fixture(scope="module")
def both() -> list[SimpleNamespace]:
    """Models of two tasks, trained on one store: gammas teach the energy, both particles the type."""
    return [model("energy", 0, 101), model("type", 0, 101)]


def compare(models, *chunks: EventChunk, **parameters):
    records = []
    for one in chunks:  # one file each
        counter = DriftCounter(models)
        counter.add("TOY", CAMERA, one, np.ones(len(one), dtype=bool))
        records += counter.record()
    return drift_table(records, DriftParameters(**parameters))


def drifted(table) -> set[tuple[str, str]]:
    return {(str(row["data"]), str(row["quantity"])) for row in table if row["drifted"]}


def test_other_events_of_the_same_population(both):
    table = compare(both, chunk(1000, 0, 1), chunk(800, 101, 2), chunk(900, 101, 3), chunk(700, -1, 4))
    assert drifted(table) == set()
    assert describe_drift(table) is None
    assert set(table["tasks"]) == {"energy, type"}  # the same training data are there once
    protons = table[table["data"] == "proton"]
    assert set(protons["n_images"]) == {1700}
    assert set(protons["n_events"]) == {850}


def test_what_changed_is_named(both):
    table = compare(both, chunk(1000, 0, 1, noise=1.3), chunk(1000, 101, 2, width=1.3))
    assert drifted(table) == {("gamma", "pixel_spread"), ("proton", "hillas_width")}
    text = describe_drift(table)
    assert len(text.splitlines()) == 4
    assert "noise of dark pixels" in text
    assert "(larger)" in text
    assert "differs in noise of dark pixels" in drift_summary(table)[0]["text"]


def test_few_events_are_not_judged(both):
    table = compare(both, chunk(100, 0, 1, noise=2))
    assert drifted(table) == set()
    assert "fewer than 100 events" in drift_summary(table)[0]["text"]
    assert drifted(compare(both, chunk(100, 0, 1, noise=2), minimum_events=20)) == {("gamma", "pixel_spread")}


def test_hadrons_against_gammas_alone_tell_nothing_but_the_noise():
    """Cosmic rays are broader than the gammas of the training: no drift."""
    gammas = [model("energy", 0)]
    for primary in (-1, 101):
        assert drifted(compare(gammas, chunk(1000, primary, 5))) == set()
        noisy = compare(gammas, chunk(1000, primary, 5, noise=1.3))
        assert {quantity for _, quantity in drifted(noisy)} == {"pixel_spread"}


def test_images_that_are_not_selected_do_not_count(both):
    counter = DriftCounter(both)
    images = chunk(1000, 0, 1, noise=2)
    counter.add("TOY", CAMERA, images, np.arange(1000) < 300)
    (record,) = counter.record()
    assert (record["n_images"], record["n_events"]) == (300, 150)


def test_cards_without_references_and_other_cameras_say_nothing():
    for models, camera in (([model("energy")], CAMERA), ([model("energy", 0)], geometry(rings=4))):
        counter = DriftCounter(models)
        counter.add("TOY", camera, chunk(200, 0, 1), np.ones(200, dtype=bool))
        assert counter.record() == []
    assert len(drift_table([], DriftParameters())) == 0


def test_provenance_has_the_check(both):
    table = compare(both, chunk(1000, 0, 1, noise=1.3))
    last = reconstruction_provenance([], FileSet("a"), FileSet("b"), table).iloc[-1]
    assert (last["step"], last["item"], last["n_in"], last["n_out"]) == ("drift check", "gamma", 1000, 1000)
    assert "models of energy, type: differs in noise of dark pixels" in last["detail"]
