"""Which model is better: known improvements come out, equal models do not differ."""

import json

import numpy as np
import pytest
from astropy.table import QTable

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.comparison import (
    against_best,
    compare,
    match_predictions,
    numbers,
    rows_of_metric,
    stacked,
    unstacked,
)
from cherenkov_pipeline.performance.energy import energy_tables
from cherenkov_pipeline.performance.qualities import PERFECT, QUALITIES, shortfall
from cherenkov_pipeline.performance.type import type_tables
from cherenkov_pipeline.tasks import TASKS


def blurred(predictions: QTable, width: float, seed: int) -> QTable:
    """The same predictions with an additional Gaussian error of ln E."""
    rng = np.random.default_rng(seed)
    worse = predictions.copy()
    worse["reco_energy"] = predictions["reco_energy"] * np.exp(width * rng.normal(size=len(predictions)))
    return worse


def compared(parameters, **predictions):
    return compare(match_predictions(predictions), QUALITIES["energy"], parameters)


def headline(comparison):
    name = comparison.metrics.meta["headline"]
    rows = rows_of_metric(comparison.metrics, name)
    return rows, against_best(comparison.differences, name, next(iter(rows)))


def test_better_resolution_is_ranked_first_and_significant(make_predictions, parameters):
    good = make_predictions(1500)
    comparison = compared(parameters, worst=blurred(good, 0.3, 2), good=good, worse=blurred(good, 0.12, 3))
    rows, behind = headline(comparison)
    assert list(rows) == ["good", "worse", "worst"]
    assert [row["rank"] for row in rows.values()] == [1, 2, 3]
    assert all(row["significant"] for row in behind.values())
    # ln E errors add in quadrature: 0.2 and 0.3 give 0.36
    expected = np.hypot(0.2, 0.3) - 0.2
    assert behind["worst"]["low"] < expected < behind["worst"]["high"]


def test_same_predictions_do_not_differ(make_predictions, parameters):
    good = make_predictions(400)
    comparison = compared(parameters, one=good, other=good.copy())
    rows, behind = headline(comparison)
    assert [row["rank"] for row in rows.values()] == [1, 1]
    assert not comparison.differences["significant"].any()
    assert (comparison.differences["advantage"] == 0).all()
    assert behind["other"]["low"] == behind["other"]["high"] == 0
    assert comparison.equal == (("one", "other"),)


def test_models_of_equal_quality_are_called_significant_as_rarely_as_said(make_predictions, parameters):
    """Two blurs of the same width, many times: 5 % of the differences may be called significant."""
    found = [
        next(
            iter(
                headline(compared(parameters, one=blurred(good, 0.2, seed), two=blurred(good, 0.2, 500 + seed)))[
                    1
                ].values()
            )
        )
        for seed in range(60)
        for good in [make_predictions(150, seed=seed)]
    ]
    assert sum(row["significant"] for row in found) <= 9  # 0.1 % of binomial samples have more


def test_paired_interval_is_narrower_than_the_models_tell(make_predictions, parameters):
    good = make_predictions(1000)
    rows, behind = headline(compared(parameters, good=good, worse=blurred(good, 0.05, 2)))
    unpaired = np.hypot(*(row["high"] - row["low"] for row in rows.values()))
    (difference,) = behind.values()
    assert difference["high"] - difference["low"] < 0.8 * unpaired


def test_showers_are_drawn_not_images(make_predictions, parameters):
    """Four images of a shower with the same errors tell no more than one."""
    one = make_predictions(300)
    four = QTable({name: np.repeat(one[name], 4) for name in one.colnames} | {"tel_id": np.tile(np.arange(4), 300)})
    widths = []
    for table in (one, four):
        worse = table.copy()
        worse["reco_energy"] = table["reco_energy"] * np.exp(0.1 * np.sin(1000 * table["true_energy"].value))
        (difference,) = headline(compared(parameters, good=table, worse=worse))[1].values()
        widths.append(difference["high"] - difference["low"])
    assert widths[1] == pytest.approx(widths[0], rel=0.25)


def test_events_are_matched_by_their_keys(make_predictions, parameters):
    good = make_predictions(300)
    shuffled = good[np.random.default_rng(1).permutation(300)]
    matched = match_predictions({"one": good, "other": shuffled[20:]})
    assert len(matched.predictions["one"]) == 280
    np.testing.assert_array_equal(*(table["reco_energy"] for table in matched.predictions.values()))
    assert matched.n_events == {"one": 300, "other": 280}


def test_only_events_that_all_models_predict_count(make_predictions, parameters):
    """A model that refuses hard events gains nothing by it."""
    good, picky = make_predictions(300), make_predictions(300)
    picky["is_valid"] = np.abs(np.log(picky["reco_energy"] / picky["true_energy"])) < 0.2
    matched = match_predictions({"good": good, "picky": picky})
    comparison = compare(matched, QUALITIES["energy"], parameters)
    assert comparison.n_used == picky["is_valid"].sum() == 300 - matched.n_invalid["picky"]
    assert comparison.equal == (("good", "picky"),)


def test_other_events_are_refused(make_predictions):
    one, other = make_predictions(10), make_predictions(10)
    other["event_id"] += 10
    with pytest.raises(UserError, match="no event in common"):
        match_predictions({"one": one, "other": other})
    other["event_id"] = 0
    with pytest.raises(UserError, match="other have an event twice"):
        match_predictions({"one": one, "other": other})
    with pytest.raises(UserError, match="true_energy differs"):
        match_predictions({"one": one, "other": make_predictions(10, seed=2)})
    other.remove_column("tel_id")
    with pytest.raises(UserError, match="models of one kind"):
        match_predictions({"one": one, "other": other})


def test_one_event_makes_nothing_significant(make_predictions, parameters):
    good = make_predictions(1)
    assert not compared(parameters, one=good, other=blurred(good, 1, 2)).differences["significant"].any()


def test_three_protons_make_no_rejection_significant(make_events, parameters):
    """Resamples without the one proton that tells two models apart count: both reject all there is."""
    good = make_events(300)
    gamma = np.asarray(good["true_shower_primary_id"]) == 0
    good = good[gamma | (np.cumsum(~gamma) <= 3)]
    good["gammaness"] = np.where(good["true_shower_primary_id"] == 0, 0.9, 0.1)
    worse = good.copy()
    worse["gammaness"][np.flatnonzero(worse["true_shower_primary_id"] != 0)[0]] = 0.95
    comparison = compare(match_predictions({"good": good, "worse": worse}), QUALITIES["type"], parameters)
    (row,) = against_best(comparison.differences, "background_rejection_70", "good").values()
    assert (row["advantage"], row["low"]) == (np.inf, 0)
    assert not row["significant"]


def test_models_without_a_valid_event_have_no_rank(make_predictions, parameters):
    nothing = make_predictions(20)
    nothing["is_valid"] = False
    comparison = compared(parameters, one=make_predictions(20), other=nothing)
    assert comparison.n_used == 0
    assert (comparison.metrics["rank"] == 0).all()
    assert len(comparison.differences) == 0
    assert numbers(comparison, {"one": "f1", "other": "f2"})["best"] is None


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_compared(task, make_events, parameters):
    events = make_events(300, flipped=0.1)
    events["reco_energy"], events["reco_energy_uncert"] = 1.1 * events["true_energy"], 0.2 * events["true_energy"]
    other = make_events(300, flipped=0.1)
    rng = np.random.default_rng(2)
    other["reco_energy"], other["reco_energy_uncert"] = 2 * events["true_energy"], 0.2 * events["true_energy"]
    other["reco_energy"] *= np.exp(rng.normal(size=300))
    other["reco_alt"] += 0.3 * rng.normal(size=300) * other["reco_alt"].unit
    other["gammaness"] = 0.5 * other["gammaness"] + 0.5 * rng.random(300)
    for name in ("reco_core_x", "reco_core_y", "reco_x_max"):
        other[name] += 60 * rng.normal(size=300) * other[name].unit
    comparison = compare(match_predictions({"other": other, "good": events}), QUALITIES[task], parameters)
    rows, behind = headline(comparison)
    assert list(rows) == ["good", "other"]
    assert behind["other"]["significant"]
    known = set(comparison.metrics["metric"])
    assert known == {metric.name for metric in QUALITIES[task].metrics}


def test_perfect_values_are_of_metrics_that_exist():
    known = {metric.name for quality in QUALITIES.values() for metric in quality.metrics}
    assert set(PERFECT) <= known
    described = {"recall", "precision", "background_efficiency", "threshold_80", "predicted_error", "half_ratio"}
    assert known - set(PERFECT) == described | {"angular_resolution_right"}
    assert all(quality.headline in PERFECT for quality in QUALITIES.values())


def test_shortfall():
    np.testing.assert_allclose(shortfall("bias", np.array([-0.2, 0.1])), [0.2, 0.1])
    assert shortfall("quality_factor_70", np.array(3.0)) < shortfall("quality_factor_70", np.array(2.0))
    assert shortfall("auc", np.array(0.9)) == pytest.approx(0.1)


def test_tables_of_several_models_are_split_again(make_predictions, parameters):
    tables = {
        name: energy_tables(make_predictions(50, seed=seed), parameters)["per_energy"] for seed, name in enumerate("ab")
    }
    again = unstacked(stacked(tables))
    assert list(again) == ["a", "b"]
    for name, table in tables.items():
        np.testing.assert_array_equal(again[name]["resolution"], table["resolution"])
        assert again[name].meta["minimum_events"] == table.meta["minimum_events"]


@pytest.mark.parametrize(("have_it", "energy"), [(2, "reco_energy"), (1, "true_energy")])
def test_types_are_per_reconstructed_energy_where_every_model_has_one(have_it, energy, make_events, parameters):
    predictions = {"a": make_events(200), "b": make_events(200)}
    for table in list(predictions.values())[:have_it]:
        table["reco_energy"] = 1.1 * table["true_energy"]
    matched = match_predictions(unstacked(stacked(predictions)))
    for table in matched.predictions.values():
        assert type_tables(table, parameters)["per_energy"].meta["energy"] == energy


def test_numbers_are_valid_json(make_predictions, parameters):
    good = make_predictions(100)
    comparison = compared(parameters, good=good, worse=blurred(good, 0.3, 2))
    found = json.loads(json.dumps(numbers(comparison, {"good": "f1", "worse": "f2"}), allow_nan=False))
    assert found["best"] == "good"
    assert found["models"]["worse"]["file_fingerprint"] == "f2"
    assert found["models"]["good"]["metrics"]["resolution"]["rank"] == 1
    assert found["differences"][0]["significant"] is True
