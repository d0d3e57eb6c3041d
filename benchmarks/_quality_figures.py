"""Figures of merit of the benchmark of the quality, with paired bootstrap intervals over showers.

Every figure is a mean over the seeds of the trainings: a resample of the showers is the same for all of them and for
both methods, so that ratios do not vary with what both find difficult.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from cherenkov_pipeline.performance.metrics import Estimate, Metric, estimate
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.statistics import mean, quantile_68, quantiles, roc_auc

ENERGY_EDGES = np.geomspace(1, 60, 6)
"""TeV."""

STATISTICS = EvaluationParameters(confidence=0.95, resamples=400)
GAMMA_EFFICIENCY = 0.7
N_CALIBRATION_BINS = 15

Columns = dict[str, np.ndarray]
Function = Callable[..., np.ndarray]


def over_seeds(function: Function, n_fixed: int = 0) -> Function:
    """Mean over the seeds of a function of one seed's columns: first the fixed columns, then those of each seed."""

    def value(*columns: np.ndarray) -> np.ndarray:
        fixed, rest = columns[:n_fixed], columns[n_fixed:]
        n = function.__code__.co_argcount - n_fixed
        return np.mean([function(*fixed, *rest[i : i + n]) for i in range(0, len(rest), n)], axis=0)

    return value


def resolution_ratio(ours: np.ndarray, forest: np.ndarray) -> np.ndarray:
    """Ratio of the 68.27 % quantiles of errors."""
    return quantile_68(ours) / quantile_68(forest)


def auc_gain(is_gamma: np.ndarray, ours: np.ndarray, forest: np.ndarray) -> np.ndarray:
    """Difference of the areas under the ROC curves."""
    return roc_auc(is_gamma, ours) - roc_auc(is_gamma, forest)


def proton_ratio(is_gamma: np.ndarray, ours: np.ndarray, forest: np.ndarray) -> np.ndarray:
    """Ratio of the protons that are kept where 70 % of the gammas are."""
    return proton_efficiency(is_gamma, ours) / proton_efficiency(is_gamma, forest)


def proton_efficiency(is_gamma: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Share of the protons kept by the cut that keeps 70 % of the gammas."""
    (cut,) = quantiles(np.where(is_gamma > 0.5, score, np.nan), (1 - GAMMA_EFFICIENCY,))
    return mean(np.where(is_gamma < 0.5, score >= cut[..., np.newaxis], np.nan))


def halves_ratio(error: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Error of the half with the smaller predicted errors over that of the other half."""
    (middle,) = quantiles(predicted, (0.5,))
    better = predicted <= middle[..., np.newaxis]
    return quantile_68(np.where(better, error, np.nan)) / quantile_68(np.where(better, np.nan, error))


def calibration_error(is_gamma: np.ndarray, gammaness: np.ndarray) -> np.ndarray:
    """Mean distance of gammaness and share of gammas, in bins of equal width (expected calibration error)."""
    number = np.minimum(np.floor(gammaness * N_CALIBRATION_BINS), N_CALIBRATION_BINS - 1)
    n, total = np.isfinite(gammaness).sum(axis=-1), 0.0
    for index in range(N_CALIBRATION_BINS):
        inside = number == index
        distance = np.where(inside, gammaness - is_gamma, 0).sum(axis=-1)
        total = total + np.abs(distance)
    return total / n


def energy_bins(energy: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Names and rows of all events and of the bins of true energy."""
    yield "all", np.arange(len(energy))
    for low, high in pairwise(ENERGY_EDGES):
        yield f"{low:.1f}-{high:.1f} TeV", np.flatnonzero((energy >= low) & (energy < high))


def measure(
    function: Function,
    columns: Columns,
    names: Sequence[str],
    energy: np.ndarray,
    showers: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """Estimate a figure over all energies and in each bin.

    Parameters
    ----------
    function : callable
        Of the columns of these names.
    columns : dict
        (n,) arrays.
    names : sequence of str
    energy, showers : ndarray
        (n,), true energy [TeV] and label of the shower.
    rng : numpy.random.Generator
    """
    metric = Metric("figure", "", tuple(names), function)
    found = {}
    for bin_name, rows in energy_bins(energy):
        chosen = {name: columns[name][rows] for name in set(names)}
        found[bin_name] = estimate(chosen, (metric,), showers[rows], STATISTICS, rng)["figure"]
    return found
