"""The report of a comparison: which model is better, by how much, whether that is significant, and what it costs."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import astropy.units as u
import matplotlib.figure
import numpy as np
import pandas as pd
from astropy.table import QTable

from cherenkov_pipeline.performance.candidates import Candidate
from cherenkov_pipeline.performance.comparison import MODEL, Matched, ModelComparison, against_best, rows_of_metric
from cherenkov_pipeline.performance.plots import comparison as plots
from cherenkov_pipeline.performance.plots.curves import shared_legend
from cherenkov_pipeline.performance.plots.history import loss_curves
from cherenkov_pipeline.performance.report.common import intervals_convention
from cherenkov_pipeline.performance.report.content import (
    Cell,
    Facts,
    Figure,
    KeyNumber,
    ReportContent,
    Section,
    Table,
    Text,
)
from cherenkov_pipeline.performance.report.others import unknown_cost, unknown_training
from cherenkov_pipeline.performance.report.overlays import CAPTIONS
from cherenkov_pipeline.performance.report.published import beside_models
from cherenkov_pipeline.performance.report.tables import MISSING, cell, format_estimate, format_number, table_of
from cherenkov_pipeline.performance.report.task import (
    PROVENANCE,
    footer,
    illustrations,
    productions_text,
    provenance_section,
)
from cherenkov_pipeline.tasks import get_task

BEST, CLOSE = "★", "≈"


def comparison_figures(
    comparison: ModelComparison, costs: QTable, histories: Mapping[str, QTable]
) -> dict[str, matplotlib.figure.Figure]:
    """Draw ``ranking``, and of models ``cost`` and ``loss``; the curves per energy are those of `report.overlays`."""
    name = comparison.metrics.meta["headline"]
    rows = rows_of_metric(comparison.metrics, name)
    best, label = next(iter(rows)), _short(next(iter(rows.values())))
    order = list(dict.fromkeys(str(one) for one in comparison.metrics["model"]))
    figures = {"ranking": plots.ranking(rows, against_best(comparison.differences, name, best), order, label)}
    if len(costs):
        figures["cost"] = plots.quality_over_cost(rows, costs, label, order)
    if histories:
        figures["loss"] = shared_legend(loss_curves(histories))
    return figures


def comparison_report(
    task: str,
    candidates: Sequence[Candidate],
    matched: Matched,
    comparison: ModelComparison,
    costs: QTable,
    figures: Mapping[str, matplotlib.figure.Figure],
    provenance: pd.DataFrame | None,
    dl2_provenance: QTable,
    created: datetime,
) -> ReportContent:
    """Put the report of a comparison together.

    Parameters
    ----------
    task : str
    candidates : sequence of Candidate
        Models and DL2 files of others.
    matched : Matched
    comparison : ModelComparison
    costs : QTable
        One row a model, none of DL2 files: ``model``, ``parameters``, ``layers``, ``gflops``, ``training_s``,
        ``inference_ms_per_event``.
    figures : mapping of str to Figure
        Those of `comparison_figures` and `report.overlays.overlays`.
    provenance : DataFrame or None
        Of the events that models predict, as `report.task.task_report` takes it; not shown of DL2 files alone.
    dl2_provenance : QTable
        Of what is in DL2 files, from `performance.contest.contest`.
    created : datetime
        With time zone.
    """
    name = comparison.metrics.meta["headline"]
    rows = rows_of_metric(comparison.metrics, name)
    best = next(iter(rows))
    behind = against_best(comparison.differences, name, best)
    statements = [_statement(best, other, row) for other, row in behind.items()]
    notes = [f"{one} and {other} predict the same for every event." for one, other in comparison.equal]
    others = [one.label for one in candidates if one.method is not None]
    if others:
        notes.append(unknown_training(_listed(others)))
    sections = (
        Section(
            "Result",
            (
                *(Text(text) for text in (*statements, *notes)),
                *illustrations(_FIGURES["Result"], figures),
                _ranks_table(rows, behind),
            ),
        ),
        Section("Metrics", (_metrics_table(comparison, [one.label for one in candidates]),)),
        Section("All pairs", (_pairs_table(comparison, name),)),
        Section("Curves", illustrations(CAPTIONS[task], figures)),
        Section("Cost", _cost_blocks(costs, rows, figures, others)),
        *([Section("Training", illustrations(_FIGURES["Training"], figures))] if "loss" in figures else []),
        Section("Models", (_models_table(candidates),)),
        Section("Events", (_events_table(matched, comparison.n_used),)),
        *beside_models(task, candidates[0].mode),
        Section("Conventions", (Facts(_conventions(comparison.metrics, models=len(costs) > 0, others=others)),)),
        Section(
            "Provenance",
            (*(provenance_section(provenance).blocks if len(costs) else ()), *_provenance_of_files(dl2_provenance)),
        ),
    )
    return ReportContent(
        kind=f"Comparison · {task}",
        title=f"{get_task(task).title}: {len(candidates)} models",
        summary=_summary(rows, behind, comparison),
        key_numbers=_key_numbers(rows, behind, comparison),
        sections=sections,
        footer=footer(created),
        data=productions_text(next(iter(matched.predictions.values()))["production"]),
    )


_FIGURES = {
    "Result": {
        "ranking": (
            "Ranks",
            "Left: the value of each model with its own interval. Right: how far it is behind the best on the same "
            "events; the difference is significant where the interval excludes 0.",
            True,
        )
    },
    "Cost": {"cost": ("Quality over cost", "With the intervals of the metric.", True)},
    "Training": {
        "loss": (
            "Loss per epoch",
            "The circle marks the epoch that was kept. Losses of models with other likelihoods, other training data "
            "or other weights are no measure of which is better. Models without epochs have no curve.",
        )
    },
}


def _with_unit(row: QTable.Row) -> str:
    return f"{row['label']} [{u.Unit(str(row['unit'])):unicode}]" if row["unit"] else str(row["label"])


def _short(row: QTable.Row) -> str:
    """Label without its convention, for axes."""
    return str(row["label"]).partition(":")[0] + (f" [{_unit(row).strip()}]" if row["unit"] else "")


def _unit(row: QTable.Row) -> str:
    text = f"{u.Unit(str(row['unit'])):unicode}" if row["unit"] else ""
    return text if text in ("", "°") else f" {text}"


def _estimate(row: QTable.Row, name: str = "value") -> tuple[str, str]:
    return format_estimate(*(float(row[column]) for column in (name, "low", "high")))


def _statement(best: str, other: str, row: QTable.Row) -> str:
    advantage, interval = _estimate(row, "advantage")
    known = f"{advantage}{_unit(row)}" + (f" ({interval})" if interval else "")
    if not float(row["advantage"]):
        return f"{best} and {other} are equally good."
    if row["significant"]:
        return f"{best} is better than {other} by {known}: significant."
    return f"{best} is ahead of {other} by {known}: not significant."


def _summary(rows: Mapping[str, QTable.Row], behind: Mapping[str, QTable.Row], comparison: ModelComparison) -> str:
    best, row = next(iter(rows.items()))
    if not row["rank"]:
        label = str(row["label"]).partition(":")[0]
        why = f"{comparison.n_used} events give no {label[:1].lower()}{label[1:]}"
        return f"The models cannot be ranked: {why if comparison.n_used else 'there are no events to judge them by'}."
    value, interval = _estimate(row)
    beaten = [name for name, found in behind.items() if found["significant"]]
    close = [name for name in behind if name not in beaten]
    text = f"On {format_number(comparison.n_used)} events, {best} comes first: {row['label']} {value}{_unit(row)}"
    text += f" ({interval})." if interval else "."
    confidence = f"{100 * comparison.metrics.meta['confidence']:g} %, paired"
    if beaten:
        text += f" It is significantly better than {_listed(beaten)} ({confidence})."
    if close:
        text += f" Its difference to {_listed(close)} is not significant."
    return text


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _key_numbers(
    rows: Mapping[str, QTable.Row], behind: Mapping[str, QTable.Row], comparison: ModelComparison
) -> tuple[KeyNumber, ...]:
    best, row = next(iter(rows.items()))
    numbers = []
    if row["rank"]:
        value, interval = _estimate(row)
        label = str(row["label"]).partition(":")[0]
        numbers = [KeyNumber("Best", best), KeyNumber(label, value + _unit(row), interval)]
    if behind:
        second, found = next(iter(behind.items()))
        advantage, bounds = _estimate(found, "advantage")
        verdict = "significant" if found["significant"] else "not significant"
        numbers.append(KeyNumber(f"Ahead of {second}", advantage + _unit(found), f"{bounds}, {verdict}".lstrip(", ")))
    return (*numbers, KeyNumber("Events", format_number(comparison.n_used)))


def _ranks_table(rows: Mapping[str, QTable.Row], behind: Mapping[str, QTable.Row]) -> Table:
    unit = f" [{_unit(next(iter(rows.values()))).strip()}]" if _unit(next(iter(rows.values()))) else ""
    entries = []
    for name, row in rows.items():
        value, interval = _estimate(row)
        ahead, bounds, verdict = Cell(MISSING), "", "best" if row["rank"] else "not ranked"
        if name in behind:
            text, bounds = _estimate(behind[name], "advantage")
            ahead = Cell(text, float(behind[name]["advantage"]), bounds)
            verdict = "yes" if behind[name]["significant"] else "no"
        rank = cell(int(row["rank"]) or None)
        entries.append((rank, Cell(name), Cell(value, _plain(row["value"]), interval), ahead, Cell(verdict)))
    header = ("Rank", "Model", f"Value{unit}", f"Behind the best{unit}", "Significant")
    caption = "Behind the best: on the same events, with the paired interval."
    return Table(header, tuple(entries), caption, in_summary=True)


def _metrics_table(comparison: ModelComparison, labels: Sequence[str]) -> Table:
    metrics, rows = comparison.metrics, []
    for name in dict.fromkeys(str(metric) for metric in metrics["metric"]):
        by_model = rows_of_metric(metrics, name)
        first, row = next(iter(by_model.items()))
        behind = against_best(comparison.differences, name, first)
        cells = [Cell(_with_unit(row))]
        for label in labels:
            value, interval = _estimate(by_model[label])
            rank = int(by_model[label]["rank"])
            mark = ""
            if rank == 1:
                mark = BEST
            elif rank and label in behind and not behind[label]["significant"]:
                mark = CLOSE
            note = interval + (f" · rank {rank}" if rank else "")
            cells.append(Cell(f"{mark} {value}".strip(), _plain(by_model[label]["value"]), note.strip(" ·")))
        rows.append(tuple(cells))
    caption = (
        f"{BEST} best; {CLOSE} not significantly worse than the best (paired). Metrics without ranks describe a model, "
        "but do not make it better."
    )
    return Table(("Metric", *labels), tuple(rows), caption, in_summary=True)


def _pairs_table(comparison: ModelComparison, name: str) -> Table:
    rows = []
    for row in comparison.differences[comparison.differences["metric"] == name]:
        advantage, interval = _estimate(row, "advantage")
        significant = "yes" if row["significant"] else "no"
        rows.append(
            (
                Cell(str(row["better"])),
                Cell(str(row["other"])),
                Cell(advantage + _unit(row), _plain(row["advantage"]), interval),
                Cell(significant),
            )
        )
    chance = f"{100 * (1 - comparison.metrics.meta['confidence']):g} %"
    caption = f"Each interval is one for itself: of many pairs of equal models, {chance} are significant by chance."
    return Table(("Better", "Than", "By", "Significant"), tuple(rows), caption)


def _cost_blocks(
    costs: QTable,
    rows: Mapping[str, QTable.Row],
    figures: Mapping[str, matplotlib.figure.Figure],
    others: Sequence[str],
) -> tuple[Figure | Table | Text, ...]:
    known = (*illustrations(_FIGURES["Cost"], figures), _costs_table(costs, rows)) if len(costs) else ()
    return (*known, Text(unknown_cost(_listed(others)))) if others else known


def _costs_table(costs: QTable, rows: Mapping[str, QTable.Row]) -> Table:
    names = {
        "model": "Model",
        "parameters": "Parameters",
        "layers": "Layers",
        "gflops": "GFLOP, one event",
        "training_s": "Training [s]",
        "inference_ms_per_event": "Prediction [ms/event]",
    }
    shown = table_of(costs, "Training times are those of the machines that the models were trained on.", names)
    quality = []
    for name in costs["model"]:
        value, interval = _estimate(rows[str(name)])
        quality.append(Cell(value, _plain(rows[str(name)]["value"]), interval))
    header = (*shown.header, _with_unit(next(iter(rows.values()))))
    body = tuple((*row, one) for row, one in zip(shown.rows, quality, strict=True))
    return Table(header, body, shown.caption, in_summary=True)


def _models_table(candidates: Sequence[Candidate]) -> Table:
    columns = {
        "Label": [Cell(one.label) for one in candidates],
        "Model": [Cell(f"{one.name} ({one.task})") for one in candidates],
        "Created (UTC)": [_created(one) for one in candidates],
        "Epochs": [cell(one.epochs) for one in candidates],
        "Training events": [cell(one.n_train) for one in candidates],
        "Data": [cell(one.data_fingerprint) for one in candidates],
        "File": [Cell(one.source, note=one.file_fingerprint) for one in candidates],
    }
    # of DL2 files little is known of the models
    known = {name: cells for name, cells in columns.items() if any(one.text != MISSING for one in cells)}
    caption = "Everything on this page was predicted anew from the model's file with this fingerprint"
    caption += ", or read from DL2 files." if any(one.method is not None for one in candidates) else "."
    return Table(tuple(known), tuple(zip(*known.values(), strict=True)), caption, in_summary=True)


def _created(one: Candidate) -> Cell:
    return Cell(f"{one.created:%Y-%m-%d %H:%M}", one.created.timestamp()) if one.created else Cell(MISSING)


def _events_table(matched: Matched, n_used: int) -> Table:
    n_common = len(next(iter(matched.predictions.values())))
    rows = tuple(
        (
            Cell(label),
            cell(n),
            cell(n - n_common),
            cell(n_common),
            cell(matched.n_invalid[label]),
            cell(n_common - matched.n_invalid[label]),
        )
        for label, n in matched.n_events.items()
    )
    caption = (
        "Left out: what is not among the events of all of them (run, event, telescope, particle and true energy). "
        f"Of the common events, {format_number(n_used)} that every model predicts, and that the task is judged by, "
        "make up every number on this page."
    )
    return Table(("Model", "Events", "Left out", "Common", "Not predicted", "Predicted"), rows, caption)


def _provenance_of_files(provenance: QTable) -> tuple[Text | Table, ...]:
    if not len(provenance):
        return ()
    explanation = Text("What was thrown to get the events of the DL2 files, and what these hold.")
    return explanation, table_of(provenance.to_pandas(), names={MODEL: "Model", **PROVENANCE})


def _conventions(metrics: QTable, models: bool, others: Sequence[str]) -> dict[str, str]:
    events = "events that all of them predict"
    if models:
        events = "test events that every model predicts; no training or tuning saw them"
    if others:
        events += "; of " + _listed(others) + " it is not known which events were learnt from"
    return {
        "Events": events,
        "Rank": "by the distance to the value of a perfect model: 0 for errors, 1 for areas, 68.27 % for coverages",
        "Intervals": intervals_convention(metrics),
        "Paired": "the same showers are drawn for all models; the interval is that of the difference",
        "Significant": f"the {100 * metrics.meta['confidence']:g} % interval of the difference excludes 0",
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
