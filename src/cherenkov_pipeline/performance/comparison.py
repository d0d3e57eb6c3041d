"""Models of one task compared on the same events: intervals, ranks, and which differences are significant.

Predictions are matched row by row by the events' keys, and only events that every model predicts count. The bootstrap
draws the same showers for all models (paired bootstrap, Efron & Tibshirani 1993, chapter 16): what makes an event hard
is hard for all of them and drops out of their difference, whose interval is narrower than those of the models tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from astropy.table import QTable, Table, vstack
from scipy.stats import rankdata

from cherenkov_pipeline.dl1.contents import IMAGE, PRIMARY
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.metrics import as_json, percentile_bounds, replicas
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.qualities import PERFECT, Quality, shortfall
from cherenkov_pipeline.performance.sample import Sample

MODEL = "model"
"""Column with a model's label in tables of several models."""

UNRANKED = 0


@dataclass(frozen=True)
class Matched:
    """Predictions of several models for the same events.

    Attributes
    ----------
    predictions : dict of str to QTable
        By the model's label: the n events that all models were given, in one order; ``is_valid`` tells whether every
        model predicts the event.
    n_events : dict of str to int
        Rows of each model's own table.
    n_invalid : dict of str to int
        Common rows that the model does not predict.
    """

    predictions: dict[str, QTable]
    n_events: dict[str, int]
    n_invalid: dict[str, int]


def match_predictions(predictions: Mapping[str, Table]) -> Matched:
    """Bring predictions of several models to the same events in the same order.

    Parameters
    ----------
    predictions : mapping of str to Table
        Predictions tables by the model's label, with the same keys.

    Raises
    ------
    UserError
        If an event stands in a table twice, the tables have no event in common, or the true values of an event differ.
    """
    columns = {label: {"production", *IMAGE} & set(table.colnames) for label, table in predictions.items()}
    if len({frozenset(names) for names in columns.values()}) > 1:
        raise UserError("Predictions of images and of events cannot be matched: compare models of one kind.")
    keys = [name for name in ("production", *IMAGE) if name in next(iter(columns.values()))]
    indices = {
        label: pd.MultiIndex.from_arrays([np.asarray(table[name]) for name in keys])
        for label, table in predictions.items()
    }
    for label, index in indices.items():
        if not index.is_unique:
            raise UserError(f"The predictions of {label} have an event twice: its keys are {', '.join(keys)}.")
    first = next(iter(indices.values()))
    common = first[np.logical_and.reduce([first.isin(index) for index in indices.values()])]
    if not len(common):
        raise UserError(f"The predictions of {', '.join(predictions)} have no event in common: give them the same.")
    tables = {label: QTable(predictions[label][index.get_indexer(common)]) for label, index in indices.items()}
    _check_truth(tables)
    valid = {label: np.asarray(table["is_valid"], dtype=bool) for label, table in tables.items()}
    valid_in_all = np.logical_and.reduce(list(valid.values()))
    for table in tables.values():
        table["is_valid"] = valid_in_all
    return Matched(
        tables,
        {label: len(table) for label, table in predictions.items()},
        {label: int((~one).sum()) for label, one in valid.items()},
    )


def _check_truth(tables: Mapping[str, Table]) -> None:
    (first, reference), *others = tables.items()
    for label, table in others:
        for name in ("true_energy", PRIMARY):
            if name in reference.colnames and name in table.colnames:
                one, other = np.asarray(reference[name], dtype=float), np.asarray(table[name], dtype=float)
                if not np.allclose(one, other, rtol=1e-5, equal_nan=True):
                    raise UserError(
                        f"{name} differs between the predictions of {first} and {label}: give them one store."
                    )


@dataclass(frozen=True)
class ModelComparison:
    """Which model is better, by how much, and whether that is significant.

    Attributes
    ----------
    metrics : QTable
        One row a model and metric: ``model``, ``metric``, ``label``, ``value``, ``low``, ``high``, ``unit``, ``n``,
        ``perfect`` (value of a perfect model, NaN if the metric ranks nothing) and ``rank`` (from 1; 0: not ranked).
    differences : QTable
        One row a metric and pair of models: ``metric``, ``label``, ``better``, ``other``, ``advantage`` (how much
        nearer the better one is to perfection) with its paired interval ``low``, ``high``, ``unit``, ``significant``.
    n_used : int
        Events that the metrics rest on.
    equal : tuple of (str, str)
        Pairs of models whose predictions are the same for every event.
    """

    metrics: QTable
    differences: QTable
    n_used: int
    equal: tuple[tuple[str, str], ...]


def compare(matched: Matched, quality: Quality, parameters: EvaluationParameters) -> ModelComparison:
    """Compare models on the events that all of them predict.

    Parameters
    ----------
    matched : Matched
    quality : Quality
        Of the task, `performance.qualities.QUALITIES`.
    parameters : EvaluationParameters
        Number of resamples, confidence level and seed.

    Raises
    ------
    UserError
        If a column or a unit is missing, or the models can be judged by different events only.
    """
    samples = {label: quality.sample(table) for label, table in matched.predictions.items()}
    showers = next(iter(samples.values())).showers
    for label, sample in samples.items():
        if not np.array_equal(sample.showers, showers):
            raise UserError(f"{label} can be judged by other events than the other models: predict the same ones.")
    resampled = {label: _replicas(sample, quality, parameters) for label, sample in samples.items()}
    metrics = _metrics(samples, resampled, quality, parameters)
    equal = [pair for pair in combinations(samples, 2) if _equal(*(samples[label] for label in pair))]
    return ModelComparison(metrics, _differences(metrics, resampled, parameters), len(showers), tuple(equal))


def _replicas(sample: Sample, quality: Quality, parameters: EvaluationParameters) -> dict[str, np.ndarray]:
    if len(np.unique(sample.showers)) < 2:
        return {metric.name: np.full(parameters.resamples, np.nan) for metric in quality.metrics}
    # the same state for every model: the n-th resamples hold the same showers
    rng = np.random.default_rng(np.random.SeedSequence(parameters.seed))
    return replicas(sample.columns, quality.metrics, sample.showers, parameters, rng)


def _equal(one: Sample, other: Sample) -> bool:
    return all(np.array_equal(values, other.columns[name], equal_nan=True) for name, values in one.columns.items())


def _metrics(
    samples: Mapping[str, Sample],
    resampled: Mapping[str, Mapping[str, np.ndarray]],
    quality: Quality,
    parameters: EvaluationParameters,
) -> QTable:
    rows = []
    for metric in quality.metrics:
        values = {label: float(metric(sample.columns)) for label, sample in samples.items()}
        ranks = _ranks(metric.name, np.array(list(values.values())))
        for (label, value), rank in zip(values.items(), ranks, strict=True):
            sample, drawn = samples[label], resampled[label][metric.name]
            bounds = metric.bounds(sample.columns, sample.showers, drawn, parameters.confidence)
            n, perfect = metric.count(sample.columns), float(PERFECT.get(metric.name, np.nan))
            rows.append((label, metric.name, metric.label, value, *bounds, metric.unit, n, perfect, rank))
    names = (MODEL, "metric", "label", "value", "low", "high", "unit", "n", "perfect", "rank")
    table = QTable(rows=rows, names=names)
    table.meta.update(confidence=parameters.confidence, resamples=parameters.resamples, headline=quality.headline)
    return table


def _ranks(name: str, values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing the best; `UNRANKED` where there is none."""
    ranks = np.full(len(values), UNRANKED)
    if name in PERFECT:
        known = ~np.isnan(values)
        ranks[known] = rankdata(shortfall(name, values[known]), method="min")
    return ranks


def _differences(
    metrics: QTable, resampled: Mapping[str, Mapping[str, np.ndarray]], parameters: EvaluationParameters
) -> QTable:
    rows = []
    for name in dict.fromkeys(metrics["metric"]):
        ranked = metrics[(metrics["metric"] == name) & (metrics["rank"] != UNRANKED)]
        ranked.sort("rank")
        for better, other in combinations(ranked, 2):
            value, low, high = _advantage(str(name), better, other, resampled, parameters.confidence)
            labels = (str(better[MODEL]), str(other[MODEL]))
            rows.append((name, better["label"], *labels, value, low, high, better["unit"], low > 0))
    names = ("metric", "label", "better", "other", "advantage", "low", "high", "unit", "significant")
    types = ("U64", "U128", "U64", "U64", float, float, float, "U16", bool)
    return QTable(rows=rows, names=names) if rows else QTable(names=names, dtype=types)


def _advantage(
    name: str,
    better: QTable.Row,
    other: QTable.Row,
    resampled: Mapping[str, Mapping[str, np.ndarray]],
    confidence: float,
) -> tuple[float, float, float]:
    """How much nearer to perfection one model is than another, with the paired interval."""
    value = float(_nearer(name, better["value"], other["value"]))
    one, two = (resampled[str(row[MODEL])][name] for row in (better, other))
    return value, *percentile_bounds(_nearer(name, one, two), confidence)


def _nearer(name: str, better: np.ndarray, other: np.ndarray) -> np.ndarray:
    """By how much values of a metric are nearer to perfection than others."""
    one, two = shortfall(name, better), shortfall(name, other)
    with np.errstate(invalid="ignore"):
        # two infinite rejections are equal: without these resamples the others alone would decide
        return np.where(one == two, 0, two - one)


def rows_of_metric(metrics: QTable, name: str) -> dict[str, QTable.Row]:
    """Rows of one metric by the model's label, the best first; models without a rank come last."""
    rows = [row for row in metrics if row["metric"] == name]
    rows.sort(key=lambda row: row["rank"] or np.inf)
    return {str(row[MODEL]): row for row in rows}


def against_best(differences: QTable, name: str, best: str) -> dict[str, QTable.Row]:
    """Rows of the differences to the best model in one metric, by the other model's label."""
    return {str(row["other"]): row for row in differences if row["metric"] == name and row["better"] == best}


def stacked(tables: Mapping[str, Table]) -> QTable:
    """Join tables of several models, with the label as the first column."""
    parts = []
    for label, table in tables.items():
        part = QTable(table)
        part.add_column(np.full(len(part), label, dtype=f"U{max(map(len, tables))}"), name=MODEL, index=0)
        parts.append(part)
    return vstack(parts, join_type="inner", metadata_conflicts="silent")


def unstacked(table: Table) -> dict[str, QTable]:
    """Split a table of several models again, in their order."""
    labels = np.asarray(table[MODEL]).astype(str)
    parts = {label: QTable(table[labels == label]) for label in dict.fromkeys(labels.tolist())}
    for part in parts.values():
        part.remove_column(MODEL)
    return parts


def numbers(comparison: ModelComparison, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """Give the result as plain numbers, for programs: best model, metrics and ranks of each, differences of all pairs.

    Parameters
    ----------
    comparison : ModelComparison
    fingerprints : mapping of str to str
        Of the models' files, by label.

    Returns
    -------
    dict
        ``headline`` (metric that ranks), ``best`` (null: none can be ranked), ``n_events``, ``models`` (label ->
        fingerprint, rank and metrics with ``value``, ``low``, ``high``, ``unit``, ``n``, ``rank``), ``differences`` (of
        the headline). What is not finite is null.
    """
    headline = comparison.metrics.meta["headline"]
    ranked = rows_of_metric(comparison.metrics, headline)
    columns = ("value", "low", "high", "unit", "n", "rank")
    difference = ("better", "other", "advantage", "low", "high", "unit", "significant")
    return {
        "headline": headline,
        "best": next((label for label, row in ranked.items() if row["rank"]), None),
        "n_events": comparison.n_used,
        "models": {
            label: {
                "file_fingerprint": fingerprints[label],
                "rank": int(row["rank"]),
                "metrics": {
                    str(found["metric"]): {name: as_json(found[name]) for name in columns}
                    for found in comparison.metrics[comparison.metrics["model"] == label]
                },
            }
            for label, row in ranked.items()
        },
        "differences": [
            {name: as_json(row[name]) for name in difference}
            for row in comparison.differences
            if row["metric"] == headline
        ],
    }
