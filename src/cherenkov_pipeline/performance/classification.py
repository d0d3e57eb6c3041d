"""Statistics of a score between two classes, along the last axis; NaN is left out, as in `performance.statistics`.

``positive`` is 1 for gammas, 0 for others; ``score`` grows with the probability of a gamma. A threshold is `THRESHOLD`
or the one that keeps a given fraction of the gammas, found anew in each resample. Where several gammas have exactly its
score, the choice among them is random: of gammas and others of this score the same share is kept, in agreement with the
area under the ROC curve, where ties count half.
"""

import numpy as np

from cherenkov_pipeline.performance.statistics import mean, quantiles

THRESHOLD = 0.5
CALIBRATION_BINS = 10
SMALLEST_PROBABILITY = 1e-7


def threshold_at(positive: np.ndarray, score: np.ndarray, efficiency: float) -> np.ndarray:
    """Threshold that keeps this fraction of the gammas."""
    return quantiles(np.where(positive > 0, score, np.nan), (1 - efficiency,))[0]


def background_at(positive: np.ndarray, score: np.ndarray, efficiencies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow the ROC curve of one sample.

    Parameters
    ----------
    positive, score : ndarray, shape (n,)
    efficiencies : ndarray, shape (m,)
        Shares of the gammas that are kept.

    Returns
    -------
    threshold, background : ndarray, shape (m,)
        Scores that keep them, and the share of the others that is kept: as `background_efficiency` for each.
    """
    gammas, others = (np.sort(score[np.isfinite(score) & (positive == kind)]) for kind in (1, 0))
    threshold = np.array(quantiles(gammas, tuple(1 - efficiencies)))
    if not len(gammas):
        return threshold, threshold
    above, tied = _above_and_tied(gammas, threshold)
    of_tie = _share_of_tie(efficiencies, len(gammas), above, tied)
    above, tied = _above_and_tied(others, threshold)
    return threshold, _ratio(above + of_tie * tied, len(others))


def _above_and_tied(ordered: np.ndarray, threshold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of some scores, in order, are above thresholds, and how many are equal to them."""
    first, last = (np.searchsorted(ordered, threshold, side) for side in ("left", "right"))
    return len(ordered) - last, last - first


def _share_of_tie(
    efficiency: np.ndarray | float, n: np.ndarray | int, above: np.ndarray, tied: np.ndarray
) -> np.ndarray:
    """Share to keep of the gammas with the score of the threshold, so that ``efficiency`` of all ``n`` are kept."""
    return np.where(tied > 1, (efficiency * n - above) / np.maximum(tied, 1), 1)


def decisions(
    positive: np.ndarray, score: np.ndarray, efficiency: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gammas kept, others kept, gammas rejected, others rejected; above `THRESHOLD` where no efficiency is given."""
    limit = np.asarray(THRESHOLD if efficiency is None else threshold_at(positive, score, efficiency))[..., np.newaxis]
    # without gammas no threshold keeps a fraction of them: nothing is decided, not even that all others are rejected
    used = np.isfinite(positive) & np.isfinite(score) & np.isfinite(limit)
    gamma = used & (positive > 0)
    classes, above, tied = (gamma, used & ~gamma), score > limit, score == limit
    n_gammas, n_others = (one.sum(axis=-1) for one in classes)
    (gammas, others), (tied_gammas, tied_others) = (
        [(one & where).sum(axis=-1) for one in classes] for where in (above, tied)
    )
    of_tie = 1 if efficiency is None else _share_of_tie(efficiency, n_gammas, gammas, tied_gammas)
    gammas, others = gammas + of_tie * tied_gammas, others + of_tie * tied_others
    return gammas, others, n_gammas - gammas, n_others - others


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def accuracy(positive: np.ndarray, score: np.ndarray, efficiency: float | None = None) -> np.ndarray:
    """Share of right decisions."""
    gammas, others, lost, rejected = decisions(positive, score, efficiency)
    return _ratio(gammas + rejected, gammas + others + lost + rejected)


def precision(positive: np.ndarray, score: np.ndarray, efficiency: float | None = None) -> np.ndarray:
    """Share of gammas among what is kept."""
    gammas, others, _, _ = decisions(positive, score, efficiency)
    return _ratio(gammas, gammas + others)


def recall(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Share of the gammas that is kept: the gamma efficiency."""
    gammas, _, lost, _ = decisions(positive, score)
    return _ratio(gammas, gammas + lost)


def f1(positive: np.ndarray, score: np.ndarray, efficiency: float | None = None) -> np.ndarray:
    """Harmonic mean of precision and recall."""
    gammas, others, lost, _ = decisions(positive, score, efficiency)
    return _ratio(2 * gammas, 2 * gammas + others + lost)


def background_efficiency(positive: np.ndarray, score: np.ndarray, efficiency: float | None = None) -> np.ndarray:
    """Share of the others that is kept."""
    _, others, _, rejected = decisions(positive, score, efficiency)
    return _ratio(others, others + rejected)


def background_rejection(positive: np.ndarray, score: np.ndarray, efficiency: float) -> np.ndarray:
    """One over the background's efficiency; infinite where nothing of it is kept."""
    with np.errstate(divide="ignore"):
        return 1 / background_efficiency(positive, score, efficiency=efficiency)


def quality_factor(positive: np.ndarray, score: np.ndarray, efficiency: float) -> np.ndarray:
    """Gamma efficiency over the square root of the background's; infinite where nothing of it is kept."""
    with np.errstate(divide="ignore"):
        return efficiency / np.sqrt(background_efficiency(positive, score, efficiency=efficiency))


def brier(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Mean squared difference between score and class (Brier 1950)."""
    return mean((score - positive) ** 2)


def log_loss(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Mean negative logarithm of the probability given to the right class."""
    right = np.where(positive > 0, score, 1 - score) + 0 * positive
    return mean(-np.log(np.clip(right, SMALLEST_PROBABILITY, 1)))


def calibration_error(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Mean |share of gammas - score| over ten equal bins, weighted by their events: the expected calibration error."""
    used = np.isfinite(positive) & np.isfinite(score)
    bins = np.where(used, np.clip((np.nan_to_num(score) * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1), -1)
    difference = np.where(used, positive - score, 0)
    total = sum(np.abs(np.where(bins == number, difference, 0).sum(axis=-1)) for number in range(CALIBRATION_BINS))
    return _ratio(total, used.sum(axis=-1))
