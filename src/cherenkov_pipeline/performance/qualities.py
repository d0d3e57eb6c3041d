"""What makes one model of a task better than another: its metrics, and the value that a perfect model would have.

A metric that is not in `PERFECT` says how a model is, not how good: a threshold, a predicted error, an efficiency that
can be traded for another at the same threshold, a resolution of events that each model chooses by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.performance import direction, energy, regression, type
from cherenkov_pipeline.performance.metrics import Metric
from cherenkov_pipeline.performance.sample import Sample
from cherenkov_pipeline.performance.statistics import ONE_SIGMA


@dataclass(frozen=True)
class Quality:
    """How models of one task are ranked.

    Attributes
    ----------
    sample : callable
        ``predictions -> Sample``.
    metrics : tuple of Metric
    headline : str
        Name of the metric that decides which model is called the best.
    """

    sample: Callable[[Table], Sample]
    metrics: tuple[Metric, ...]
    headline: str


_COORDINATES = [one.name for quantity in (regression.CORE, regression.XMAX) for one in quantity.coordinates]

PERFECT: dict[str, float] = {
    **dict.fromkeys(("resolution", "quantile_68", "bias", "standard_deviation", "mse", "mae", "mse_log", "mae_log"), 0),
    **dict.fromkeys(("rmsle", "pull_mean"), 0),
    **dict.fromkeys(("r2", "r2_log", "pull_width"), 1),
    "coverage_68": ONE_SIGMA,
    **dict.fromkeys(("angular_resolution", "mdae", "rmsde", "mae_alt", "mae_az"), 0),
    **dict.fromkeys(("containment_25", "containment_50", "containment_95"), 0),
    "right_side": 1,
    **dict.fromkeys(("auc", "accuracy", "f1", "accuracy_at_80", "precision_at_80", "f1_at_80"), 1),
    **dict.fromkeys(("brier", "log_loss", "calibration_error", "background_efficiency_at_80"), 0),
    **{f"background_efficiency_{round(100 * efficiency)}": 0 for efficiency in type.EFFICIENCIES},
    **{
        f"{name}_{round(100 * efficiency)}": np.inf
        for name in ("background_rejection", "quality_factor")
        for efficiency in type.EFFICIENCIES
    },
    "distance_68": 0,
    **{f"{kind}_{name}": 0 for kind in ("bias", "resolution", "mae", "rmse") for name in _COORDINATES},
    **{f"r2_{name}": 1 for name in _COORDINATES},
    **{f"coverage_68_{name}": ONE_SIGMA for name in _COORDINATES},
}
"""Value of each metric for a perfect model; the nearer a model comes to it, the better."""


def shortfall(name: str, values: np.ndarray) -> np.ndarray:
    """How far values of a metric are from perfection; minus the values themselves where more is always better."""
    perfect = PERFECT[name]
    return -np.asarray(values) if np.isinf(perfect) else np.abs(np.asarray(values) - perfect)


def _regression(quantity: regression.Quantity) -> Quality:
    return Quality(
        partial(regression.regression_sample, quantity=quantity),
        quantity.metrics(detailed=True),
        quantity.resolution.name,
    )


_DIRECTION = Quality(direction.direction_sample, direction.SUMMARY_METRICS, direction.RESOLUTION.name)

QUALITIES: dict[str, Quality] = {
    "energy": Quality(energy.energy_sample, energy.SUMMARY_METRICS, energy.RESOLUTION.name),
    "type": Quality(type.type_sample, type.SUMMARY_METRICS, type.AUC.name),
    "skydirection": _DIRECTION,
    "cameradirection": _DIRECTION,
    "core": _regression(regression.CORE),
    "xmax": _regression(regression.XMAX),
}
