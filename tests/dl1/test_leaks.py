"""Nothing but the showers may tell simulated gammas from protons.

A simulation can give the particle away by a clock of its own, a baseline, a normalisation; networks find it at once,
and all that they learn is worthless. A strong classifier that sees everything an image has is therefore set on gammas
and protons of like brightness: it must not separate them better than showers allow.
"""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from cherenkov_pipeline.dl1 import simulated
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.simulation import Production, SimulationParameters
from cherenkov_pipeline.simulation.showers import prepare, simulate
from cherenkov_pipeline.simulation.throwing import throw
from cherenkov_pipeline.store.chunks import EventChunk, cameras, iter_chunks

#: AUC that no classifier may reach; showers alone give about 0.84
CEILING = 0.95
INTENSITY_EDGES = np.geomspace(50, 5000, 13)

GAMMA = Production(
    particle="gamma",
    n_files=1,
    n_showers=1800,
    energy_min="1 TeV",
    energy_max="50 TeV",
    core_radius="400 m",
    viewcone_radius="3 deg",
)
PROTON = GAMMA.model_copy(update={"particle": "proton", "n_showers": 900, "uses_per_shower": 4})


def produce(path: Path, production: Production, simulate) -> EventChunk:
    """Images above 50 p.e. of what ``simulate`` gives."""
    parameters = SimulationParameters(training={}, test={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated, "simulate", simulate)
        simulated.write_run(path, "leaks", 1, np.random.SeedSequence(1), parameters, production, DL1Parameters())
    (telescope_type,) = cameras(path)
    chunk = next(iter_chunks(path, telescope_type, chunk_size=10**6))
    return chunk[np.asarray(chunk.table["hillas_intensity"]) > 50]


@pytest.fixture(scope="module")
def gammas(tmp_path_factory):
    return produce(tmp_path_factory.mktemp("leaks") / "gamma.dl1.h5", GAMMA, simulate)


@pytest.fixture(scope="module")
def proton_events():
    """Simulated once, given away in several ways."""
    setup, rng = prepare(SimulationParameters(training={}, test={})), np.random.default_rng(2)
    return list(simulate(PROTON, throw(PROTON, setup.pointing, rng), setup, rng))


def features(chunk: EventChunk) -> np.ndarray:
    """All image parameters, and what simple sums over pixels would show of clocks and baselines."""
    prefixes = ("hillas_", "timing_", "leakage_", "concentration_", "morphology_", "intensity_", "peak_time_")
    columns = [np.asarray(chunk.table[name], dtype=float) for name in chunk.table.colnames if name.startswith(prefixes)]
    assert len(columns) > 30
    dark = np.where(chunk.image_mask, np.nan, chunk.image)
    lit_time = np.where(chunk.image_mask, chunk.peak_time, np.nan)
    dark_time = np.where(chunk.image_mask, np.nan, chunk.peak_time)
    brightest = np.take_along_axis(chunk.peak_time, chunk.image.argmax(axis=1)[:, None], axis=1)[:, 0]
    pixels = [f(values, axis=1) for values in (dark, dark_time, lit_time) for f in PIXEL_STATISTICS]
    return np.column_stack([*columns, *pixels, brightest])


PIXEL_STATISTICS = (np.nanmin, np.nanmean, np.nanmedian, np.nanstd, np.nanmax)


def of_like_intensity(gammas: EventChunk, protons: EventChunk, rng: np.random.Generator) -> list[EventChunk]:
    """Equal numbers of both in each bin of intensity."""
    bins = [np.digitize(chunk.table["hillas_intensity"], INTENSITY_EDGES) for chunk in (gammas, protons)]
    rows = ([], [])
    for index in range(1, len(INTENSITY_EDGES)):
        found = [rng.permutation(np.flatnonzero(of == index)) for of in bins]
        n = min(len(of) for of in found)
        for kept, of in zip(rows, found, strict=True):
            kept.append(of[:n])
    return [chunk[np.concatenate(kept)] for chunk, kept in zip((gammas, protons), rows, strict=True)]


def separation(gammas: EventChunk, protons: EventChunk) -> float:
    """AUC of the classifier on showers that it has not seen."""
    matched = of_like_intensity(gammas, protons, np.random.default_rng(0))
    x = np.concatenate([features(chunk) for chunk in matched])
    y = np.repeat([0, 1], [len(chunk) for chunk in matched])
    assert y.sum() > 300
    showers = np.concatenate([np.asarray(chunk.table["event_id"]) // 100 for chunk in matched]) * 2 + y
    classifier = HistGradientBoostingClassifier(max_iter=50, random_state=0)
    with threadpool_limits(1):  # its threads wait for each other where the machine is shared
        score = cross_val_predict(classifier, x, y, groups=showers, cv=GroupKFold(4), method="predict_proba")[:, 1]
    return roc_auc_score(y, score)


def test_no_classifier_separates_too_well(gammas, proton_events, tmp_path):
    auc = separation(gammas, produce(tmp_path / "proton.dl1.h5", PROTON, lambda *_: iter(proton_events)))
    assert 0.7 < auc < CEILING  # showers do differ


def shifted_times(image, rng):
    image.peak_time[:] += 1  # ns


def brighter_sky(image, rng):
    image.image[image.true_image == 0] += 0.1  # p.e.


def own_clock(image, rng):
    lit = image.true_image > 0
    image.peak_time[lit] += rng.normal(0, 3, lit.sum())  # ns


@pytest.mark.parametrize(
    "leak",
    [
        shifted_times,
        pytest.param(brighter_sky, marks=pytest.mark.slow),
        pytest.param(own_clock, marks=pytest.mark.slow),
    ],
)
def test_a_leak_would_be_noticed(leak, gammas, proton_events, tmp_path):
    def leaking(production, throws, setup, rng):
        for event in deepcopy(proton_events):
            for image in event.images.values():
                leak(image, rng)
            yield event

    assert separation(gammas, produce(tmp_path / "proton.dl1.h5", PROTON, leaking)) > CEILING
