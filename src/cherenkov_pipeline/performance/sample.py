"""What the tables of all tasks share: which events count, curves per bin, quarters by predicted error."""

from collections.abc import Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.dl1.contents import PRIMARY
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.binning import bins_table, energy_edges, rows_per_bin
from cherenkov_pipeline.performance.bootstrap import shower_labels
from cherenkov_pipeline.performance.metrics import Metric, grouped_metrics
from cherenkov_pipeline.performance.parameters import EvaluationParameters

QUARTERS = 4


@dataclass(frozen=True)
class Sample:
    """Events of a predictions table that a task is judged by, as plain columns.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (n,)
        What the metrics are computed from; NaN where an event has no value.
    showers : ndarray of int, shape (n,)
        Label of the shower that each event belongs to.
    counts : dict of str to (label, number)
        Every event of the predictions table: ``events_total`` is the sum of the others.
    rows : ndarray of int, shape (n,)
        Rows of the predictions table that the events are.
    """

    columns: dict[str, np.ndarray]
    showers: np.ndarray
    counts: dict[str, tuple[str, int]]
    rows: np.ndarray


def check_columns(predictions: Table, names: Sequence[str]) -> None:
    """Refuse a predictions table without the columns that are needed.

    Raises
    ------
    UserError
        If one is missing.
    """
    missing = [name for name in names if name not in predictions.colnames]
    if missing:
        raise UserError(f"The predictions have no column {', '.join(missing)}: make them again with this version.")


def values_in(predictions: Table, name: str, unit: str) -> np.ndarray:
    """Column in a unit, as float64.

    Raises
    ------
    UserError
        If the column has no unit.
    """
    if predictions[name].unit is None:
        raise UserError(f"The column {name} of the predictions has no unit: give it one, such as {unit}.")
    return u.Quantity(predictions[name]).to_value(unit).astype(np.float64)


def gammas(predictions: Table) -> np.ndarray:
    """Tell which events are gammas: (n,) bool. Without ``true_shower_primary_id`` all count as gammas."""
    if PRIMARY not in predictions.colnames:
        return np.ones(len(predictions), dtype=bool)
    return np.asarray(predictions[PRIMARY]) == 0


def sample_of(
    predictions: Table, used: np.ndarray, columns: dict[str, np.ndarray], counts: dict[str, tuple[str, int]]
) -> Sample:
    """Make the sample of the events that are ``used``, (n,) bool, from columns of all n events."""
    values = {name: column[used] for name, column in columns.items()}
    return Sample(values, shower_labels(predictions)[used], counts, np.flatnonzero(used))


def choose_gammas(
    predictions: Table, known: np.ndarray, predicted: np.ndarray, what: str
) -> tuple[np.ndarray, dict[str, tuple[str, int]]]:
    """Choose the gammas that a quantity can be judged by, and count the rest.

    Parameters
    ----------
    predictions : Table
        n rows with ``is_valid``.
    known, predicted : ndarray of bool
        (n,), whether there is a true value, and a finite prediction.
    what : str
        Name of the quantity for the labels, as in ``a valid energy``.

    Returns
    -------
    used : ndarray of bool
        (n,)
    counts : dict of str to (label, number)
        See `Sample`.
    """
    gamma = gammas(predictions)
    predicted = predicted & np.asarray(predictions["is_valid"], dtype=bool)
    used = known & gamma & predicted
    counts = {
        "events_total": ("Events in the predictions", len(predictions)),
        "events_valid": (f"Gammas with a valid {what}", int(used.sum())),
        "events_invalid": (f"Gammas without a valid {what}", int((known & gamma & ~predicted).sum())),
        "events_other": ("Other particles, left out", int((known & ~gamma).sum())),
        "events_without_truth": (f"Events without a true {what}, left out", int((~known).sum())),
    }
    return used, counts


def per_energy(
    sample: Sample,
    metrics: Sequence[Metric],
    parameters: EvaluationParameters,
    rng: np.random.Generator,
    energy: str = "true_energy",
    classes: str | None = None,
) -> QTable:
    """Metrics per bin of energy.

    Parameters
    ----------
    sample : Sample
        With the column ``energy`` in TeV.
    metrics : sequence of Metric
    parameters : EvaluationParameters
    rng : numpy.random.Generator
    energy : str
        Column of the sample.
    classes : str, optional
        Column of the sample with 0 and 1: a bin needs enough events of both.

    Returns
    -------
    QTable
        One row a bin: ``<energy>_low``, ``<energy>_high``, ``<energy>_center`` (geometric) in TeV, ``n``, each metric
        with ``_low`` and ``_high``, and ``drawn``: whether the bin has enough events.
    """
    edges = energy_edges(parameters)
    table = bins_table(energy, edges)
    _fill(table, sample, metrics, rows_per_bin(sample.columns[energy] * u.TeV, edges), parameters, rng, classes)
    table.meta["bins_per_decade"] = parameters.bins_per_decade
    return table


def per_bin(
    sample: Sample,
    metrics: Sequence[Metric],
    name: str,
    edges: np.ndarray,
    parameters: EvaluationParameters,
    rng: np.random.Generator,
    classes: str | None = None,
) -> QTable:
    """Metrics per bin of any column of the sample; as `per_energy`, with arithmetic centres."""
    low, high = edges[:-1], edges[1:]
    table = QTable({f"{name}_low": low, f"{name}_high": high, f"{name}_center": 0.5 * (low + high)})
    bins = np.digitize(sample.columns[name], edges) - 1
    groups = [np.flatnonzero(bins == index) for index in range(len(low))]
    _fill(table, sample, metrics, groups, parameters, rng, classes)
    return table


def _fill(
    table: QTable,
    sample: Sample,
    metrics: Sequence[Metric],
    groups: Sequence[np.ndarray],
    parameters: EvaluationParameters,
    rng: np.random.Generator,
    classes: str | None,
) -> None:
    found = grouped_metrics(sample.columns, metrics, sample.showers, groups, parameters, rng)
    for name, column in found.columns.items():
        table[name] = column
    _add_units(table, metrics)
    fewest = table["n"]
    if classes:
        positive = np.array([int((sample.columns[classes][rows] > 0).sum()) for rows in groups])
        fewest = np.minimum(positive, table["n"] - positive)
    table["drawn"] = fewest >= parameters.minimum_events
    table.meta["minimum_events"] = parameters.minimum_events
    table.meta["minimum_of_both"] = classes is not None
    table.meta["n_outside_bins"] = int(len(sample.showers) - table["n"].sum())


def quarters(
    sample: Sample,
    predicted_error: Metric,
    metrics: Sequence[Metric],
    parameters: EvaluationParameters,
    rng: np.random.Generator,
) -> QTable:
    """Metrics of the events split in quarters by their predicted error, smallest first.

    Parameters
    ----------
    sample : Sample
    predicted_error : Metric
        Of the column that the events are sorted by.
    metrics : sequence of Metric
    parameters : EvaluationParameters
    rng : numpy.random.Generator

    Returns
    -------
    QTable
        ``quarter`` (1 to 4), ``n``, and each metric, the predicted error included, with ``_low`` and ``_high``.
    """
    order = np.argsort(sample.columns[predicted_error.columns[0]], kind="stable")  # NaN comes last
    groups = np.array_split(order[: predicted_error.count(sample.columns)], QUARTERS)
    wanted = (predicted_error, *metrics)
    table = grouped_metrics(sample.columns, wanted, sample.showers, groups, parameters, rng)
    _add_units(table, wanted)
    table.add_column(np.arange(1, QUARTERS + 1), name="quarter", index=0)
    return table


def _add_units(table: QTable, metrics: Sequence[Metric]) -> None:
    for metric in metrics:
        if metric.unit:
            for suffix in ("", "_low", "_high"):
                table[metric.name + suffix] = np.asarray(table[metric.name + suffix]) << u.Unit(metric.unit)


def share(inside: np.ndarray, showers: np.ndarray, deviations: float) -> tuple[float, float, float]:
    """Share of the events that are inside, with its interval (Wilson 1927).

    The events of a shower are not independent: the interval is that of the number of independent events whose share
    would be as uncertain; where all are inside, or none, of the number of showers.

    Parameters
    ----------
    inside : ndarray of bool
        (n,)
    showers : ndarray of int
        (n,), labels.
    deviations : float
        Half width of the interval in standard errors.
    """
    n = len(inside)
    if not n:
        return np.nan, np.nan, np.nan
    value = float(np.mean(inside))
    _, label = np.unique(showers, return_inverse=True)
    variance = np.sum(np.bincount(label.ravel(), inside - value) ** 2) / n**2
    effective = min(n, value * (1 - value) / variance) if variance > 0 else label.max() + 1
    # not by astropy.stats.binom_conf_interval, which cuts the effective number to an integer
    ratio = deviations**2 / effective
    middle = (value + ratio / 2) / (1 + ratio)
    half = np.sqrt(ratio * (value * (1 - value) + ratio / 4)) / (1 + ratio)
    return value, float(max(0, middle - half)), float(min(1, middle + half))


def generators(parameters: EvaluationParameters, number: int) -> list[np.random.Generator]:
    """Independent random generators from the parameters' seed."""
    return [np.random.default_rng(seed) for seed in np.random.SeedSequence(parameters.seed).spawn(number)]
