import numpy as np
import pytest
from astropy.table import QTable, Table
from scipy.stats import binom
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from cherenkov_pipeline.alerts.evaluation import plots
from cherenkov_pipeline.alerts.evaluation.indicators import indicators, winning_probability
from cherenkov_pipeline.alerts.evaluation.scores import (
    METRICS,
    VERDICT_METRICS,
    comparison_table,
    false_alarm_curve,
    mcnemar,
    probability_columns,
    reliability_table,
    risk_coverage,
    score_table,
    strata_of,
    strata_table,
    verdict_columns,
)
from cherenkov_pipeline.performance.parameters import EvaluationParameters

PARAMETERS = EvaluationParameters(resamples=200)
RNG = np.random.default_rng(0)
N = 600
LOGIT = RNG.normal(0, 2, N)
IS_REAL = RNG.random(N) < 1 / (1 + np.exp(-LOGIT))
PROBABILITY = 1 / (1 + np.exp(-LOGIT))
GROUPS = np.arange(N) // 2


def test_metrics_are_those_of_scikit_learn_with_intervals_around_them():
    table = score_table(probability_columns(PROBABILITY, IS_REAL), METRICS, GROUPS, PARAMETERS)
    found = {row["metric"]: row for row in table}
    decided = PROBABILITY >= 0.5
    for name, function in (
        ("accuracy", accuracy_score),
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
    ):
        assert found[name]["value"] == pytest.approx(function(IS_REAL, decided))
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(IS_REAL, PROBABILITY))
    assert found["calibration_error"]["value"] < 0.06
    assert found["events_groups"]["value"] == N // 2


def test_sure_precision_and_recall_have_an_interval_of_the_rows_that_count():
    is_real = np.arange(40) < 30
    table = score_table(probability_columns(np.where(is_real, 0.9, 0.1), is_real), METRICS, np.arange(40), PARAMETERS)
    found = {row["metric"]: row for row in table}
    for name in ("precision", "recall"):
        assert found[name]["value"] == found[name]["high"] == 1
        assert found[name]["low"] == pytest.approx(0.025 ** (1 / 30))  # none of 30 wrong


def test_verdicts_are_scored_by_class():
    verdicts = np.array(["real", "real", "false", "false", "unsure", "unsure", "real", "false"])
    truth = np.array([True, False, False, True, True, False, True, False])
    table = score_table(verdict_columns(verdicts, truth), VERDICT_METRICS, np.arange(8), PARAMETERS)
    found = {row["metric"]: row["value"] for row in table}
    assert found["unsure"] == pytest.approx(2 / 8)
    assert found["accepted_error"] == pytest.approx(2 / 6)
    assert found["missed"] == pytest.approx(1 / 3)
    assert found["real_error"] == pytest.approx(1 / 3)
    assert found["false_error"] == pytest.approx(1 / 3)


def test_mcnemar_is_the_exact_test():
    right = np.array([True] * 50 + [False] * 3 + [True] * 12)
    other = np.array([True] * 50 + [True] * 3 + [False] * 12)
    only, only_other, p_value = mcnemar(right, other)
    assert (only, only_other) == (12, 3)
    assert p_value == pytest.approx(2 * binom.cdf(3, 15, 0.5))
    assert mcnemar(right, right) == (0, 0, 1.0)


def test_methods_are_compared_on_the_same_bursts():
    rng = np.random.default_rng(3)
    burst = np.repeat(np.arange(200), 2)
    right = np.repeat(rng.random(200) < 0.9, 2)
    other = right & (rng.random(400) < 0.9)
    once = np.arange(400) % 2 == 0
    table = comparison_table({"a": right, "b": other}, "a", burst, EvaluationParameters(resamples=500), once)
    assert table["accuracy"].tolist() == pytest.approx([right.mean(), other.mean()])
    assert table["gain"].tolist() == pytest.approx([0, other.mean() - right.mean()])
    only, only_a, p_value = mcnemar(other[once], right[once])
    assert (table["only_it"][1], table["only_reference"][1], table["p_value"][1]) == (only, only_a, p_value)
    # whole bursts are drawn, and both methods on the same: the difference is known better than either
    assert table["accuracy_low"][0] == pytest.approx(right.mean() - 1.96 * np.sqrt(0.09 / 200), abs=0.015)
    width = table["gain_high"] - table["gain_low"]
    assert width[0] == 0
    assert 0 < width[1] < 0.8 * (table["accuracy_high"] - table["accuracy_low"])[1]


def test_risk_falls_with_coverage_to_nothing():
    table = risk_coverage(PROBABILITY, IS_REAL)
    assert table["coverage"][-1] == pytest.approx(1)
    assert table["risk"][-1] == pytest.approx(np.mean((PROBABILITY >= 0.5) != IS_REAL))
    assert (np.diff(table["confidence"]) < 0).all()
    for row in table[::100]:
        accepted = np.maximum(PROBABILITY, 1 - PROBABILITY) >= row["confidence"]
        assert accepted.mean() == pytest.approx(row["coverage"])
        assert np.mean(((PROBABILITY >= 0.5) != IS_REAL)[accepted]) == pytest.approx(row["risk"])
    assert len(risk_coverage(np.full(5, 0.9), np.ones(5))) == 1


def test_calibrated_probabilities_lie_on_the_diagonal():
    rng = np.random.default_rng(1)
    probability = rng.random(20_000)
    table = reliability_table(probability, rng.random(20_000) < probability)
    assert table["n"].sum() == 20_000
    np.testing.assert_allclose(table["share"], table["probability"], atol=0.04)
    inside = (table["low"] <= table["probability"]) & (table["probability"] <= table["high"])
    assert inside.mean() >= 0.4
    np.testing.assert_allclose(
        table["high"] - table["low"], 2 * np.sqrt(table["share"] * (1 - table["share"]) / table["n"]), rtol=0.1
    )


def test_strata_are_parts_of_the_sample():
    table = Table(
        {
            "snr_max": RNG.uniform(6, 40, N),
            "cause": RNG.choice(["grb", "ghost"], N),
            "timescale": RNG.choice([20.0, 300.0], N),
        }
    )
    strata = strata_of(table, np.where(np.arange(N) % 3, 1.0, 0.8))
    assert strata["complete"].sum() + strata["incomplete"].sum() == N
    assert sum(chosen.sum() for name, chosen in strata.items() if name.startswith("SNR")) == N
    assert strata["ghost"].sum() == np.sum(table["cause"] == "ghost")
    found = strata_table(probability_columns(PROBABILITY, IS_REAL), METRICS[:1], strata, GROUPS, PARAMETERS)
    row = found[found["stratum"] == "incomplete"][0]
    chosen = strata["incomplete"]
    assert row["accuracy"] == pytest.approx(np.mean((PROBABILITY >= 0.5)[chosen] == IS_REAL[chosen]))
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    assert plots.strata(found).axes


def _history(n):
    accuracy = np.linspace(0.7, 0.99, n)
    return QTable(
        {
            "epoch": np.arange(1, n + 1),
            "accuracy": accuracy,
            "val_accuracy": accuracy - np.where(np.arange(n) % 2, 0.02, 0.06),
            "loss": 1 - accuracy,
            "val_loss": 1.1 - accuracy,
        }
    )


def test_indicators_are_read_from_the_last_epochs():
    history = _history(40)
    found = indicators(LOGIT, IS_REAL, history)
    assert found.accuracy == pytest.approx(np.mean((LOGIT > 0) == IS_REAL))
    assert found.gap == pytest.approx(0.04)
    assert found.instability == pytest.approx(np.std(history["val_accuracy"][-10:]))
    without = indicators(LOGIT, IS_REAL, None)
    assert np.isnan(without.gap)
    assert np.isnan(without.instability)
    assert set(without.as_dict()) >= {"accuracy", "separation"}


def test_separation_is_the_share_of_right_decisions_above_the_wrong_ones():
    logits = np.array([5.0, 5, 5, 0.1, 1.0, -5])
    truth = np.array([True, True, True, True, False, False])
    assert indicators(logits, truth, None).separation == pytest.approx(4 / 5)
    assert np.isnan(indicators(logits, logits > 0, None).separation)


def test_winning_probability_is_that_of_the_chosen_class():
    np.testing.assert_allclose(winning_probability(LOGIT), np.maximum(PROBABILITY, 1 - PROBABILITY))


def test_right_is_blue_and_wrong_is_orange():
    figure = plots.winning_probabilities(LOGIT, IS_REAL, {"true source": 0.8, "false alert": 0.9})
    labels = figure.axes[0].get_legend().get_texts()
    right = int(((LOGIT > 0) == IS_REAL).sum())
    assert [text.get_text() for text in labels] == [
        f"right, {right}",
        f"wrong, {N - right}",
        "true source from 0.8",
        "false alert from 0.9",
    ]
    patches = figure.axes[0].patches
    assert [patch.get_facecolor()[:3] for patch in patches[:2]] == [
        pytest.approx((0, 0x72 / 255, 0xB2 / 255)),
        pytest.approx((0xD5 / 255, 0x5E / 255, 0)),
    ]
    assert patches[0].get_data().values.sum() == right


@pytest.mark.parametrize("n", [1, 30])
def test_other_figures_show_what_they_are_given(n):
    figure = plots.accuracy_curves(_history(n), "model")
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), _history(n)["val_accuracy"])
    figure = plots.risk_coverage({"a": risk_coverage(PROBABILITY, IS_REAL)})
    assert figure.axes[0].get_legend()
    assert plots.reliability({"a": reliability_table(PROBABILITY, IS_REAL)}).axes


def test_false_alarms_are_counted_of_all_frames():
    probability, triggers = np.array([0.1, 0.55, 0.7, 0.99]), np.array([True, False, True, False])
    table = false_alarm_curve(probability, triggers, 20_000)
    assert table["n_called"][0] == 3
    assert table["rate"][0] == pytest.approx(3 / 20_000)
    assert table["triggered_rate"][0] == pytest.approx(1 / 20_000)
    row = table[np.argmin(np.abs(table["threshold"] - 0.8))]
    assert (row["n_called"], row["triggered_rate"]) == (1, 0)
    last = table[-1]
    assert (last["n_called"], last["low"]) == (0, 0)
    assert last["high"] == pytest.approx(1 - 0.025 ** (1 / 20_000))
    assert plots.false_alarms(table).axes
