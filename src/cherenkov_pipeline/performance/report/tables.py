"""Numbers for readers: cells, the metrics table, tables of any kind."""

from collections.abc import Mapping
from numbers import Integral, Real

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.table import QTable
from astropy.table import Table as AstropyTable

from cherenkov_pipeline.performance.report.content import Cell, Facts, Table

MISSING = "–"


def format_number(value: float, digits: int = 3) -> str:
    """Write a number with some significant digits: ``12,345``, ``0.0123``, ``–`` for NaN, ``∞``."""
    if not np.isfinite(value):
        return MISSING if np.isnan(value) else "∞" if value > 0 else "−∞"
    if isinstance(value, Integral):
        text = f"{value:,}"
    elif value != 0 and not 1e-4 <= abs(value) < 1e7:
        text = f"{value:.{digits - 1}e}"
    else:
        exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of the rounded value: 0.9999 counts as 1.00
        text = f"{value:,.{max(digits - 1 - exponent, 0)}f}" if value else "0"
    return text.replace("-", "−")


def format_estimate(value: float, low: float, high: float) -> tuple[str, str]:
    """Write a value and its interval with the digits that the width of the interval justifies (two).

    Returns
    -------
    tuple of str
        ``("0.234", "0.228 to 0.241")``; the second is empty without an interval. A bound may be infinite.
    """
    if not high > low:
        return format_number(float(value)), ""
    decimals = 1 - int(np.floor(np.log10(high - low))) if np.isfinite([value, low, high]).all() else None
    if decimals is None or not 0 <= decimals <= 8:
        return format_number(value, 3), f"{format_number(low, 3)} to {format_number(high, 3)}"
    value, low, high = (f"{number:,.{decimals}f}".replace("-", "−") for number in (value, low, high))
    return value, f"{low} to {high}"


def cell(value: object) -> Cell:
    """Make a cell of any plain value, with a sort key if it is a number."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA:
        return Cell(MISSING)
    if isinstance(value, bool):
        return Cell("yes" if value else "no", float(value))
    if isinstance(value, u.Quantity):
        return Cell(f"{format_number(float(value.value))} {value.unit:unicode}", float(value.value))
    if isinstance(value, Real):
        return Cell(format_number(value), float(value) if np.isfinite(value) else None)
    return Cell(str(value))


def table_of(data: AstropyTable | pd.DataFrame, caption: str = "", names: Mapping[str, str] | None = None) -> Table:
    """Make a report's table of any table.

    Parameters
    ----------
    data : Table or DataFrame
        Columns of plain values; units go into the header.
    caption : str
    names : mapping of str to str, optional
        Columns to show, in this order, with their headers; all columns under their own names by default.
    """
    columns = list(data.columns) if isinstance(data, pd.DataFrame) else data.colnames
    names = dict(names or {column: column.replace("_", " ") for column in columns})
    header, contents = [], []
    for column, name in names.items():
        values, unit = _plain(data[column])
        header.append(f"{name} [{unit}]" if unit else name)
        contents.append([cell(value) for value in values])
    return Table(tuple(header), tuple(zip(*contents, strict=True)), caption)


def _plain(column: object) -> tuple[list, str]:
    """Plain values of a column and its unit."""
    unit = getattr(column, "unit", None)
    values = column.value if isinstance(column, u.Quantity) else column
    return np.asarray(values).tolist(), "" if unit in (None, u.one) else f"{unit:unicode}"


def estimate_cells(table: QTable, quantity: str, bounds: tuple[str, str] | None = None) -> list[Cell]:
    """Make the cells of one quantity of `performance.metrics.grouped_metrics`, its interval small below the value.

    The columns of the interval are ``<quantity>_low`` and ``<quantity>_high``, if ``bounds`` does not name others.
    """
    names = (quantity, *(bounds or (f"{quantity}_low", f"{quantity}_high")))
    columns = (np.asarray(table[name], dtype=float) for name in names)
    found = [(value, *format_estimate(value, low, high)) for value, low, high in zip(*columns, strict=True)]
    return [Cell(text, _finite(value), interval) for value, text, interval in found]


def metrics_table(metrics: QTable, caption: str = "", weighted: QTable | None = None) -> Table:
    """Make the metrics table of a report, without the numbers of events.

    Parameters
    ----------
    metrics : QTable
        From `performance.metrics.metrics_table`.
    caption : str
    weighted : QTable, optional
        The same metrics from `performance.weighting.weighted_metrics`, in a column of their own; without a row, none.
    """
    percent = f"{100 * metrics.meta.get('confidence', 0.95):g} %"
    shown = metrics[[not _is_count(row) for row in metrics]]
    names = [str(row["label"]) + (f" [{u.Unit(row['unit']):unicode}]" if row["unit"] else "") for row in shown]
    columns = {
        "Metric": [Cell(name) for name in names],
        f"Value, {percent} interval": estimate_cells(shown, "value", ("low", "high")),
    }
    if weighted is not None and len(weighted):
        columns["Weighted to spectra"] = estimate_cells(weighted, "value", ("low", "high"))
    columns["Events"] = [cell(int(n)) for n in shown["n"]]
    return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)), caption, in_summary=True)


def event_facts(metrics: QTable) -> Facts:
    """Numbers of events of a metrics table, which close: the first is the sum of the others."""
    return Facts({str(row["label"]): format_number(int(row["value"])) for row in metrics if _is_count(row)})


def _is_count(row: QTable.Row) -> bool:
    return str(row["metric"]).startswith("events_")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
