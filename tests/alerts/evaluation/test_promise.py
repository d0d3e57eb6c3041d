import numpy as np
import pytest
from scipy.stats import binom

from cherenkov_pipeline.alerts.ensemble import EnsembleParameters
from cherenkov_pipeline.alerts.evaluation import promise
from cherenkov_pipeline.alerts.evaluation.promise import promise_table
from cherenkov_pipeline.alerts.guarantee import Threshold
from cherenkov_pipeline.alerts.verdict import sigmoid

PARAMETERS = EnsembleParameters(members=("one",), alpha_real=0.02, alpha_false=0.02, smallest_confidence=0.6)


def sample(n=4000, seed=0, overconfident=1.0):
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 5, n)
    return sigmoid(logit), rng.random(n) < sigmoid(logit / overconfident)


def test_promise_is_kept():
    probability, is_real = sample()
    table = promise_table(probability, is_real, np.arange(len(is_real)), PARAMETERS)
    assert table["n"].sum() == len(is_real)
    for row in table:
        assert row["given"] == 1
        assert binom.sf(round(200 * row["broken"]) - 1, 200, row["delta"]) > 1e-3
        assert 0.3 * row["alpha"] < row["wrong"] < row["alpha"]


def test_thresholds_without_a_guarantee_break_it(monkeypatch):
    """Those that take the share of errors at face value."""

    def at_face_value(confidence, is_wrong, alpha, delta, grid):
        fitting = [one for one in grid if is_wrong[confidence >= one].mean() <= alpha]
        return Threshold(min(fitting, default=None), alpha, delta, 0, 0, 0, 0.0)

    probability, is_real = sample()
    monkeypatch.setattr(promise, "find_threshold", at_face_value)
    table = promise_table(probability, is_real, np.arange(len(is_real)), PARAMETERS)
    assert (table["broken"] > 0.2).all()


def test_one_image_of_each_burst_counts():
    probability, is_real = sample(1000)
    thrice = [np.repeat(values, 3) for values in (probability, is_real, np.arange(1000))]
    table = promise_table(*thrice, PARAMETERS)
    assert table["n"].sum() == 1000
    np.testing.assert_array_equal(
        table["broken"], promise_table(probability, is_real, np.arange(1000), PARAMETERS)["broken"]
    )


def test_without_a_threshold_nothing_is_broken():
    probability, is_real = sample(60)
    table = promise_table(probability, is_real, np.arange(60), PARAMETERS)
    assert table["given"].tolist() == table["broken"].tolist() == [0, 0]
    assert np.isnan(table["wrong"]).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same(seed):
    probability, is_real = sample(1500)
    first, again = (promise_table(probability, is_real, np.arange(1500), PARAMETERS, 20, seed) for _ in range(2))
    assert first.values_equal(again).as_array().tolist() == [(True,) * len(first.colnames)] * 2
