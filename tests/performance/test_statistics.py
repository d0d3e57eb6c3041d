import numpy as np
import pytest
from pyirf.benchmarks.energy_bias_resolution import energy_resolution_absolute_68, inter_quantile_distance
from sklearn.metrics import r2_score

from cherenkov_pipeline.performance import statistics

FUNCTIONS = [
    statistics.mean,
    statistics.standard_deviation,
    statistics.median,
    statistics.half_width_68,
    statistics.quantile_68,
    statistics.mean_square,
    statistics.mean_absolute,
    statistics.root_mean_square,
]


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(0.3, 2, 501)


def test_quantities_of_the_field_agree_with_pyirf(values):
    assert statistics.half_width_68(values) == pytest.approx(inter_quantile_distance(values), abs=1e-12)
    assert statistics.quantile_68(values) == pytest.approx(energy_resolution_absolute_68(values), abs=1e-12)


def test_quantiles_agree_with_numpy(values):
    for probability in (0, 0.1, 0.5, 0.987, 1):
        (found,) = statistics.quantiles(values, (probability,))
        assert found == pytest.approx(np.quantile(values, probability), abs=1e-12)


def test_r_squared_agrees_with_scikit_learn(values):
    predicted = values + np.random.default_rng(1).normal(size=len(values))
    assert statistics.r_squared(values, predicted) == pytest.approx(r2_score(values, predicted))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_padding_with_nan_changes_nothing(function, values):
    padded = np.full((2, len(values) + 9), np.nan)
    padded[0, 3 : 3 + len(values)] = values
    padded[1, :7] = values[:7]
    np.testing.assert_allclose(function(padded), [function(values), function(values[:7])], rtol=1e-12)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("empty", [np.empty(0), np.full(3, np.nan)])
def test_nothing_left_is_nan(function, empty):
    assert np.isnan(function(empty))


def test_r_squared_needs_values_that_vary():
    assert np.isnan(statistics.r_squared(np.ones(4), np.arange(4.0)))
    assert np.isnan(statistics.r_squared(np.empty(0), np.empty(0)))
