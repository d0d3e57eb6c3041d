import numpy as np
import pytest
from scipy.stats import binom

from cherenkov_pipeline.alerts.guarantee import GRID, find_threshold, needed, one_each, passes, upper_bound


@pytest.mark.parametrize(("alpha", "n_errors", "n"), [(0.05, 0, 45), (0.05, 1, 77), (0.05, 2, 105), (0.02, 0, 114)])
def test_images_that_a_promise_needs(alpha, n_errors, n):
    assert needed(alpha, 0.1, n_errors) == n
    assert passes(n, n_errors, alpha, 0.1)
    assert not passes(n - 1, n_errors, alpha, 0.1)


@pytest.mark.parametrize(("n", "n_errors"), [(45, 0), (77, 1), (300, 12), (7, 6)])
def test_bound_is_where_so_few_errors_become_unlikely(n, n_errors):
    bound = upper_bound(n, n_errors, 0.1)
    assert binom.cdf(n_errors, n, bound) == pytest.approx(0.1)
    assert passes(n, n_errors, bound * 1.0001, 0.1)
    assert not passes(n, n_errors, bound * 0.9999, 0.1)


def test_all_wrong_bounds_nothing():
    assert upper_bound(5, 5, 0.1) == 1
    assert upper_bound(0, 0, 0.1) == 1


def test_threshold_stands_above_where_the_errors_begin():
    confidence = np.linspace(0.5, 1, 1001)
    threshold = find_threshold(confidence, confidence < 0.78, 0.05, 0.1)
    assert threshold.value == 0.8
    assert threshold.n_calibration == 1001
    assert (threshold.n_accepted, threshold.n_errors) == (401, 0)
    assert threshold.upper_bound == upper_bound(401, 0, 0.1) <= 0.05


@pytest.mark.parametrize(
    ("confidence", "is_wrong"),
    [
        (np.full(44, 0.9995), np.zeros(44, dtype=bool)),  # one too few
        (np.zeros(0), np.zeros(0, dtype=bool)),
        (np.full(300, 0.55), np.zeros(300, dtype=bool)),  # below all thresholds
        (np.full(300, 0.9995), np.arange(300) < 30),  # wrong too often
    ],
)
def test_no_threshold_where_none_can_be_promised(confidence, is_wrong):
    threshold = find_threshold(confidence, is_wrong, 0.05, 0.1)
    assert threshold.value is None
    assert threshold.n_calibration == len(confidence)
    assert threshold.upper_bound > 0.05


def test_sequence_ends_at_the_first_failure():
    # better again below the bad stretch: what comes after a failure is not looked at
    confidence = np.repeat([0.9995, 0.965, 0.7], [300, 20, 380])
    is_wrong = np.repeat([False, True, False], [300, 20, 380])
    assert passes(700, 20, 0.05, 0.1)
    threshold = find_threshold(confidence, is_wrong, 0.05, 0.1)
    assert threshold.value == 0.97
    assert (threshold.n_accepted, threshold.n_errors) == (300, 0)


def draw(rng, n, sharpness, optimism):
    """Confidences of one class, and whether they are wrong: ``optimism`` 1 is a model that knows how good it is."""
    logit = rng.gamma(2, sharpness, size=n)
    confidence = 1 / (1 + np.exp(-logit))
    return confidence, rng.random(n) < 1 / (1 + np.exp(logit / optimism))


@pytest.mark.parametrize("n", [60, 200])
@pytest.mark.parametrize(("sharpness", "optimism"), [(1, 1), (2, 1), (1.5, 1.6), (3, 2.5)])
@pytest.mark.parametrize(("alpha", "delta"), [(0.05, 0.1), (0.1, 0.2)])
def test_promised_share_of_errors_is_exceeded_in_the_promised_share_of_redraws_at_most(
    n, sharpness, optimism, alpha, delta
):
    rng = np.random.default_rng([n, int(10 * sharpness), int(10 * optimism), int(100 * alpha)])
    # what each threshold of the grid is worth, from so many images that their number does not matter
    confidence, is_wrong = draw(rng, 400_000, sharpness, optimism)
    risk = {value: is_wrong[confidence >= value].mean() for value in GRID}
    n_redraws = 400
    values = [find_threshold(*draw(rng, n, sharpness, optimism), alpha, delta).value for _ in range(n_redraws)]
    n_broken = sum(value is not None and risk[value] > alpha for value in values)
    # more than by chance, if the promise were kept exactly
    assert binom.sf(n_broken - 1, n_redraws, delta) > 1e-4, f"{n_broken} of {n_redraws}"


def test_promise_holds_where_every_threshold_is_just_too_loose():
    rng = np.random.default_rng(1)
    n_redraws, broken = 1000, 0
    for _ in range(n_redraws):
        confidence = 1 - 0.5 * rng.random(rng.integers(40, 400)) ** 3
        broken += find_threshold(confidence, rng.random(len(confidence)) < 0.0505, 0.05, 0.1).value is not None
    assert broken > 0
    assert binom.sf(broken - 1, n_redraws, 0.1) > 1e-4


def test_a_good_model_gets_a_threshold_almost_always():
    rng = np.random.default_rng(2)
    found = [find_threshold(*draw(rng, 200, 3, 1), 0.05, 0.1).value for _ in range(200)]
    assert sum(value is not None for value in found) > 190


def test_one_image_of_each_group():
    groups = np.array(["a", "b", "a", "c", "b", "a"])
    rows = one_each(groups, seed=3)
    assert sorted(groups[rows]) == ["a", "b", "c"]
    assert (np.diff(rows) > 0).all()
    assert len({tuple(one_each(groups, seed)) for seed in range(20)}) > 1


@pytest.mark.parametrize(
    "change", [{"alpha": 0.0}, {"delta": 1.0}, {"grid": (0.8, 0.9)}, {"is_wrong": np.zeros(4, dtype=bool)}]
)
def test_senseless_arguments_are_refused(change):
    arguments = {"confidence": np.ones(3), "is_wrong": np.zeros(3, dtype=bool), "alpha": 0.05, "delta": 0.1, **change}
    with pytest.raises(ValueError, match="Received"):
        find_threshold(**arguments)
