from itertools import pairwise

import numpy as np
import pytest

from cherenkov_pipeline.directions import ONE_SIGMA
from cherenkov_pipeline.models.likelihoods.base import N_KNOTS, log_factor
from cherenkov_pipeline.models.likelihoods.calibration import scale_factor, smallest_factor, temperature


def applied(constants, predictor):
    factor = log_factor(predictor.astype(np.float32), *(constants[name].astype(np.float32) for name in constants))
    return np.exp(np.asarray(factor))


def test_factors_make_intervals_hold_everywhere():
    """Errors that are wrong by a factor that varies with the prediction."""
    rng = np.random.default_rng(0)
    predictor = rng.uniform(-1, 2, (20_000, 2))
    needed = np.abs(rng.normal(size=predictor.shape)) * np.exp(0.5 * predictor * [1, -1])
    factor = applied(scale_factor(predictor, needed), predictor)
    for column in range(2):
        for low in (-1, 0, 1):
            inside = (predictor[:, column] >= low) & (predictor[:, column] < low + 1)
            assert (needed < factor)[inside, column].mean() == pytest.approx(ONE_SIGMA, abs=0.03)


def test_truth_counts_beside_the_prediction():
    """Above a threshold, with predictions between it and the truth, as the best ones are."""
    rng = np.random.default_rng(4)
    true = rng.exponential(0.35, 100_000)
    true = true[rng.random(len(true)) < 1 / (1 + np.exp(-(true - 0.3) / 0.08))]
    measured = true + rng.normal(0, 0.1, len(true))
    predicted, needed = np.empty_like(true), np.empty_like(true)
    for part in np.array_split(np.argsort(measured), 200):
        predicted[part] = true[part].mean()
        needed[part] = np.abs(true[part] - true[part].mean()) / true[part].std()

    def deviations(truth, value):
        factor = applied(scale_factor(predicted[:, np.newaxis], needed[:, np.newaxis], truth), predicted[:, np.newaxis])
        held = needed < factor[:, 0]
        assert held.mean() == pytest.approx(ONE_SIGMA, abs=0.01)
        edges = np.linspace(*np.quantile(value, (0.03, 0.97)), 7)
        bins = [(value >= low) & (value < high) for low, high in pairwise(edges)]
        return np.array([held[inside].mean() - ONE_SIGMA for inside in bins])

    truth = true[:, np.newaxis]
    squares = {
        name: [np.square(deviations(given, value)).sum() for value in (predicted, true)]
        for name, given in (("alone", None), ("both", truth))
    }
    assert squares["both"][1] < 0.7 * squares["alone"][1]
    assert sum(squares["both"]) < 0.9 * sum(squares["alone"])


@pytest.mark.parametrize("value", [0.0, 3.0, -300.0, 1e5])
def test_a_repeated_predictor_breaks_nothing(value):
    """In single precision, in which the layer holds the places."""
    needed = np.abs(np.random.default_rng(1).normal(size=(500, 1)))
    same = scale_factor(np.full((500, 1), value), needed)
    assert (np.diff(same["factor_places"].astype(np.float32)) > 0).all()
    assert applied(same, np.full((1, 1), value)) == pytest.approx(1, abs=0.15)


def test_few_events_break_nothing():
    rng = np.random.default_rng(1)
    few = scale_factor(rng.normal(size=(20, 1)), np.full((20, 1), 7.0))
    assert few["log_factors"].shape == (1, N_KNOTS)
    assert not few["log_factors"].any()
    unknown = scale_factor(np.full((500, 1), np.nan), np.ones((500, 1)))
    assert not unknown["log_factors"].any()


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_temperature_of_an_overconfident_classifier(true):
    rng = np.random.default_rng(2)
    logit = rng.normal(0, 2, 20_000)
    positive = rng.random(20_000) < 1 / (1 + np.exp(-logit))
    assert temperature(true * logit, positive, np.ones(20_000)) == pytest.approx(true, rel=0.05)


def test_temperature_is_that_of_the_weighted_events():
    """Probabilities that are right where both classes are whole, on a sample that has a twentieth of one of them."""
    rng = np.random.default_rng(3)
    logit = rng.exponential(2, 100_000) - 1
    positive = rng.random(len(logit)) < 1 / (1 + np.exp(-logit))
    kept = positive | (rng.random(len(logit)) < 0.05)
    logit, positive = logit[kept], positive[kept]
    assert temperature(logit, positive, np.where(positive, 1, 20)) == pytest.approx(1, rel=0.05)
    assert temperature(logit, positive, np.ones(len(logit))) < 0.8


def test_one_class_has_no_temperature():
    assert temperature(np.ones(500), np.ones(500, dtype=bool), np.ones(500)) == 1


def test_bisection_finds_the_smallest_factor():
    wanted = np.geomspace(0.1, 10, 20)
    assert smallest_factor(lambda factors: factors >= wanted, 20) == pytest.approx(wanted, rel=1e-4)
