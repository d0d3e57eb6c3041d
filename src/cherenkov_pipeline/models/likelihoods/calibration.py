"""Factors that make predicted intervals hold what they say, from validation events. Numpy alone."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares, minimize_scalar
from scipy.special import expit

from cherenkov_pipeline.directions import ONE_SIGMA
from cherenkov_pipeline.models.likelihoods.base import N_KNOTS, Constants, neutral_factor

WINDOW = 0.25
"""Share of the events, nearest in the predictor, that give the factor at a place."""

MINIMUM_EVENTS = 100
"""Fewer events do not tell a factor to better than a tenth."""

N_PARTS = 8
"""Bins of equal width, of the predictions and of the true values, that a factor for both is chosen on."""

TAIL = 0.02
"""Share of the events below the first of these bins, and above the last one."""

SOFTNESS = 0.05
"""Width in log(factor) over which an event passes from held to not held; makes shares of them differentiable."""

STIFFNESS = 0.4
"""How much a change of log(factor) weighs beside the same deviation of a share; keeps it smooth."""


def scale_factor(predictor: np.ndarray, covering_factor: np.ndarray, truth: np.ndarray | None = None) -> Constants:
    """Factor of the scales as a smooth function of a predicted value.

    Parameters
    ----------
    predictor : ndarray
        (n, k), what the factors may depend on.
    covering_factor : ndarray
        (n, k), smallest factor of the event's scales with which its 68.27 % interval holds the truth.
    truth : ndarray, optional
        (n, k), true values of what the predictor predicts. Intervals that hold at each prediction do not at each true
        value, where a threshold cuts a spectrum off; with these, factors are chosen that come nearest to both.

    Returns
    -------
    dict
        ``factor_places`` and ``log_factors`` (k, `N_KNOTS`) of `base.log_factor`: at each place, the factor with
        which 68.27 % of the quarter of the events nearest to it are held. With ``truth``, those not far from them with
        which bins of the predictions and of the true values deviate least from 68.27 %, and all events together do not.
        Neutral where there are too few events.
    """
    constants = neutral_factor(predictor.shape[1])
    for target in range(predictor.shape[1]):
        used = np.isfinite(predictor[:, target]) & np.isfinite(covering_factor[:, target])
        if np.count_nonzero(used) < MINIMUM_EVENTS:
            continue
        order = np.argsort(predictor[used, target], kind="stable")
        x, needed = predictor[used, target][order].astype(float), covering_factor[used, target][order].astype(float)
        half = round(len(x) * WINDOW / 2)
        centers = np.linspace(half, len(x) - half, N_KNOTS).round().astype(int)
        windows = [slice(center - half, center + half) for center in centers]
        places = np.array([np.median(x[window]) for window in windows])
        constants["factor_places"][target] = _increasing(places)
        needed = np.log(np.maximum(needed, 1e-6))
        factors = np.array([np.quantile(needed[window], ONE_SIGMA) for window in windows])
        if truth is not None:
            true = truth[used, target][order]
            factors = _nearest_to_both(factors, x, true, needed, constants["factor_places"][target])
        constants["log_factors"][target] = factors
    return constants


def _nearest_to_both(
    log_factors: np.ndarray, predicted: np.ndarray, true: np.ndarray, needed: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Move log-factors until bins of predictions and of true values hold best; all events together exactly."""
    parts = [part for value in (predicted, true) for part in _bins(value)]
    if not parts:
        return log_factors

    def deviations(changed: np.ndarray) -> np.ndarray:
        held = expit((np.interp(predicted, places, changed) - needed) / SOFTNESS)
        shares = np.array([held[part].mean() for part in parts])
        return np.concatenate([shares - ONE_SIGMA, STIFFNESS * (changed - log_factors)])

    found = least_squares(deviations, log_factors).x
    return found + np.quantile(needed - np.interp(predicted, places, found), ONE_SIGMA)


def _bins(value: np.ndarray) -> list[np.ndarray]:
    """Rows of the events in each bin that has enough of them."""
    edges = np.linspace(*np.quantile(value, (TAIL, 1 - TAIL)), N_PARTS + 1)
    number = np.digitize(value, edges)
    rows = [np.flatnonzero(number == one) for one in range(1, N_PARTS + 1)]
    return [one for one in rows if len(one) >= MINIMUM_EVENTS]


def temperature(
    logit: np.ndarray, is_positive: np.ndarray, weights: np.ndarray, minimum: int = MINIMUM_EVENTS
) -> float:
    """Divisor of a logit with which its probabilities fit best (Guo et al. 2017, arXiv:1706.04599).

    Parameters
    ----------
    logit : ndarray
        (n,).
    is_positive : ndarray of bool
        (n,).
    weights : ndarray
        (n,), how much an event counts in the loss.
    minimum : int
        With fewer events it is 1.
    """
    if len(logit) < minimum or is_positive.all() or not is_positive.any():
        return 1.0
    signed = np.where(is_positive, logit, -logit).astype(float)

    def loss(log_temperature: float) -> float:
        return np.average(np.logaddexp(0, -signed / np.exp(log_temperature)), weights=weights)

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def smallest_factor(is_held: Callable[[np.ndarray], np.ndarray], n: int) -> np.ndarray:
    """Smallest factor with which each event is held, by bisection between 0.02 and 50.

    Parameters
    ----------
    is_held : callable
        ``factors (n,) -> bool (n,)``, once True then True for every larger factor.
    """
    low, high = np.full(n, np.log(0.02)), np.full(n, np.log(50.0))
    for _ in range(20):
        middle = 0.5 * (low + high)
        held = is_held(np.exp(middle))
        low, high = np.where(held, low, middle), np.where(held, middle, high)
    return np.exp(high)


def _increasing(places: np.ndarray) -> np.ndarray:
    """Places with a step between them also where the predictor repeats itself."""
    # never below what single precision, in which the layer holds them, can tell apart
    step = max(1e-3 * (places[-1] - places[0]), 1e-6, 1e-6 * np.abs(places).max())
    return np.maximum.accumulate(places - step * np.arange(len(places))) + step * np.arange(len(places))
