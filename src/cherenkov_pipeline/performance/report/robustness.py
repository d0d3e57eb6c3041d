"""The report of the robustness: what becomes of a model's metrics on data that it was not made for."""

from collections.abc import Mapping
from datetime import datetime

import astropy.units as u
import matplotlib.figure
import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.plots.robustness import ratio_over_conditions
from cherenkov_pipeline.performance.report.common import intervals_convention
from cherenkov_pipeline.performance.report.content import (
    Cell,
    Drawing,
    Facts,
    Figure,
    KeyNumber,
    ReportContent,
    Section,
    Table,
    Text,
)
from cherenkov_pipeline.performance.report.tables import MISSING, cell, format_estimate, format_number, table_of
from cherenkov_pipeline.performance.report.task import footer
from cherenkov_pipeline.performance.robustness.table import NOTHING, is_judged
from cherenkov_pipeline.store.quantities import LABELS
from cherenkov_pipeline.tasks import get_task

_NO_CHECK = (
    "Nothing: the model's card does not tell what its training images look like. Train it again for the drift check."
)

COUNTS = {
    "where": "Condition",
    "particle": "Particle",
    "n_thrown": "Thrown",
    "n_triggered": "Triggered",
    "n_not_triggered": "Not triggered",
    "n_images": "Images",
    "n_predicted": "Predictions",
    "n_cut": "Cut",
    "n_invalid": "Invalid",
    "n_valid": "Valid",
}


def robustness_figure(table: QTable) -> matplotlib.figure.Figure:
    """Draw the metric that ranks models, over all conditions."""
    rows = _headline(table)
    return ratio_over_conditions(rows, str(rows["label"][0]).partition(":")[0])


def robustness_report(
    table: QTable, drift: QTable, counts: QTable, figure: Drawing, facts: Mapping[str, str], created: datetime
) -> ReportContent:
    """Put the report together.

    Parameters
    ----------
    table : QTable
        From `performance.robustness.table.robustness_table`.
    drift, counts : QTable
        From `performance.robustness.predictions.predict_conditions`.
    figure : Drawing
        From `robustness_figure`.
    facts : mapping of str to str
        What is worth knowing: the model.
    created : datetime
        With time zone.
    """
    rows = _headline(table)
    others = table[np.asarray(table["metric"]) != table.meta["headline"]]
    caption = (
        f"Each point with its {100 * table.meta['confidence']:g} % interval. Filled: the reconstruction warns of such "
        "data; open: it does not. The star is what the model was made for, if it was trained on the simulation as it "
        "is."
    )
    return ReportContent(
        kind=f"Robustness · {table.meta['task']}",
        title=f"{get_task(table.meta['task']).title}: data that the model was not made for",
        summary=_summary(rows),
        key_numbers=_key_numbers(rows),
        sections=(
            Section("Result", (Figure(figure, "Ratio to the nominal condition", caption, True), _table(rows, True))),
            Section("Further metrics", (_table(others, False),)),
            Section("What the drift check sees", (_drift_table(drift) if len(drift) else Text(_NO_CHECK),)),
            Section("Events", (_counts_table(counts),)),
            Section("Run", (Facts(dict(facts)),)),
            Section("Conventions", (Facts(_conventions(table, drift)),)),
        ),
        footer=footer(created),
        data=f"simulated under {len(rows)} conditions",
    )


def _headline(table: QTable) -> QTable:
    return table[np.asarray(table["metric"]) == table.meta["headline"]]


def _name(row: QTable.Row, unit: str = "setting_unit") -> str:
    if np.isnan(row["setting"]):
        return str(row["condition"])
    text = f"{row['condition']} {row['setting']:g}"
    # an empty text is masked in a table that was read
    return f"{text} {u.Unit(str(row[unit])):unicode}" if row[unit] else text


def _unit(row: QTable.Row) -> str:
    return f" [{u.Unit(str(row['unit'])):unicode}]" if row["unit"] else ""


def _summary(rows: QTable) -> str:
    conditions = [row for row in rows if np.isfinite(row["setting"])]
    known = [row for row in conditions if is_judged(row)]
    label = str(rows["label"][0]).partition(":")[0]
    if not known:
        return f"The {label.lower()} cannot be judged under any condition."
    changed = [row for row in known if row["changed"]]
    verb = "changes" if len(changed) < 2 else "change"
    number = f"{len(known)} condition" + ("s" if len(known) > 1 else "")
    text = f"{len(changed) or 'None'} of {number} {verb} the {label.lower()} significantly"
    if silent := [_name(row) for row in changed if row["noticed"] == NOTHING]:
        text += f"; of these the reconstruction does not notice {', '.join(silent)}"
    elif changed:
        text += "; the reconstruction warns of each of them"
    if unknown := [_name(row) for row in conditions if not is_judged(row)]:
        text += f". {', '.join(unknown)} cannot be judged"
    return f"{text}."


def _key_numbers(rows: QTable) -> tuple[KeyNumber, ...]:
    value, interval = _estimate(rows[0], "value")
    numbers = [KeyNumber(f"Nominal{_unit(rows[0])}", value, interval)]
    ratio = np.abs(np.log(np.where(np.asarray(rows["ratio"]) > 0, rows["ratio"], np.nan)))
    if np.isfinite(ratio).any():
        farthest = rows[int(np.nanargmax(ratio))]
        value, interval = _estimate(farthest, "ratio")
        numbers.append(KeyNumber(f"Largest change: {_name(farthest)}", f"× {value}", interval))
    return tuple(numbers)


def _estimate(row: QTable.Row, name: str) -> tuple[str, str]:
    return format_estimate(*(float(row[f"{name}{end}"]) for end in ("", "_low", "_high")))


def _cell(row: QTable.Row, name: str) -> Cell:
    text, interval = _estimate(row, name)
    return Cell(text, float(row[name]) if np.isfinite(row[name]) else None, interval)


def _table(rows: QTable, headline: bool) -> Table:
    body = []
    for row in rows:
        nominal = not np.isfinite(row["setting"])
        first = (Cell(_name(row)),) if headline else (Cell(f"{row['label']}{_unit(row)}"), Cell(_name(row)))
        change = (Cell(MISSING), Cell(MISSING)) if nominal else (_cell(row, "ratio"), _cell(row, "difference"))
        named = (LABELS.get(name, name) for name in str(row["noticed"]).split(", "))
        noticed = (Cell(", ".join(named)),) if headline else ()
        verdict = MISSING if nominal or not is_judged(row) else "yes" if row["changed"] else "no"
        body.append((*first, _cell(row, "value"), *change, Cell(verdict), *noticed, cell(int(row["n"]))))
    value = f"{rows['label'][0]}{_unit(rows[0])}" if headline and len(rows) else "Value"
    first = ("Condition",) if headline else ("Metric", "Condition")
    last = ("Noticed", "Events") if headline else ("Events",)
    header = (*first, value, "Ratio", "Difference", "Significant", *last)
    caption = "Ratio and difference to the nominal condition, paired by what was thrown; intervals below the values."
    return Table(header, tuple(body), caption, in_summary=headline)


def _drift_table(drift: QTable) -> Table:
    shown = QTable(drift)
    shown["where"] = [_name(row, "unit") for row in drift]
    shown["what"] = [LABELS.get(name, name) for name in drift["quantity"]]
    names = {
        "where": "Condition", "data": "Images of", "what": "Quantity", "distance": "Distance", "chance": "Chance",
        "median_at": "Median at quantile", "drifted": "Noticed", "n_images": "Images",
    }  # fmt: skip
    return table_of(shown, "Against the model's training images, given intensity and time gradient.", names)


def _counts_table(counts: QTable) -> Table:
    shown = QTable(counts)
    thrown, triggered = (np.asarray(counts[name]) for name in ("n_thrown", "n_triggered"))
    shown["n_not_triggered"] = thrown - triggered
    shown["where"] = [_name(row, "unit") for row in counts]
    caption = (
        "Thrown = triggered + not triggered, by the array; predictions = cut + invalid + valid, of images, or of "
        "events for a stereo model."
    )
    return table_of(shown, caption, COUNTS)


def _conventions(table: QTable, drift: QTable) -> dict[str, str]:
    limit = drift.meta.get("limit")
    noticed = "the reconstruction would warn: zenith angles that the training data do not cover, or the drift check"
    return {
        "Conditions": "one parameter of the simulation is changed at a time; the same showers are thrown under each",
        "Events": "those that trigger and pass the cuts under the condition, so that their energies differ as well",
        "Intervals": intervals_convention(table),
        "Ratio": f"value over the nominal one; {format_number(table.meta['resamples'])} paired resamples of the throws",
        "Significant": "the interval of the difference excludes 0",
        "Noticed": noticed + (f" (distance beyond {limit:g})" if limit is not None else ""),
    }
