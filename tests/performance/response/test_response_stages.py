from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from tests.performance.response.conftest import ALT, AZ, EFFICIENCY, OFFSET, RADIUS

from cherenkov_pipeline.directions import separation
from cherenkov_pipeline.performance.binning import energy_edges, rows_per_bin
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response import stages
from cherenkov_pipeline.performance.response.cuts import best_cuts

EDGES = energy_edges(EvaluationParameters())
AREA = EFFICIENCY * np.pi * RADIUS**2


def test_known_area_comes_back(sample, info, fixed):
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, fixed, 20)
    left = stages.stages(sample.gammas, cuts)
    table = stages.areas(sample.gammas, left, info, EDGES, 20)
    for stage, kept in (("trigger", 1), ("quality", 1), ("gammaness", 0.6), ("theta", 0.6 * 0.68)):
        rows = table[(table["stage"] == stage) & table["drawn"]]
        assert len(rows) >= 8
        inside = rows[(rows["true_energy_low"] > 1.5 * u.TeV) & (rows["true_energy_high"] < 70 * u.TeV)]
        value, low, high = (inside[name].to_value("m2") for name in ("area", "area_low", "area_high"))
        pull = (value - kept * AREA) / (0.5 * (high - low))
        assert np.abs(pull).max() < 4, stage


def test_bins_that_were_not_thrown_have_no_area(sample, info, fixed):
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, fixed, 20)
    table = stages.areas(sample.gammas, stages.stages(sample.gammas, cuts), info, EDGES, 20)
    outside = (table["true_energy_high"] < 1 * u.TeV) | (table["true_energy_low"] > 101 * u.TeV)
    assert np.isnan(table["area"][outside]).all()
    assert not table["drawn"][outside].any()


def test_two_images_of_a_shower_err_together(sample, info):
    twice = sample.gammas[np.repeat(np.arange(1000), 2)]
    errors = []
    for events in (twice, sample.gammas[:1000]):
        table = stages.areas(events, {"trigger": np.ones(len(events), dtype=bool)}, info, EDGES, 1)
        table = table[table["drawn"]]
        errors.append((table["area_high"] - table["area"]) / table["area"])
    np.testing.assert_allclose(*errors)


def test_each_stage_keeps_a_part_of_the_one_before(sample, parameters):
    gammas = sample.gammas.copy()
    gammas["hillas_intensity"] = np.where(np.arange(len(gammas)) % 10 == 0, np.nan, 100.0)
    gammas["is_valid"] = np.arange(len(gammas)) % 10 > 2
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, parameters, 20)
    left = list(stages.stages(gammas, cuts).values())
    assert [list(stages.LABELS)] == [list(stages.stages(gammas, cuts))]
    for before, after in pairwise(left):
        assert not (after & ~before).any()
        assert after.sum() < before.sum()


def test_background_in_the_source_region_is_that_of_its_solid_angle(sample, parameters):
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, parameters, 20)
    left = stages.stages(sample.protons, cuts)
    table = stages.background_rates(sample.protons, left, cuts, parameters)
    bin_number = 8
    row = table[table["stage"] == "theta"][bin_number]
    protons = sample.protons[left["gammaness"]]
    inside = (protons["reco_energy"] >= row["reco_energy_low"]) & (protons["reco_energy"] < row["reco_energy_high"])
    near = inside & (protons["reco_source_fov_offset"] < parameters.background_offset)
    share = (1 - np.cos(cuts["theta"][bin_number])) / (1 - np.cos(parameters.background_offset))
    assert row["n"] == near.sum() > 50
    assert row["rate"].to_value("Hz") == pytest.approx(protons["weight"][near].value.sum() * share.value)
    # the protons come from everywhere alike: a region around the source sees the same
    region = 1.0 * u.deg
    angle = separation(AZ, ALT + OFFSET, protons["reco_az"].to_value("deg"), protons["reco_alt"].to_value("deg"))
    seen = protons["weight"][inside & (angle < region.to_value("deg"))].value
    expected = row["rate"].to_value("Hz") * (1 - np.cos(region.to("rad"))) / (1 - np.cos(cuts["theta"][bin_number]))
    assert seen.sum() == pytest.approx(expected.value, abs=4 * np.sqrt((seen**2).sum()))


def test_errors_are_those_of_the_simulated_numbers(sample, info, fixed):
    """By hand: of n showers with weights w, the root of the sum of w^2."""
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, fixed, 20)
    left = stages.stages(sample.protons, cuts)
    table = stages.background_rates(sample.protons, left, cuts, fixed)
    rows = table[table["stage"] == "gammaness"]
    chosen = sample.protons[left["gammaness"]]
    expected = [
        np.sqrt(np.sum(chosen["weight"][own].to_value("Hz") ** 2)) for own in rows_per_bin(chosen["reco_energy"], EDGES)
    ]
    for bound, sign in (("rate_high", 1), ("rate_low", -1)):
        np.testing.assert_allclose(sign * (rows[bound] - rows["rate"]).to_value("Hz"), expected, rtol=1e-6, atol=1e-15)
    areas = stages.areas(sample.gammas, stages.stages(sample.gammas, cuts), info, EDGES, 20)
    areas = areas[areas["drawn"]]
    for bound, sign in (("area_high", 1), ("area_low", -1)):
        relative = sign * (areas[bound] / areas["area"] - 1)
        np.testing.assert_allclose(relative, 1 / np.sqrt(areas["n"]))
