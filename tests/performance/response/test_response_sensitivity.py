import astropy.units as u
import numpy as np
import pytest
from pyirf.spectral import CRAB_HEGRA
from pyirf.statistics import li_ma_significance

from cherenkov_pipeline.performance.binning import energy_edges, rows_per_bin
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response.cuts import best_cuts
from cherenkov_pipeline.performance.response.selection import cuts_table
from cherenkov_pipeline.performance.response.sensitivity import (
    LIMITS,
    differential_sensitivity,
    relative_sensitivity,
)

EDGES = energy_edges(EvaluationParameters())


def test_without_background_ten_gammas_are_needed(parameters):
    signal = np.array([20.0, 200.0, 2000.0])
    np.testing.assert_allclose(relative_sensitivity(signal, np.zeros(3), parameters), 10 / signal)


def test_large_background_needs_a_share_of_it(parameters):
    found = relative_sensitivity(np.array([1e4]), np.array([1e7]), parameters)
    assert found[0] * 1e4 == pytest.approx(0.05 * parameters.alpha * 1e7)


def test_between_them_the_significance_decides(parameters):
    signal, background = np.array([500.0]), np.array([1000.0])
    found = relative_sensitivity(signal, background, parameters)
    n_on = found * signal + parameters.alpha * background
    assert li_ma_significance(n_on, background, parameters.alpha)[0] == pytest.approx(5)


def test_without_gammas_there_is_none(parameters):
    assert np.isnan(relative_sensitivity(np.zeros(1), np.ones(1), parameters)).all()


def test_without_protons_a_bin_is_computed_but_not_drawn(sample, parameters):
    """The ten gammas that are needed are those of the observation time."""
    n = len(EDGES) - 1
    cuts = cuts_table(EDGES, np.zeros(n), np.full(n, 0.5) * u.deg)
    nothing = sample.protons[:0]
    hours = {}
    for time in (50, 100):
        options = parameters.model_copy(update={"observation_time": time * u.h})
        hours[time] = differential_sensitivity(sample.gammas, nothing, cuts, options, 20)
    table = hours[50]
    some = table["n_gammas"] > 0
    np.testing.assert_allclose(table["relative_sensitivity"][some] * table["n_signal"][some], 10)
    np.testing.assert_allclose(hours[100]["relative_sensitivity"][some], table["relative_sensitivity"][some] / 2)
    assert set(table["limited_by"][some]) == {LIMITS["excess"]}
    assert not table["drawn"].any()


def test_flux_is_that_of_the_crab_at_the_centre(sample, fixed):
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, fixed, 20)
    table = differential_sensitivity(sample.gammas, sample.protons, cuts, fixed, 20)
    table = table[table["drawn"]]
    assert len(table) > 4
    energy = table["reco_energy_center"]
    expected = (table["relative_sensitivity"] * CRAB_HEGRA(energy) * energy**2).to("erg cm-2 s-1")
    np.testing.assert_allclose(table["sensitivity"].value, expected.value)
    assert (table["sensitivity_low"] <= table["sensitivity"]).all()
    assert (table["sensitivity"] <= table["sensitivity_high"]).all()


def test_number_of_gammas_is_that_of_the_crab(sample, fixed):
    """By hand: weights of what passes both cuts, times 50 h."""
    n = len(EDGES) - 1
    cuts = cuts_table(EDGES, np.zeros(n), np.full(n, 0.2) * u.deg)
    table = differential_sensitivity(sample.gammas, sample.protons, cuts, fixed, 20)
    seen = sample.gammas[sample.gammas["theta"] <= 0.2 * u.deg]
    total = (seen["weight"].sum() * 50 * u.h).to_value(u.one)
    assert table["n_signal"].sum() == pytest.approx(total)


def test_bounds_of_the_sensitivity_are_those_of_fewer_and_more_gammas(sample, parameters):
    """Without background ten gammas are needed: the flux is 10 / n, and n is known to the root of the sum of w^2."""
    n = len(EDGES) - 1
    cuts = cuts_table(EDGES, np.zeros(n), np.full(n, 90) * u.deg)
    table = differential_sensitivity(sample.gammas, sample.protons[:0], cuts, parameters, 20)
    some = table["n_gammas"] > 1
    weights = [sample.gammas["weight"][own].value for own in rows_per_bin(sample.gammas["reco_energy"], EDGES)]
    error = np.array([np.sqrt((own**2).sum()) / own.sum() if len(own) else np.nan for own in weights])[some]
    flux = table["sensitivity"][some]
    np.testing.assert_allclose(table["sensitivity_high"][some] / flux, 1 / (1 - error), rtol=1e-6)
    np.testing.assert_allclose(table["sensitivity_low"][some] / flux, 1 / (1 + error), rtol=1e-6)


def test_each_condition_that_decides_is_named(sample, fixed):
    n = len(EDGES) - 1
    cuts = cuts_table(EDGES, np.zeros(n), np.full(n, 0.5) * u.deg)
    table = differential_sensitivity(sample.gammas, sample.protons, cuts, fixed, 20)
    excess = np.asarray(table["relative_sensitivity"] * table["n_signal"])
    share = np.isclose(excess, fixed.minimum_excess_share * np.asarray(table["n_background"])) & np.isfinite(excess)
    ten = np.isclose(excess, fixed.minimum_excess)
    expected = np.select(
        [share, ten, np.isfinite(excess)], [LIMITS["share"], LIMITS["excess"], LIMITS["significance"]], ""
    )
    np.testing.assert_array_equal(np.asarray(table["limited_by"]), expected)
    assert {LIMITS["share"], LIMITS["significance"]} <= set(table["limited_by"])
