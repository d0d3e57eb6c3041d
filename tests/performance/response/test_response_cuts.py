import astropy.units as u
import numpy as np
import pytest
from pyirf.cut_optimization import optimize_cuts

from cherenkov_pipeline.performance.binning import energy_edges, rows_per_bin
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response import ResponseParameters
from cherenkov_pipeline.performance.response.cuts import best_cuts
from cherenkov_pipeline.performance.response.selection import passes_gammaness, passes_theta
from cherenkov_pipeline.performance.response.sensitivity import differential_sensitivity

EDGES = energy_edges(EvaluationParameters(energy_min="1.584893192 TeV", energy_max="15.84893192 TeV"))


def test_fixed_efficiencies_keep_their_share_in_each_bin(sample, fixed):
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, fixed, 20)
    gammaness, theta = passes_gammaness(sample.gammas, cuts), passes_theta(sample.gammas, cuts)
    for rows in rows_per_bin(sample.gammas["reco_energy"], EDGES):
        assert gammaness[rows].mean() == pytest.approx(0.6, abs=0.01)
        assert theta[rows].mean() == pytest.approx(0.68, abs=0.01)


def test_share_that_a_cut_keeps_is_measured_where_the_largest_theta_cut_is_too_small(sample, fixed):
    tight = fixed.model_copy(update={"theta_max": 0.1 * u.deg})
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, tight, 20)
    assert (cuts["theta"] == 0.1 * u.deg).all()
    assert cuts["theta_limited"].all()
    gammaness, theta = passes_gammaness(sample.gammas, cuts), passes_theta(sample.gammas, cuts)
    for row, rows in zip(cuts, rows_per_bin(sample.gammas["reco_energy"], EDGES), strict=True):
        assert row["theta_efficiency"] == pytest.approx(theta[rows].mean())
        assert row["theta_efficiency"] < 0.4
        assert row["gammaness_efficiency"] == pytest.approx(gammaness[rows].mean())
    assert not best_cuts(sample.gammas, sample.protons, EDGES, fixed, 20)["theta_limited"].any()


def test_best_cuts_are_those_of_pyirf(sample, parameters):
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, parameters, 10)
    assert cuts["optimised"].all()
    time = parameters.observation_time
    tables = {}
    for name, events in (("signal", sample.gammas), ("background", sample.protons)):
        table = events[["reco_energy", "theta", "reco_source_fov_offset"]]
        table["gh_score"], table["multiplicity"] = np.asarray(events["gammaness"]), 1
        table["weight"] = (events["weight"] * time).to_value(u.one)
        tables[name] = table
    sensitivity, _, theta, gammaness = optimize_cuts(
        **tables,
        reco_energy_bins=EDGES,
        multiplicity_cuts=[1],
        gh_cut_efficiencies=np.array(parameters.gammaness_efficiencies),
        theta_cut_efficiencies=np.array(parameters.theta_efficiencies),
        fov_offset_max=parameters.background_offset,
        alpha=parameters.alpha,
        theta_min_value=0 * u.deg,
        theta_max_value=parameters.theta_max,
        progress=False,
    )
    np.testing.assert_allclose(cuts["gammaness"], gammaness["cut"])
    np.testing.assert_allclose(cuts["theta"].to_value("deg"), theta["cut"].to_value("deg"))
    found = differential_sensitivity(sample.gammas, sample.protons, cuts, parameters, 10)
    np.testing.assert_allclose(found["relative_sensitivity"], sensitivity["relative_sensitivity"])


def test_chosen_cuts_leave_enough_protons(make_events):
    from cherenkov_pipeline.performance.response.tables import make_sample

    sample = make_sample(*make_events(n_protons=8_000))
    wanted = ResponseParameters(level="subarray", minimum_protons=15)
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, wanted, 20)
    found = differential_sensitivity(sample.gammas, sample.protons, cuts, wanted, 20)
    assert 0 < cuts["optimised"].sum() < len(cuts)
    assert (found["n_protons"][cuts["optimised"]] >= 15).all()
    np.testing.assert_array_equal(found["drawn"], cuts["optimised"])
    loosest = cuts[~cuts["optimised"]]
    np.testing.assert_allclose(loosest["gammaness_efficiency"], 0.9, atol=0.02)
    np.testing.assert_allclose(loosest["theta_efficiency"], 0.8, atol=0.02)


def test_nothing_passes_where_there_are_few_gammas(sample, parameters):
    few = sample.gammas[:50]
    cuts = best_cuts(few, sample.protons, EDGES, parameters, 1000)
    for name in ("gammaness", "gammaness_efficiency", "theta_efficiency"):
        assert np.isnan(np.asarray(cuts[name])).all()
    assert not cuts["theta_limited"].any()
    assert not (passes_gammaness(few, cuts) | passes_theta(few, cuts)).any()
