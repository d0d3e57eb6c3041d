import numpy as np
import pytest
from astropy.table import QTable
from scipy.stats import norm
from sklearn import metrics as sklearn_metrics

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance import classification
from cherenkov_pipeline.performance.report.tables import metrics_table
from cherenkov_pipeline.performance.report.type import type_figures, type_result
from cherenkov_pipeline.performance.type import SCORES, calibration, type_sample, type_tables


def values(tables) -> dict[str, float]:
    metrics = tables["metrics"]
    return dict(zip(metrics["metric"], metrics["value"], strict=True))


def test_metrics_are_those_of_scikit_learn(make_events, parameters):
    events = make_events(2000)
    found = values(type_tables(events, parameters))
    true, score = events["true_shower_primary_id"] == 0, np.asarray(events["gammaness"])
    decided = score >= 0.5
    expected = {
        "auc": sklearn_metrics.roc_auc_score(true, score),
        "accuracy": sklearn_metrics.accuracy_score(true, decided),
        "precision": sklearn_metrics.precision_score(true, decided),
        "recall": sklearn_metrics.recall_score(true, decided),
        "f1": sklearn_metrics.f1_score(true, decided),
        "brier": sklearn_metrics.brier_score_loss(true, score),
        "log_loss": sklearn_metrics.log_loss(true, score),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    at_80 = score >= found["threshold_80"]
    assert np.mean(at_80[true]) == pytest.approx(0.8, abs=2e-3)
    assert found["precision_at_80"] == pytest.approx(sklearn_metrics.precision_score(true, at_80), abs=1e-6)


def test_known_separation_comes_back(make_events, parameters):
    """Two normal distributions, four deviations of two apart: areas and efficiencies follow."""
    tables = type_tables(make_events(20_000, seed=4), parameters)
    found = values(tables)
    assert found["auc"] == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=0.006)
    kept = norm.sf(norm.isf(0.7) + 2)
    assert found["background_efficiency_70"] == pytest.approx(kept, abs=0.006)
    assert found["background_rejection_70"] == pytest.approx(1 / found["background_efficiency_70"])
    assert found["quality_factor_70"] == pytest.approx(0.7 / np.sqrt(found["background_efficiency_70"]))
    assert found["calibration_error"] < 0.015  # the logit is that of the densities
    row = tables["metrics"][0]
    assert row["low"] < row["value"] < row["high"]


def test_calibration_error_is_the_distance_to_the_diagonal(make_events, parameters):
    events = make_events(20_000)
    right = calibration(type_sample(events), parameters)
    assert np.all(np.abs(right["gamma_share"] - right["gammaness"]) < 0.05)
    assert (
        np.mean((right["gamma_share_low"] <= right["gammaness"]) & (right["gammaness"] <= right["gamma_share_high"]))
        > 0.6
    )
    events["gammaness"] = np.where(events["gammaness"] > 0.5, 0.99, 0.01)
    positive, score = (type_sample(events).columns[name] for name in ("is_gamma", "gammaness"))
    wrong = norm.sf(1)
    assert classification.calibration_error(positive, score) == pytest.approx(wrong - 0.01, abs=0.01)


def test_counts_close(make_events, parameters):
    events = make_events(100)
    events["is_valid"][:3] = False
    events["gammaness"][3] = np.nan
    events["true_shower_primary_id"][10:15] = -1
    found = values(type_tables(events, parameters))
    parts = ("events_gamma", "events_background", "events_invalid", "events_without_truth")
    assert found["events_total"] == 100 == sum(found[name] for name in parts)
    assert (found["events_invalid"], found["events_without_truth"]) == (4, 5)


def test_curves_and_decisions_count_all(make_events, parameters):
    tables = type_tables(make_events(3000), parameters)
    roc = tables["roc"]
    assert np.all(np.diff(roc["background_efficiency"]) >= 0)
    assert (roc["gamma_efficiency"][0], roc["background_efficiency"][0], roc["n"][0]) == (0, 0, 0)
    assert (roc["gamma_efficiency"][-1], roc["background_efficiency"][-1], roc["threshold"][-1]) == (1, 1, 0)
    assert area(roc) == pytest.approx(roc.meta["auc"], abs=2e-3)
    assert tables["distribution"]["n_gamma"].sum() == tables["distribution"]["n_background"].sum() == 1500
    assert tables["calibration"]["n"].sum() == 3000
    decisions = tables["confusion"]
    np.testing.assert_array_equal(decisions["n_as_gamma"] + decisions["n_as_background"], decisions["n"])
    assert decisions["n_as_gamma"][2] / 1500 == pytest.approx(0.8, abs=2e-3)
    assert tables["per_energy"]["drawn"].any()
    assert tables["per_intensity"]["drawn"].any()
    assert tables["per_intensity"]["n"].sum() + tables["per_intensity"].meta["n_outside_bins"] == 3000


def tied_events(make_events, gammas: float, others: float) -> QTable:
    """Events of which these shares have a gammaness of exactly 1, the rest below one half."""
    events = make_events(4000, seed=2)
    is_gamma = events["true_shower_primary_id"] == 0
    events["gammaness"] *= 0.5
    for chosen, tied in ((is_gamma, gammas), (~is_gamma, others)):
        rows = np.flatnonzero(chosen)
        events["gammaness"][rows[: round(tied * len(rows))]] = 1
    return events


def area(roc: QTable) -> float:
    return np.trapezoid(roc["gamma_efficiency"], roc["background_efficiency"])


def test_of_equal_gammaness_so_many_are_kept_as_the_efficiency_asks_for(make_events, parameters):
    tables = type_tables(tied_events(make_events, gammas=0.85, others=0.2), parameters)
    found, roc = values(tables), tables["roc"]
    for percent in (50, 70):
        kept = 0.2 * percent / 85
        assert found[f"background_efficiency_{percent}"] == pytest.approx(kept, rel=1e-9)
        assert found[f"background_rejection_{percent}"] == pytest.approx(1 / kept, rel=1e-9)
        assert found[f"quality_factor_{percent}"] == pytest.approx(percent / 100 / np.sqrt(kept), rel=1e-9)
        at = np.isclose(roc["gamma_efficiency"], percent / 100)
        np.testing.assert_allclose(roc["background_efficiency"][at], kept, rtol=1e-9)
    assert found["background_efficiency_90"] > 0.2
    assert found["precision_at_80"] == pytest.approx(0.8 / (0.8 + 0.2 * 80 / 85), rel=1e-9)
    assert area(roc) == pytest.approx(found["auc"], abs=2e-3)
    decisions = tables["confusion"][2:]
    assert decisions["n_as_gamma"].tolist() == [1600, round(0.2 * 80 / 85 * 2000)]


def test_constant_gammaness_separates_nothing(make_events, parameters):
    events = make_events(1000)
    events["gammaness"] = 0.7
    tables = type_tables(events, parameters)
    found, roc = values(tables), tables["roc"]
    for percent in (50, 70, 90):
        assert found[f"background_efficiency_{percent}"] == pytest.approx(percent / 100, rel=1e-9)
    np.testing.assert_allclose(roc["background_efficiency"], roc["gamma_efficiency"])
    assert found["auc"] == pytest.approx(area(roc)) == 0.5


def test_efficiencies_are_those_of_the_quantile_where_no_gammaness_is_equal(make_events, parameters):
    tables = type_tables(make_events(3000), parameters)
    events = type_sample(make_events(3000)).columns
    gammas, others = (events["gammaness"][events["is_gamma"] == kind] for kind in (1, 0))
    for percent in (50, 70, 90):
        kept = np.mean(others >= np.quantile(gammas, 1 - percent / 100))
        at = np.isclose(tables["roc"]["gamma_efficiency"], percent / 100)
        assert values(tables)[f"background_efficiency_{percent}"] == kept
        assert tables["roc"]["background_efficiency"][at] == kept


def test_bins_are_in_reconstructed_energy_where_there_is_one(make_events, parameters):
    events = make_events(300)
    assert type_tables(events, parameters)["per_energy"].meta["energy"] == "true_energy"
    events["reco_energy"] = 2 * events["true_energy"]
    assert type_tables(events, parameters)["per_energy"].meta["energy"] == "reco_energy"


def test_energies_are_optional(make_events, parameters):
    events = make_events(300)
    events.remove_columns(["true_energy", "hillas_intensity"])
    tables = type_tables(events, parameters)
    assert np.isfinite(values(tables)["auc"])
    assert tables["per_energy"]["n"].sum() == tables["per_intensity"]["n"].sum() == 0
    type_result(tables, type_figures(tables, "model", None))


def test_one_class_alone_gives_no_separation(make_events, parameters):
    events = make_events(200)
    tables = type_tables(events[events["true_shower_primary_id"] == 0], parameters)
    assert np.isnan(values(tables)["auc"])
    tables = type_tables(events[:0], parameters)
    assert np.isnan(values(tables)["accuracy"])


def test_threshold_without_gammas_decides_nothing(make_events, parameters):
    """A bin of protons alone has no threshold that keeps 70 % of the gammas: no efficiency, not a perfect one."""
    events = make_events(400)
    events = events[(events["true_shower_primary_id"] != 0) | (events["true_energy"].value < 3)]
    table = type_tables(events, parameters)["per_energy"]
    protons_alone = (table["n"] > 0) & (table["energy_low"].to_value("TeV") > 3.1)
    assert protons_alone.sum() > 2
    for side in ("", "_low", "_high"):
        assert np.isnan(table[f"background_efficiency_70{side}"][protons_alone]).all()
    assert np.isfinite(table["background_efficiency"][protons_alone]).all()  # gammaness 0.5 needs no gammas
    positive, score = (type_sample(events[-1:]).columns[name] for name in ("is_gamma", "gammaness"))
    assert np.isnan(classification.background_rejection(positive, score, 0.7))


@pytest.mark.parametrize("kept", [0, 101])
def test_bins_need_enough_of_both_classes(make_events, parameters, kept):
    """Many events of one class beside a few of the other make no curve."""
    events = make_events(2000)
    few = np.flatnonzero(events["true_shower_primary_id"] != kept)[:30]
    events = events[np.union1d(np.flatnonzero(events["true_shower_primary_id"] == kept), few)]
    tables = type_tables(events, parameters)
    for name in ("per_energy", "per_intensity"):
        assert (tables[name]["n"] >= parameters.minimum_events).any()
        assert not tables[name]["drawn"].any()


def shown(tables: dict[str, QTable]) -> dict[str, tuple[str, str]]:
    """Value and interval of each metric, as a report has them."""
    rows = metrics_table(tables["metrics"], weighted=tables["metrics_weighted"]).rows
    return {name.text: (value.text, value.note) for name, value, *_ in rows}


def test_background_that_is_all_rejected_can_be_reported(make_events, parameters):
    events = make_events(200)
    events["gammaness"] = np.where(events["true_shower_primary_id"] == 0, 0.9, 0.1)
    tables = type_tables(events, parameters)
    assert values(tables)["background_rejection_70"] == np.inf
    assert shown(tables)["Background rejection at 70 % gamma efficiency"] == ("∞", "")
    background = np.flatnonzero(events["true_shower_primary_id"] != 0)
    events["gammaness"][background[:3]] = 0.95  # most resamples keep one, some do not
    rejection = shown(type_tables(events, parameters))["Background rejection at 70 % gamma efficiency"]
    assert rejection[1].endswith(" to ∞")


def test_statistics_take_stacks_of_resamples():
    rng = np.random.default_rng(0)
    positive, score = (rng.random((5, 60)) < 0.5).astype(float), rng.random((5, 60))
    positive[2, 40:], score[2, 40:] = np.nan, np.nan  # padding
    for function in (
        classification.accuracy,
        classification.f1,
        classification.brier,
        classification.log_loss,
        classification.calibration_error,
        lambda *columns: classification.background_efficiency(*columns, efficiency=0.7),
    ):
        stacked = function(positive, score)
        alone = [function(positive[i][: 40 if i == 2 else 60], score[i][: 40 if i == 2 else 60]) for i in range(5)]
        np.testing.assert_allclose(stacked, alone)


def test_missing_column_is_named(make_events):
    events = make_events(10)
    events.remove_column("gammaness")
    with pytest.raises(UserError, match="no column gammaness"):
        type_sample(events)


def test_distribution_is_that_of_each_class(make_events, parameters):
    events = make_events(3000)
    table = type_tables(events, parameters)["distribution"]
    gamma = events["true_shower_primary_id"] == 0
    for name, rows in (("n_gamma", gamma), ("n_background", ~gamma)):
        np.testing.assert_array_equal(table[name], np.histogram(events["gammaness"][rows], SCORES)[0])
