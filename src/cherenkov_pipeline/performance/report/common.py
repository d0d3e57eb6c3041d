"""What the reports of all tasks share: tables per bin and per quarter, key numbers, conventions."""

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.report.content import Cell, Drawing, Facts, KeyNumber, Section, Table
from cherenkov_pipeline.performance.report.tables import (
    cell,
    estimate_cells,
    event_facts,
    format_estimate,
    format_number,
    metrics_table,
)
from cherenkov_pipeline.performance.report.task import illustrations

Rows = Mapping[str, QTable.Row]
"""Rows of a metrics table by the metric's name."""

Captions = Mapping[str, Sequence]
"""Figures by name, with title and caption."""

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
    few = f"{table.meta['minimum_events']} events{' of either class' if table.meta.get('minimum_of_both') else ''}"
    caption = f"Empty bins are left out; those with fewer than {few} are not drawn."
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


def results(tables: Mapping[str, QTable]) -> tuple[Table, Facts]:
    """Make what every report begins its results with: all metrics, and the numbers of events."""
    metrics, weighted = tables["metrics"], tables["metrics_weighted"]
    caption = "Small: intervals by bootstrap over showers."
    if len(weighted):
        caption += f" Weighted: {weights_convention(weighted)}."
    return metrics_table(metrics, caption, weighted), event_facts(metrics)


def regression_sections(
    tables: Mapping[str, QTable],
    figures: Mapping[str, Drawing],
    per_energy: Captions,
    uncertainty: Captions,
    quantities: Mapping[str, str],
    quarters_caption: str,
) -> tuple[Section, ...]:
    """Make the sections of a quantity that is predicted with an error: results, curves per energy, predicted errors.

    Parameters
    ----------
    tables : mapping of str to QTable
        With ``metrics``, ``metrics_weighted``, ``per_energy`` and ``quarters``.
    figures : mapping of str to Drawing
        A figure that is not there is left out.
    per_energy, uncertainty : mapping
        Figures of the two sections with their titles and captions, as for `report.task.illustrations`.
    quantities : mapping of str to str
        Columns of the tables with their headers.
    quarters_caption : str
    """
    return (
        Section("Results", results(tables)),
        Section(
            "Performance per energy",
            (
                *illustrations(per_energy, figures),
                bins_table(tables["per_energy"], "true_energy", "E_true [TeV]", quantities),
            ),
        ),
        Section(
            "Predicted errors",
            (
                *illustrations(uncertainty, figures),
                quarters_table(tables["quarters"], quantities, quarters_caption),
            ),
        ),
    )


def bins_convention(table: QTable, name: str = "true_energy", what: str = "true energy") -> str:
    """Say which energy bins were used."""
    low, high = (table[f"{name}_{side}"].to_value("TeV") for side in ("low", "high"))
    return (
        f"{table.meta['bins_per_decade']} a decade of {what}, {format_number(low[0])} to {format_number(high[-1])} TeV"
    )


def intervals_convention(metrics: QTable, drawn: str = "showers are drawn, with all their images") -> str:
    """Say how intervals were made; ``drawn`` what the bootstrap draws."""
    return (
        f"{100 * metrics.meta['confidence']:g} %, percentile bootstrap of {metrics.meta['resamples']:,} resamples; "
        f"whole {drawn}; shares of none or all: Clopper & Pearson"
    )


def weights_convention(weighted: QTable) -> str:
    """Say what metrics were weighted to, see `performance.weighting.weighted_metrics`."""
    if not len(weighted):
        return "to no spectrum: how these showers were thrown is not known, or none is asked for"
    spectra, equal = weighted.meta["spectra"], weighted.meta["n_effective"]
    parts = [
        f"{name}s to {spectrum if isinstance(spectrum, str) else f'E^{spectrum:g}'.replace('-', '−')} "
        f"(worth {format_number(round(equal[name]))} equal events)"
        for name, spectrum in spectra.items()
    ]
    text = f"{' and '.join(parts)}; each particle keeps its number of events"
    n_left_out = weighted.meta["n_left_out"]
    return text + (f"; {format_number(n_left_out)} events without such a spectrum are left out" if n_left_out else "")


GAMMA_EVENTS = "gammas of the test set with a valid prediction; no training or tuning saw them"
