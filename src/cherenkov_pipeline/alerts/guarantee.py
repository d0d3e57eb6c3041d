"""Thresholds of confidence that keep a promise on the share of wrong verdicts, or none where nothing can be promised.

The promise, for each class of verdict: among the verdicts that are given, at most a share ``alpha`` is wrong. It is
kept with a probability of ``1 - delta`` over the choice of the calibration images. Fixed-sequence testing (Angelopoulos
et al. 2021, arXiv:2110.01052): the thresholds of a grid that was fixed before any image was seen are tested one after
the other, from the strictest on, each with the exact binomial bound of Clopper and Pearson (1934); the first that
fails ends the sequence, and the last that passed is taken. So many thresholds are tried at the cost of one.

Very strict thresholds accept too few images to prove anything. The sequence begins with the strictest threshold that
accepts enough of them, which is decided from counts alone, without a look at what is right or wrong. With that, the
promise needs one more assumption: that a stricter threshold is not wrong more often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

GRID = (
    0.999,
    0.998,
    0.995,
    0.99,
    0.985,
    0.98,
    0.97,
    0.96,
    0.95,
    0.94,
    0.92,
    0.9,
    0.88,
    0.85,
    0.8,
    0.75,
    0.7,
    0.65,
    0.6,
)
"""Thresholds of confidence, from the strictest on."""

START = 0.4
"""Share of a class's images that the first threshold of the sequence accepts, at least."""


@dataclass(frozen=True)
class Threshold:
    """The threshold of one class of verdict, and what it rests on.

    Attributes
    ----------
    value : float or None
        Smallest confidence of a verdict; None: there is no valid threshold.
    alpha, delta : float
        The promise: a share of wrong verdicts of at most ``alpha``, with a probability of ``1 - delta``.
    n_calibration : int
        Calibration images that were predicted to be of the class.
    n_accepted, n_errors : int
        Of them, those at or above the threshold, and the wrong ones among these; where there is none, at the
        threshold whose test failed (the loosest one, where even that accepts too few).
    upper_bound : float
        Clopper-Pearson bound of the share of wrong verdicts that belongs to these counts.
    """

    value: float | None
    alpha: float
    delta: float
    n_calibration: int
    n_accepted: int
    n_errors: int
    upper_bound: float


def find_threshold(
    confidence: np.ndarray, is_wrong: np.ndarray, alpha: float, delta: float, grid: Sequence[float] = GRID
) -> Threshold:
    """Find the smallest confidence at which verdicts of one class are wrong seldom enough.

    Parameters
    ----------
    confidence : ndarray
        (n,), of calibration images that are predicted to be of this class, and that are not unsure for another reason.
        They must be independent of each other (of the sequence of one burst only one: see `one_each`), and neither
        models nor temperature may have been fitted to them.
    is_wrong : ndarray of bool
        (n,), the image is of the other class.
    alpha : float
        Largest share of wrong verdicts, between 0 and 1.
    delta : float
        Largest probability that the share is larger all the same, between 0 and 1.
    grid : sequence of float
        Thresholds from the strictest on. It must not depend on the images.

    Returns
    -------
    Threshold
    """
    confidence, is_wrong = np.asarray(confidence, dtype=float), np.asarray(is_wrong, dtype=bool)
    if confidence.shape != is_wrong.shape or confidence.ndim != 1:
        raise ValueError(f"confidence and is_wrong must be (n,). Received: {confidence.shape}, {is_wrong.shape}")
    if not (0 < alpha < 1 and 0 < delta < 1):
        raise ValueError(f"alpha and delta lie between 0 and 1. Received: {alpha}, {delta}")
    if any(stricter <= looser for stricter, looser in pairwise(grid)):
        raise ValueError(f"The grid falls. Received: {grid}")
    accepted = confidence >= np.asarray(grid)[:, np.newaxis]
    n_accepted, n_errors = accepted.sum(axis=1), (accepted & is_wrong).sum(axis=1)
    enough = max(needed(alpha, delta), START * n_accepted[-1])
    value, counts = None, (int(n_accepted[-1]), int(n_errors[-1]))
    for threshold, n, errors in zip(grid, n_accepted, n_errors, strict=True):
        if n < enough:
            continue
        if not passes(int(n), int(errors), alpha, delta):
            counts = counts if value is not None else (int(n), int(errors))
            break
        value, counts = float(threshold), (int(n), int(errors))
    return Threshold(value, alpha, delta, len(confidence), *counts, upper_bound(*counts, delta))


def passes(n: int, n_errors: int, alpha: float, delta: float) -> bool:
    """Whether so few errors among ``n`` prove a share of at most ``alpha``, at the level ``delta``."""
    from scipy.special import bdtr

    # the same as upper_bound(n, n_errors, delta) <= alpha, without the inversion
    return n > 0 and bool(bdtr(n_errors, n, alpha) <= delta)


def upper_bound(n: int, n_errors: int, delta: float) -> float:
    """Clopper-Pearson bound: a share below which the true one lies with a probability of ``1 - delta``."""
    from scipy.special import betaincinv

    return 1.0 if n_errors >= n else float(betaincinv(n_errors + 1, n - n_errors, 1 - delta))


def needed(alpha: float, delta: float, n_errors: int = 0) -> int:
    """Smallest number of accepted images, ``n_errors`` of them wrong, that proves a share of at most ``alpha``."""
    n = n_errors + 1
    while not passes(n, n_errors, alpha, delta):
        n += 1
    return n


def one_each(groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Choose one image of each group at random, so that those that are left do not depend on each other.

    Parameters
    ----------
    groups : ndarray
        (n,), what images belong to, such as ``burst_id``.

    Returns
    -------
    ndarray of int
        Sorted row numbers, one a group.
    """
    order = np.random.default_rng(seed).permutation(len(groups))
    _, first = np.unique(np.asarray(groups)[order], return_index=True)
    return np.sort(order[first])
