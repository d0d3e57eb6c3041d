from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table, vstack
from pyirf.spectral import CRAB_HEGRA

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.training.parameters import WeightParameters
from cherenkov_pipeline.training.weights import fit_weights


def events(n_gammas: int = 6000, n_protons: int = 2000, index: float = -2.0) -> Table:
    """Events thrown with dN/dE = E^index between 1 and 100 TeV."""
    rng = np.random.default_rng(0)
    n, power = n_gammas + n_protons, index + 1
    energy = (1 + rng.random(n) * (100**power - 1)) ** (1 / power)
    primary = np.repeat([0, 101], [n_gammas, n_protons])
    return Table({"true_energy": energy * u.TeV, "true_shower_primary_id": primary})


def weigh(table: Table, store=None, **parameters) -> np.ndarray:
    return fit_weights(WeightParameters(**parameters), table, store)(table)


def test_no_weights():
    assert fit_weights(WeightParameters(), events(), None) is None


def test_balanced_classes_count_alike():
    table = events()
    weights = weigh(table, classes="balanced")
    gamma = table["true_shower_primary_id"] == 0
    assert weights[gamma].sum() == pytest.approx(weights[~gamma].sum())
    assert weights.mean() == pytest.approx(1)


def test_given_classes():
    weights = weigh(events(), classes={"proton": 3.0})
    assert weights[-1] / weights[0] == pytest.approx(3)
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("index", [-1.5, -2.0, -2.7])
def test_a_spectrum_becomes_the_one_that_is_wanted(index):
    table = events(40_000, 0, index)
    weights = weigh(table, spectra={"gamma": {"target": -2.2, "simulated": index, "largest": 1000}})
    assert weights.mean() == pytest.approx(1)
    edges = np.geomspace(1, 100, 7)
    counts, _ = np.histogram(table["true_energy"], edges, weights=weights)
    slope = np.polyfit(np.log(edges[:-1]), np.log(counts), 1)[0]
    assert slope == pytest.approx(-1.2, abs=0.05)  # dN/dlogE


def test_spectra_of_pyirf():
    table = events(500, 500)
    weights = weigh(table, spectra={"gamma": {"target": "CRAB_HEGRA", "simulated": -2.0, "largest": 1000}})
    energy = np.asarray(table["true_energy"])
    ratio = weights[:500] / (CRAB_HEGRA(energy[:500] * u.TeV).value * energy[:500] ** 2)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    np.testing.assert_array_equal(weights[500:], 1)


def test_weights_are_not_larger_than_allowed_and_validation_events_get_the_same():
    table = events()
    parameters = WeightParameters(spectra={"gamma": {"target": 0.0, "simulated": -2.0, "largest": 3}})
    weights = fit_weights(parameters, table, None)
    gammas = weights(table)[:6000]
    assert gammas.mean() == pytest.approx(1)
    assert (gammas == gammas.max()).sum() > 100
    np.testing.assert_allclose(weights(table[100:200]), weights(table)[100:200])


def test_what_has_no_effect_is_refused():
    with pytest.raises(UserError, match="no effect: all training events are gamma"):
        weigh(events(10, 0), classes="balanced")
    with pytest.raises(UserError, match="names iron"):
        weigh(events(), classes={"iron": 2.0})
    with pytest.raises(UserError, match="names proton"):
        weigh(events(10, 0), spectra={"proton": {"target": -2.7}})


def store_of(**indices: float | None) -> SimpleNamespace:
    """What `fit_weights` asks of a store: each DL1 file holds one gamma, and may tell the power of its spectrum."""
    table = Table({"true_shower_primary_id": np.zeros(len(indices), int), "production": np.arange(len(indices))})
    inputs = [
        {"path": f"{name}.h5", "thrown": [] if index is None else [{**THROWN, "spectral_index": index}]}
        for name, index in indices.items()
    ]
    return SimpleNamespace(columns=lambda names: table[list(names)], provenance={"inputs": inputs})


THROWN = {"true_shower_primary_id": 0, "n_thrown": 1000, "energy_min": 1.0, "energy_max": 100.0}


def test_the_simulated_spectrum_is_that_of_the_files():
    table = events(1000, 0)
    store = store_of(a=-2.0, b=-2.0)
    wanted = {"target": -2.7, "largest": 100}
    given = weigh(table, spectra={"gamma": {**wanted, "simulated": -2.0}})
    np.testing.assert_allclose(weigh(table, store, spectra={"gamma": wanted}), given)


def test_files_of_several_spectra_are_weighted_by_what_they_are_together():
    together = vstack([events(60_000, 0, -2.0), events(60_000, 0, -1.2)])
    store = store_of(a=-2.0, b=-1.2)  # as many showers of each
    weights = weigh(together, store, spectra={"gamma": {"target": -2.2, "largest": 1000}})
    edges = np.geomspace(1, 100, 7)
    counts, _ = np.histogram(together["true_energy"], edges, weights=weights)
    found = np.diff(np.log(counts)) / np.diff(np.log(edges[:-1]))
    np.testing.assert_allclose(found, -1.2, atol=0.1)  # dN/dlogE


def test_a_spectrum_that_is_not_known_is_an_error():
    wanted = {"gamma": {"target": -2.7}}
    with pytest.raises(UserError, match=r"a.h5 does not tell.*spectra.gamma.simulated"):
        weigh(events(), store_of(a=None), spectra=wanted)
