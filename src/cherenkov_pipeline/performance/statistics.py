"""Statistics along the last axis that leave out NaN, and are NaN where nothing is left.

They take one sample ``(n,)`` or a stack of resamples ``(k, n)`` whose rows are padded with NaN, which is what
the bootstrap hands in. The quantiles interpolate linearly, as `numpy.quantile` does.
"""

import numpy as np
from scipy.stats import norm, rankdata

#: Probabilities that enclose the central 68.27 %, and their difference.
LOWER_SIGMA, UPPER_SIGMA = norm.cdf([-1, 1])
ONE_SIGMA = UPPER_SIGMA - LOWER_SIGMA


def deviations(confidence: float) -> float:
    """Half width of a central interval of the normal distribution, in standard deviations."""
    return float(norm.ppf(0.5 + 0.5 * confidence))


def mean(values: np.ndarray) -> np.ndarray:
    """Arithmetic mean."""
    used = np.isfinite(values)
    n = used.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(used, values, 0).sum(axis=-1) / n


def standard_deviation(values: np.ndarray) -> np.ndarray:
    """Root mean square distance from the mean (of the population)."""
    return np.sqrt(mean((values - mean(values)[..., np.newaxis]) ** 2))


def quantiles(values: np.ndarray, probabilities: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """Quantiles, one array for each probability; one sort serves them all."""
    ordered = np.sort(values, axis=-1)  # NaN comes last
    n = np.isfinite(values).sum(axis=-1)
    if ordered.shape[-1] == 0:
        return tuple(np.full(n.shape, np.nan) for _ in probabilities)
    return tuple(_interpolate(ordered, probability * np.maximum(n - 1, 0)) for probability in probabilities)


def _interpolate(ordered: np.ndarray, position: np.ndarray) -> np.ndarray:
    below = np.floor(position).astype(np.int64)
    above = np.ceil(position).astype(np.int64)
    low = np.take_along_axis(ordered, below[..., np.newaxis], axis=-1)[..., 0]
    high = np.take_along_axis(ordered, above[..., np.newaxis], axis=-1)[..., 0]
    return low + (position - below) * (high - low)


def median(values: np.ndarray) -> np.ndarray:
    """Median."""
    return quantiles(values, (0.5,))[0]


def half_width_68(values: np.ndarray) -> np.ndarray:
    """Half width of the central 68.27 % interval: one standard deviation, if the values are Gaussian."""
    low, high = quantiles(values, (LOWER_SIGMA, UPPER_SIGMA))
    return 0.5 * (high - low)


def absolute_quantile(values: np.ndarray, probability: float) -> np.ndarray:
    """Quantile of the absolute values."""
    return quantiles(np.abs(values), (probability,))[0]


def quantile_68(values: np.ndarray) -> np.ndarray:
    """68.27 % quantile of the absolute values, the resolution of ctaplot and sst1mpipe; a bias counts."""
    return absolute_quantile(values, ONE_SIGMA)


def half_ratio(error: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """68.27 % quantile of the half with the smaller predicted errors, over that of the other half."""
    used = np.isfinite(error) & np.isfinite(predicted)
    better = predicted <= median(np.where(used, predicted, np.nan))[..., np.newaxis]
    halves = [quantile_68(np.where(used & half, error, np.nan)) for half in (better, ~better)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return halves[0] / halves[1]


def mean_square(values: np.ndarray) -> np.ndarray:
    """Mean of the squares."""
    return mean(values**2)


def mean_absolute(values: np.ndarray) -> np.ndarray:
    """Mean of the absolute values."""
    return mean(np.abs(values))


def root_mean_square(values: np.ndarray) -> np.ndarray:
    """Root of the mean of the squares."""
    return np.sqrt(mean_square(values))


def r_squared(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Coefficient of determination; NaN where the true values do not vary."""
    variance = mean_square(true - mean(true)[..., np.newaxis])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variance > 0, 1 - mean_square(predicted - true) / variance, np.nan)


def roc_auc(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Area under the ROC curve: the chance that a positive scores higher than a negative, ties counting half.

    From the sum of the ranks of the positives (Mann & Whitney 1947). ``positive`` is 1 or 0, NaN where a row is
    left out; NaN where there is only one class.
    """
    used = np.isfinite(positive) & np.isfinite(score)
    ranks = rankdata(np.where(used, score, np.inf), axis=-1)  # what is left out ranks last
    is_positive = used & (positive > 0)
    n_positive, n = is_positive.sum(axis=-1), used.sum(axis=-1)
    above = np.where(is_positive, ranks, 0).sum(axis=-1) - n_positive * (n_positive + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return above / (n_positive * (n - n_positive))
