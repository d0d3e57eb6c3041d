"""What the reports of all tasks share: tables per bin and per quarter, key numbers, conventions."""

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.report.content import Cell, KeyNumber, Table
from cherenkov_pipeline.performance.report.tables import cell, estimate_cells, format_estimate, format_number

Rows = Mapping[str, QTable.Row]
"""Rows of a metrics table by the metric's name."""

QUARTER_NAMES = ("smallest", "second", "third", "largest")


def rows_of(metrics: QTable) -> Rows:
    """Rows of a metrics table by the metric's name."""
    return {row["metric"]: row for row in metrics}


def estimate(row: QTable.Row, factor: float = 1) -> tuple[str, str]:
    """Value and interval of a metric as texts."""
    return format_estimate(*(factor * float(row[name]) for name in ("value", "low", "high")))


def key_numbers(rows: Rows, entries: Sequence[tuple[str, str, float, str]]) -> tuple[KeyNumber, ...]:
    """Make the numbers at the top of a report: label, metric, factor, unit of each; without a value it is left out."""
    return tuple(
        KeyNumber(label, value + unit, interval)
        for label, name, factor, unit in entries
        if name in rows and np.isfinite(rows[name]["value"])
        for value, interval in [estimate(rows[name], factor)]
    )


def bins_table(table: QTable, name: str, header: str, quantities: Mapping[str, str]) -> Table:
    """Make the table of a curve per bin.

    Parameters
    ----------
    table : QTable
        From `performance.sample.per_energy` or `per_bin`.
    name : str
        What the bins are in, ``true_energy``.
    header : str
        Of the first column, with the unit.
    quantities : mapping of str to str
        Columns with their headers; those that are not there, or never finite, are left out.
    """
    filled = table[table["n"] > 0]
    lows, highs = (np.asarray(filled[f"{name}_{side}"], dtype=float) for side in ("low", "high"))
    bins = [Cell(f"{format_number(low)} to {format_number(high)}", low) for low, high in zip(lows, highs, strict=True)]
    caption = f"Empty bins are left out; those with fewer than {table.meta['minimum_events']} events are not drawn."
    n_outside = table.meta["n_outside_bins"]
    if n_outside:
        caption += f" {format_number(n_outside)} events lie outside all bins."
    return _grouped(header, bins, filled, quantities, caption)


def quarters_table(quarters: QTable, quantities: Mapping[str, str], caption: str) -> Table:
    """Make the table of the quarters by predicted error."""
    first = [Cell(name, index) for index, name in enumerate(QUARTER_NAMES)]
    return _grouped("Quarter", first, quarters, quantities, caption)


def _grouped(name: str, first: list[Cell], table: QTable, quantities: Mapping[str, str], caption: str) -> Table:
    shown = {
        column: f"{label} [{table[column].unit:unicode}]" if table[column].unit else label
        for column, label in quantities.items()
        if column in table.colnames and (not len(table) or np.isfinite(np.asarray(table[column])).any())
    }
    columns = [first, [cell(n) for n in table["n"]], *(estimate_cells(table, column) for column in shown)]
    return Table((name, "Events", *shown.values()), tuple(zip(*columns, strict=True)), caption)


def bins_convention(table: QTable, name: str = "true_energy", what: str = "true energy") -> str:
    """Say which energy bins were used."""
    low, high = (table[f"{name}_{side}"].to_value("TeV") for side in ("low", "high"))
    return (
        f"{table.meta['bins_per_decade']} a decade of {what}, {format_number(low[0])} to {format_number(high[-1])} TeV"
    )


def intervals_convention(metrics: QTable) -> str:
    """Say how intervals were made."""
    return (
        f"{100 * metrics.meta['confidence']:g} %, percentile bootstrap of {metrics.meta['resamples']:,} resamples; "
        "whole showers are drawn, with all their images"
    )


GAMMA_EVENTS = "gammas of the test set with a valid prediction; no training or tuning saw them"
