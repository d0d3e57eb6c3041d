"""Metrics with intervals: a list of `Metric` and columns in, a table out; the same for every task."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import QTable
from scipy.stats import binomtest

from cherenkov_pipeline.performance.bootstrap import resampled_rows, weighted_draws
from cherenkov_pipeline.performance.parameters import EvaluationParameters

DRAWS = 20
"""Draws a row behind a weighted metric and its replicas: a row of small weight then counts little each time, instead of
wholly and seldom, which would make the intervals of means wide."""

MOST_DRAWS = 5_000_000
MOST_DRAWS_OF_REPLICA = 200_000
"""Of larger samples fewer a row are drawn, as far as time and memory go."""


@dataclass(frozen=True)
class Metric:
    """One number that describes a sample.

    Attributes
    ----------
    name : str
        Short name: ``resolution``.
    label : str
        Name for a reader, with its convention.
    columns : tuple of str
        Columns that it is computed from, in the order of the function's arguments.
    function : callable
        From `performance.statistics`: arrays ``(..., n)`` in, array ``(...)`` out, NaN left out.
    unit : str
        Unit in astropy's spelling, empty for a pure number.
    """

    name: str
    label: str
    columns: tuple[str, ...]
    function: Callable[..., np.ndarray]
    unit: str = ""

    def __call__(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Value for these columns."""
        return self.function(*(columns[name] for name in self.columns))

    def used(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Tell on which rows the value rests."""
        return np.logical_and.reduce([np.isfinite(columns[name]) for name in self.columns])

    def count(self, columns: Mapping[str, np.ndarray]) -> int:
        """Rows that the value rests on."""
        return int(self.used(columns).sum())

    def bounds(
        self, columns: Mapping[str, np.ndarray], clusters: np.ndarray, resampled: np.ndarray, confidence: float
    ) -> tuple[float, float]:
        """Bounds of the interval of a sample.

        Parameters
        ----------
        columns, clusters
            See `estimate`.
        resampled : ndarray, shape (resamples,)
            Of this metric, from `replicas`.
        confidence : float
        """
        return percentile_bounds(resampled, confidence)


class Share(Metric):
    """Share of the rows, of those that count, for which something holds.

    Where it holds for none or for all, so it does in every resample: the bounds then are the exact ones of as many rows
    as there are clusters (Clopper & Pearson 1934).
    """

    def bounds(
        self, columns: Mapping[str, np.ndarray], clusters: np.ndarray, resampled: np.ndarray, confidence: float
    ) -> tuple[float, float]:
        """See `Metric.bounds`."""
        n, value = len(np.unique(clusters[self.used(columns)])), float(self(columns))
        if value not in (0, 1) or n < 2:
            return super().bounds(columns, clusters, resampled, confidence)
        exact = binomtest(round(n * value), n).proportion_ci(confidence, method="exact")
        return float(exact.low), float(exact.high)


@dataclass(frozen=True)
class Estimate:
    """Value of a metric with the bounds of its interval and the number of rows behind it."""

    value: float
    low: float
    high: float
    n: int


def estimate(
    columns: Mapping[str, np.ndarray],
    metrics: Sequence[Metric],
    clusters: np.ndarray,
    parameters: EvaluationParameters,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Estimate metrics with percentile bootstrap intervals, all on the same resamples.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
        NaN where an event has no value.
    metrics : sequence of Metric
    clusters : ndarray of int, shape (n,)
        Rows of equal label are drawn together.
    parameters : EvaluationParameters
        Number of resamples and confidence level.
    rng : numpy.random.Generator
    weights : ndarray, shape (n,), optional
        How much each row counts, see `performance.bootstrap.weighted_draws`; all alike by default.

    Returns
    -------
    dict of str to Estimate
        By the metric's name. An empty sample gives NaN, fewer than two clusters give no interval.
    """
    rows: np.ndarray | slice = slice(None)
    if weights is not None and len(weights):
        rows = weighted_draws(weights[np.newaxis], _n_draws(len(weights), MOST_DRAWS))[0]
    # a metric's columns at a time: all of them drawn would be many times as large as the sample
    values = {m.name: float(m({name: columns[name][rows] for name in m.columns})) for m in metrics}
    bounds = dict.fromkeys(values, (np.nan, np.nan))
    if len(np.unique(clusters)) > 1:
        found = replicas(columns, metrics, clusters, parameters, rng, weights)
        bounds = {m.name: m.bounds(columns, clusters, found[m.name], parameters.confidence) for m in metrics}
    return {m.name: Estimate(values[m.name], *bounds[m.name], m.count(columns)) for m in metrics}


def replicas(
    columns: Mapping[str, np.ndarray],
    metrics: Sequence[Metric],
    clusters: np.ndarray,
    parameters: EvaluationParameters,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Compute metrics of bootstrap resamples.

    Two samples of the same clusters and a generator in the same state are resampled alike: the n-th replicas belong
    together.

    Parameters
    ----------
    columns, metrics, clusters, parameters, rng, weights
        As for `estimate`.

    Returns
    -------
    dict of str to ndarray, shape (resamples,)
        By the metric's name.
    """
    needed = {name for metric in metrics for name in metric.columns}
    # the padding -1 of a resample points to this last NaN
    padded = {name: np.append(columns[name], np.nan) for name in sorted(needed)}
    padded_weights = None if weights is None else np.append(weights, 0)
    parts: dict[str, list[np.ndarray]] = {metric.name: [] for metric in metrics}
    for rows in resampled_rows(clusters, parameters.resamples, rng):
        for some in [rows] if padded_weights is None else _weighted(rows, padded_weights):
            resample = {name: values[some] for name, values in padded.items()}
            for metric in metrics:
                parts[metric.name].append(metric(resample))
    return {name: np.concatenate(values) for name, values in parts.items()}


def _n_draws(n_rows: int, most: int) -> int:
    return max(n_rows, min(DRAWS * n_rows, most))


def _weighted(rows: np.ndarray, weights: np.ndarray) -> Iterator[np.ndarray]:
    """Draw from resamples by weight, a few of them at a time."""
    n_draws = _n_draws(rows.shape[1], MOST_DRAWS_OF_REPLICA)
    for some in np.array_split(rows, min(len(rows), -(-n_draws // max(1, rows.shape[1])))):
        yield np.take_along_axis(some, weighted_draws(weights[some], n_draws), axis=1)


def percentile_bounds(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """Bounds of the central interval of some replicas; NaN is left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    tail = 0.5 * (1 - confidence)
    # a rejection is infinite where a resample keeps no background: a value like others, but not one to interpolate
    method = "linear" if np.isfinite(known).all() else "inverted_cdf"
    low, high = np.quantile(known, [tail, 1 - tail], method=method)
    return float(low), float(high)


def metrics_table(
    columns: Mapping[str, np.ndarray],
    metrics: Sequence[Metric],
    clusters: np.ndarray,
    counts: Mapping[str, tuple[str, int]],
    parameters: EvaluationParameters,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
) -> QTable:
    """Make the metrics table of a task.

    Parameters
    ----------
    columns, metrics, clusters, parameters, rng, weights
        As for `estimate`.
    counts : mapping of str to (label, number)
        Numbers of events, appended as rows without an interval.

    Returns
    -------
    QTable
        One row a metric: ``metric``, ``label``, ``value``, ``low``, ``high``, ``unit``, ``n``.
    """
    estimates = estimate(columns, metrics, clusters, parameters, rng, weights)
    rows = [
        (m.name, m.label, found.value, found.low, found.high, m.unit, found.n)
        for m, found in ((m, estimates[m.name]) for m in metrics)
    ]
    rows += [(name, label, float(n), np.nan, np.nan, "", n) for name, (label, n) in counts.items()]
    table = QTable(rows=rows, names=("metric", "label", "value", "low", "high", "unit", "n"))
    table.meta["confidence"] = parameters.confidence
    table.meta["resamples"] = parameters.resamples
    table.meta["interval"] = "percentile bootstrap over showers"
    return table


def metrics_numbers(metrics: QTable) -> dict[str, dict[str, Any]]:
    """Give a metrics table as plain values, for programs: metric -> its columns; what is not finite is null."""
    return {
        str(row["metric"]): {
            **{name: as_json(row[name]) for name in ("value", "low", "high")},
            "unit": str(row["unit"]) if row["unit"] else "",  # an empty text is masked in a table that was read
            "n": int(row["n"]),
            "label": str(row["label"]),
        }
        for row in metrics
    }


def as_json(value: Any) -> Any:
    """Make a value of a table one that JSON has; what is not finite is null."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain


def grouped_metrics(
    columns: Mapping[str, np.ndarray],
    metrics: Sequence[Metric],
    clusters: np.ndarray,
    groups: Sequence[np.ndarray],
    parameters: EvaluationParameters,
    rng: np.random.Generator,
) -> QTable:
    """Estimate metrics in groups of rows: energy bins, quarters.

    Parameters
    ----------
    columns, metrics, clusters, parameters, rng
        As for `estimate`.
    groups : sequence of ndarray of int
        Row numbers of each group.

    Returns
    -------
    QTable
        One row a group: ``n``, and for each metric ``name``, ``name_low``, ``name_high``.
    """
    table = QTable({"n": [len(rows) for rows in groups]})
    estimates = [
        estimate({name: column[rows] for name, column in columns.items()}, metrics, clusters[rows], parameters, rng)
        for rows in groups
    ]
    for metric in metrics:
        found = [group[metric.name] for group in estimates]
        table[metric.name] = [e.value for e in found]
        table[f"{metric.name}_low"] = [e.low for e in found]
        table[f"{metric.name}_high"] = [e.high for e in found]
    return table
