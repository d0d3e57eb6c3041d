import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from benchmarks._agreement import (
    Judged,
    auc_per_intensity,
    comparison_rows,
    direction_per_bin,
    effective_area,
    membership,
    summed_rate,
)
from sklearn.metrics import roc_auc_score
from tests.toy_events import toy_events

from cherenkov_pipeline.performance import statistics

AREA = 1e6 * u.m**2


def test_area_is_the_share_of_the_throws(rng):
    n_showers, n_trials, chance = 4000, 4, 0.1
    triggered = rng.random((n_showers, n_trials)) < chance
    area, error = effective_area(np.nonzero(triggered)[0], n_showers, n_trials, AREA)
    assert area == triggered.mean() * AREA
    assert error.to_value("m2") == pytest.approx(1e6 * np.sqrt(chance * (1 - chance) / (n_showers * n_trials)), rel=0.1)


def test_showers_whose_images_trigger_together_count_once(rng):
    chosen = np.flatnonzero(rng.random(4000) < 0.1)
    alone = effective_area(chosen, 4000, 1, AREA)
    together = effective_area(np.repeat(chosen, 4), 4000, 4, AREA)
    np.testing.assert_allclose(together.value, alone.value)


def test_no_image_is_no_area():
    np.testing.assert_array_equal(effective_area(np.empty(0, dtype=int), 100, 2, AREA).value, [0, 0])


def test_error_of_a_rate_counts_showers():
    weights = np.ones(100) * u.Hz
    assert summed_rate(weights, np.arange(100), 1)[1] == 10 * u.Hz
    assert summed_rate(weights, np.arange(100) // 4, 1)[1] == 20 * u.Hz
    np.testing.assert_array_equal(summed_rate(weights, np.arange(100), 2).value, [50, 5])


def separable(n, rng):
    """Gammas and protons whose scores are a standard deviation apart above 100 p.e., equal below."""
    is_gamma = rng.random(n) < 0.5
    intensity = 10 ** rng.uniform(1, 3, n)
    score = rng.normal(is_gamma * (intensity > 100), 1)
    return QTable(
        {
            "production": np.full(n, "both"),
            "obs_id": np.ones(n, dtype=int),
            "event_id": np.arange(n),
            "hillas_intensity": intensity,
            "gammaness": score,
            "true_shower_primary_id": np.where(is_gamma, 0, 101),
        }
    )


def test_separation_is_found_where_it_is(parameters, rng):
    table = auc_per_intensity(separable(4000, rng), (1, 2, 3, np.inf), parameters, rng)
    assert table["auc_low"][0] < 0.5 < table["auc_high"][0]
    assert table["auc_low"][1] < 0.760 < table["auc_high"][1]  # Phi(1 / sqrt 2)
    assert np.isnan(table["auc"][2])
    assert table["n"].sum() == 4000


def test_auc_agrees_with_scikit_learn(rng):
    label = rng.random(300) < 0.3
    score = np.round(rng.normal(label, 1), 1)  # with ties
    expected = roc_auc_score(label, score)
    assert statistics.roc_auc(label.astype(float), score) == pytest.approx(expected)
    padded = [np.append(column, np.full(9, np.nan)) for column in (label.astype(float), score)]
    stacked = [np.stack([column, column[::-1]]) for column in padded]
    np.testing.assert_allclose(statistics.roc_auc(*stacked), expected)
    assert np.isnan(statistics.roc_auc(np.ones(5), score[:5]))


def test_members_of_a_population_are_uniform_in_it(rng):
    events = {"width": rng.normal(size=2000)}
    table = membership(events, [{"width": rng.normal(size=300)} for _ in range(2000)], ["width"])
    assert table["within"].mean() == pytest.approx(0.95, abs=0.015)
    assert np.quantile(table["rank"], [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.04)


def test_strangers_are_outside(rng):
    population = {"width": rng.normal(size=300)}
    for value in (4.0, -4.0, np.nan):
        (row,) = membership({"width": np.array([value])}, [population], ["width"])
        assert not row["within"]
    (row,) = membership({"width": np.zeros(1)}, [{"width": np.empty(0)}], ["width"])
    assert not row["within"]
    assert np.isnan(row["rank"])


def test_limits_are_on_ratio_or_difference():
    def within(value, **options):
        return Judged("area", "area [m2]", 2.0, value, 0.1, **options).within

    assert within(2.4, limit=0.25)
    assert not within(2.6, limit=0.25)
    assert not within(np.nan, limit=0.25)
    assert within(2.04, limit=0.05, relative=False)
    assert not within(1.94, limit=0.05, relative=False)
    assert within(9.0, limit=np.nan) is None
    rows = comparison_rows([Judged("a", "A", 2.0, value, 0.1, 0.25) for value in (2.1, 3.0)])
    assert [row["within"] for row in rows] == ["yes", "NO"]
    assert [row["ratio"] for row in rows] == [1.05, 1.5]


def test_angular_resolution_is_that_of_a_gaussian(parameters, rng):
    n = 7000
    predictions = toy_events(n)
    right = rng.random(n) < 0.8
    separation = np.where(right, 0.1 * np.hypot(*rng.normal(size=(2, n))), 1.0)
    predictions["separation"], predictions["right_sign"] = separation * u.deg, right
    table = direction_per_bin(predictions, parameters, rng)
    assert table["n"].sum() == n // 2  # the gammas
    seen = table[table["drawn"]]
    assert len(seen) > 8
    expected = 0.1 * np.sqrt(-2 * np.log(1 - statistics.ONE_SIGMA))
    assert np.mean(seen["angular_resolution_right"].to_value("deg")) == pytest.approx(expected, rel=0.03)
    assert np.all(seen["angular_resolution_right_low"] <= seen["angular_resolution_right"])
    np.testing.assert_allclose(seen["right_side"], 0.8, atol=0.1)
    assert np.median(seen["angular_resolution"].to_value("deg")) > 1.2 * expected


def test_an_empty_table_gives_empty_bins(parameters, rng):
    predictions = toy_events(0)
    predictions["separation"], predictions["right_sign"] = np.empty(0) * u.deg, np.empty(0, dtype=bool)
    table = direction_per_bin(predictions, parameters, rng)
    assert not table["drawn"].any()
    assert np.isnan(table["angular_resolution"]).all()
