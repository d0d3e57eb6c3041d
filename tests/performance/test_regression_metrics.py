import astropy.units as u
import numpy as np
import pytest
from sklearn.metrics import r2_score

from cherenkov_pipeline.performance.regression import core_tables, xmax_tables

GAUSSIAN = np.sqrt(-2 * np.log(1 - 0.6826894921370859))


def values(tables) -> dict[str, float]:
    return dict(zip(tables["metrics"]["metric"], tables["metrics"]["value"], strict=True))


def test_core_distance_is_that_of_a_gaussian(make_events, parameters):
    tables = core_tables(make_events(8000), parameters)
    found = values(tables)
    assert found["distance_68"] == pytest.approx(30 * GAUSSIAN, rel=0.03)
    assert found["resolution_core_x"] == pytest.approx(30, rel=0.04)
    assert found["coverage_68_core_y"] == pytest.approx(0.6827, abs=0.02)
    assert found["r2_core_x"] == pytest.approx(1 - 0.09, abs=0.01)
    assert tables["per_energy"]["distance_68"].unit == "m"


def test_maximum_has_its_unit_and_counts_close(make_events, parameters):
    events = make_events(2000)
    events["is_valid"][:100] = False
    found = values(tables := xmax_tables(events, parameters))
    assert found["resolution"] == pytest.approx(40, rel=0.06)
    assert found["mae_x_max"] == pytest.approx(40 * np.sqrt(2 / np.pi), rel=0.06)
    assert tables["per_energy"]["resolution"].unit == "g / cm2"
    parts = ("events_valid", "events_invalid", "events_other", "events_without_truth")
    assert found["events_total"] == sum(found[name] for name in parts)
    assert tables["quarters"]["n"].sum() == found["events_valid"]


def test_no_events_give_empty_tables(make_events, parameters):
    for make in (core_tables, xmax_tables):
        assert np.isnan(make(make_events(0), parameters)["metrics"]["value"][0])


def test_each_coordinate_has_its_own_bias_and_error(make_events, parameters):
    events = make_events(8000)
    events["reco_core_x"] += 20 * u.m
    events["reco_core_uncert_y"] *= 2
    tables = core_tables(events, parameters)
    found = dict(zip(tables["metrics"]["metric"], tables["metrics"]["value"], strict=True))
    assert found["bias_core_x"] == pytest.approx(20, abs=2)
    assert found["bias_core_y"] == pytest.approx(0, abs=2)
    assert found["coverage_68_core_y"] == pytest.approx(0.9545, abs=0.015)
    gammas = events[events["true_shower_primary_id"] == 0]
    for name in ("core_x", "core_y"):
        expected = r2_score(gammas[f"true_{name}"].value, gammas[f"reco_{name}"].value)
        assert found[f"r2_{name}"] == pytest.approx(expected, rel=1e-9)
