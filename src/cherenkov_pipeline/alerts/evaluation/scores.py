"""Metrics of verdicts with intervals over bursts, methods against each other, strata, risk over coverage."""

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import QTable, Table
from scipy.stats import binomtest

from cherenkov_pipeline.performance import classification
from cherenkov_pipeline.performance.metrics import Metric, Share, estimate, grouped_metrics, metrics_table
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.statistics import mean, roc_auc

_BOTH = ("is_real", "probability")

METRICS = (
    Share("accuracy", "Accuracy", _BOTH, classification.accuracy),
    Share("precision", "Precision", ("precise",), mean),
    Share("recall", "Recall", ("recalled",), mean),
    Metric("f1", "F1", _BOTH, classification.f1),
    Metric("auc", "Area under the ROC curve", _BOTH, roc_auc),
    Metric("calibration_error", "Expected calibration error", _BOTH, classification.calibration_error),
    Metric("brier", "Brier score", _BOTH, classification.brier),
)
"""Of probabilities of a real source."""

VERDICT_METRICS = (
    Share("unsure", "Share of unsure", ("unsure",), mean),
    Share("accepted_error", "Wrong among the verdicts that are given", ("accepted_wrong",), mean),
    Share("missed", "True sources called false, of those with a verdict", ("missed",), mean),
    Share("real_error", "Wrong among the verdicts true source", ("real_wrong",), mean),
    Share("false_error", "Wrong among the verdicts false alert", ("false_wrong",), mean),
)
"""Of verdicts."""


def probability_columns(probability: np.ndarray, is_real: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of `METRICS`, NaN where a row does not count."""
    is_real, probability = np.asarray(is_real, dtype=bool), np.asarray(probability, dtype=float)
    said_real = probability >= classification.THRESHOLD
    return {
        "is_real": is_real.astype(float),
        "probability": probability,
        "precise": np.where(said_real, is_real, np.nan),
        "recalled": np.where(is_real, said_real, np.nan),
    }


def verdict_columns(verdicts: np.ndarray, is_real: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of `VERDICT_METRICS`, NaN where a row does not count.

    Parameters
    ----------
    verdicts : ndarray of str
        (n,), "real", "false" or "unsure".
    is_real : ndarray of bool
        (n,).
    """
    is_real = np.asarray(is_real, dtype=bool)
    unsure, said_real, said_false = (verdicts == name for name in ("unsure", "real", "false"))
    wrong = (said_real & ~is_real) | (said_false & is_real)
    return {
        "unsure": unsure.astype(float),
        "accepted_wrong": np.where(unsure, np.nan, wrong),
        "missed": np.where(is_real & ~unsure, said_false, np.nan),
        "real_wrong": np.where(said_real, ~is_real, np.nan),
        "false_wrong": np.where(said_false, is_real, np.nan),
    }


def score_table(
    columns: Mapping[str, np.ndarray],
    metrics: Sequence[Metric],
    groups: np.ndarray,
    parameters: EvaluationParameters,
    seed: int = 0,
) -> QTable:
    """Make a table of metrics with bootstrap intervals, in which whole groups are drawn.

    Parameters
    ----------
    columns : mapping
        From `probability_columns` or `verdict_columns`.
    metrics : sequence of Metric
    groups : ndarray of int
        (n,), rows of one burst have the same, also those of several repeats.
    parameters : EvaluationParameters
    seed : int

    Returns
    -------
    QTable
        See `~cherenkov_pipeline.performance.metrics.metrics_table`.
    """
    n = len(next(iter(columns.values())))
    counts = {"events_images": ("Images", n), "events_groups": ("Bursts", len(np.unique(groups)))}
    table = metrics_table(columns, metrics, groups, counts, parameters, np.random.default_rng(seed))
    table.meta["interval"] = "percentile bootstrap over bursts"
    return table


def strata_table(
    columns: Mapping[str, np.ndarray],
    metrics: Sequence[Metric],
    strata: Mapping[str, np.ndarray],
    groups: np.ndarray,
    parameters: EvaluationParameters,
    seed: int = 0,
) -> QTable:
    """Compute metrics in parts of the sample.

    Parameters
    ----------
    columns, metrics, groups, parameters, seed
        See `score_table`.
    strata : mapping
        Name -> (n,) bool.

    Returns
    -------
    QTable
        One row a stratum: ``stratum``, ``n``, and each metric with ``_low`` and ``_high``.
    """
    rows = [np.flatnonzero(chosen) for chosen in strata.values()]
    table = grouped_metrics(columns, metrics, groups, rows, parameters, np.random.default_rng(seed))
    table.add_column(list(strata), index=0, name="stratum")
    return table


def strata_of(table: Table, valid_fraction: np.ndarray) -> dict[str, np.ndarray]:
    """Divide labelled images by what may matter: completeness, signal to noise, cause, time scale, clearness.

    Parameters
    ----------
    table : Table
        Of `~cherenkov_pipeline.alerts.images.SubImages`; columns that are not there make no strata.
    valid_fraction : ndarray
        (n,), of the images' pixels.
    """
    complete = np.asarray(valid_fraction) >= 1
    snr = np.asarray(table["snr_max"], dtype=float)
    strata = {"complete": complete, "incomplete": ~complete}
    for low, high in ((0, 8), (8, 12), (12, 20), (20, np.inf)):
        name = f"SNR {low} to {high}" if np.isfinite(high) else f"SNR above {low}"
        strata[name] = (snr >= low) & (snr < high)
    if "is_unclear" in table.colnames and table["is_unclear"].dtype.kind == "b":
        strata["unclear"] = np.asarray(table["is_unclear"], dtype=bool)
    if "timescale" in table.colnames and table["timescale"].dtype.kind in "fiu":
        scale = np.asarray(table["timescale"], dtype=float)
        strata["time scale up to 100 s"], strata["time scale above 100 s"] = scale <= 100, scale > 100
    if "cause" in table.colnames:
        cause = np.asarray(table["cause"]).astype(str)
        strata |= {name.replace("_", " "): cause == name for name in np.unique(cause)}
    return strata


def mcnemar(right: np.ndarray, other: np.ndarray) -> tuple[int, int, float]:
    """Compare two methods on the same images: exact test of McNemar (1947).

    Parameters
    ----------
    right, other : ndarray of bool
        (n,), whether each method is right. The test takes the images as independent.

    Returns
    -------
    only_first, only_second : int
        Images that one of them alone has right.
    p_value : float
        Two-sided; 1 where they differ nowhere.
    """
    right, other = np.asarray(right, dtype=bool), np.asarray(other, dtype=bool)
    first, second = int((right & ~other).sum()), int((~right & other).sum())
    return first, second, float(binomtest(first, first + second).pvalue) if first + second else 1.0


def comparison_table(
    rights: Mapping[str, np.ndarray],
    reference: str,
    groups: np.ndarray,
    parameters: EvaluationParameters,
    once: np.ndarray | None = None,
) -> QTable:
    """Compare all methods with one of them.

    Parameters
    ----------
    rights : mapping
        Method -> (n,) bool, on the same images.
    reference : str
        One of them.
    groups : ndarray
        (n,), see `score_table`.
    parameters : EvaluationParameters
    once : ndarray of bool, optional
        (n,), rows that have each image once, for McNemar's test; by default all.

    Returns
    -------
    QTable
        One row a method: ``method``; ``accuracy`` and ``gain`` (over the reference), each with ``_low`` and ``_high``,
        on the same resamples; ``only_it``, ``only_reference``, ``p_value``.
    """
    metrics = [Share("accuracy", "Accuracy", ("accuracy",), mean), Metric("gain", "Gain", ("gain",), mean)]
    once = np.ones(len(groups), dtype=bool) if once is None else once
    rows = []
    for name, right in rights.items():
        columns = {"accuracy": right.astype(float), "gain": right.astype(float) - rights[reference]}
        line = {"method": name}
        for metric, one in estimate(columns, metrics, groups, parameters, np.random.default_rng(0)).items():
            line |= {metric: one.value, f"{metric}_low": one.low, f"{metric}_high": one.high}
        only_it, only_reference, p_value = mcnemar(right[once], rights[reference][once])
        rows.append(line | {"only_it": only_it, "only_reference": only_reference, "p_value": p_value})
    return QTable(rows=rows)


def risk_coverage(probability: np.ndarray, is_real: np.ndarray) -> Table:
    """Tell the share of wrong verdicts over the share of images that get one, the most certain first.

    Returns
    -------
    Table
        One row a confidence, falling: ``confidence``, ``coverage``, ``risk``. Equal confidences are one row.
    """
    probability, is_real = np.asarray(probability, dtype=float), np.asarray(is_real, dtype=bool)
    confidence = np.maximum(probability, 1 - probability)
    order = np.argsort(-confidence, kind="stable")
    wrong = ((probability >= 0.5) != is_real)[order]
    number = np.arange(1, len(order) + 1)
    last = np.append(np.diff(confidence[order]) != 0, True)[: len(order)]
    return Table(
        {
            "confidence": confidence[order][last],
            "coverage": (number / max(len(order), 1))[last],
            "risk": (np.cumsum(wrong) / number)[last],
        }
    )


def reliability_table(probability: np.ndarray, is_real: np.ndarray, n_bins: int = 10) -> Table:
    """Tell the share of real sources in bins of the predicted probability.

    Returns
    -------
    Table
        One row a bin that is not empty: ``probability`` (mean), ``share``, ``low``, ``high`` (Wilson, 68 %), ``n``.
    """
    probability, is_real = np.asarray(probability, dtype=float), np.asarray(is_real, dtype=bool)
    bins = np.clip((probability * n_bins).astype(int), 0, n_bins - 1)
    rows = []
    for number in np.unique(bins):
        chosen = bins == number
        found = binomtest(int(is_real[chosen].sum()), int(chosen.sum())).proportion_ci(0.6827, method="wilson")
        rows.append((probability[chosen].mean(), is_real[chosen].mean(), found.low, found.high, int(chosen.sum())))
    return Table(rows=rows, names=("probability", "share", "low", "high", "n"))


def false_alarm_curve(probability: np.ndarray, triggers: np.ndarray, n_frames: int) -> Table:
    """Tell how often frames without any source are called one, over the threshold.

    Parameters
    ----------
    probability : ndarray
        (n,), of a real source, of the sub-images around the brightest pixels of frames without a source.
    triggers : ndarray of bool
        (n,), whether the frame triggers at all: without a trigger, nothing is judged on board.
    n_frames : int
        All frames, also those that gave no sub-image.

    Returns
    -------
    Table
        One row a threshold from 0.5 to 1: ``threshold``, ``n_called``, ``rate`` of all frames, ``low``, ``high``
        (Clopper & Pearson 1934, 95 %), and ``triggered_rate``, of those that trigger as well.
    """
    probability, triggers = np.asarray(probability, dtype=float), np.asarray(triggers, dtype=bool)
    rows = []
    for threshold in np.linspace(0.5, 1, 51):
        called = probability >= threshold
        n_called, n_triggered = int(called.sum()), int((called & triggers).sum())
        found = binomtest(n_called, n_frames).proportion_ci(0.95, method="exact")
        rows.append((threshold, n_called, n_called / n_frames, found.low, found.high, n_triggered / n_frames))
    return Table(rows=rows, names=("threshold", "n_called", "rate", "low", "high", "triggered_rate"))
