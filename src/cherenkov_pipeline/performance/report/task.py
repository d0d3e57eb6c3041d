"""What the report of every trained model shows, whatever its task: run, cost, training, model, provenance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from cherenkov_pipeline import __version__
from cherenkov_pipeline.performance.report.content import (
    Cell,
    Details,
    Drawing,
    Facts,
    Figure,
    KeyNumber,
    ReportContent,
    Section,
    Table,
    Text,
)
from cherenkov_pipeline.performance.report.tables import MISSING, cell, format_number, table_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LISTED_PRODUCTIONS = 4

PROVENANCE = {
    "step": "Step",
    "item": "Item",
    "fingerprint": "Fingerprint",
    "n_in": "In",
    "n_out": "Out",
    "detail": "Detail",
}
"""Columns of a table of provenance with their headers."""


@dataclass(frozen=True)
class RunFacts:
    """What was trained, on what, how.

    Attributes
    ----------
    task, model : str
        Names: ``energy``, ``single_tel``.
    created : datetime
        With time zone.
    planned_epochs, effective_epochs : int or None
    batch_size : int or None
    training_events, validation_events, test_events : int or None
        Images (mono) or events (stereo).
    data_fingerprint : str
    git_revision, mlflow_run : str or None
    configuration : mapping
        Plain values: the parameters that the run was made with.
    """

    task: str
    model: str
    created: datetime
    planned_epochs: int | None
    effective_epochs: int | None
    batch_size: int | None
    training_events: int | None
    validation_events: int | None
    test_events: int | None
    data_fingerprint: str
    git_revision: str | None
    mlflow_run: str | None
    configuration: Mapping[str, Any]


@dataclass(frozen=True)
class RunCost:
    """What the model costs; None where it was not measured.

    Attributes
    ----------
    parameters, layers : int or None
    gflops : float or None
        Of one forward pass of one event.
    training_s, inference_s : float or None
        Wall-clock times of the training and of the prediction of the test events, in seconds.
    inference_ms_per_event : float or None
    peak_memory_mib : float or None
    device : str
        What it was measured on.
    """

    parameters: int | None = None
    layers: int | None = None
    gflops: float | None = None
    training_s: float | None = None
    inference_s: float | None = None
    inference_ms_per_event: float | None = None
    peak_memory_mib: float | None = None
    device: str = ""


@dataclass(frozen=True)
class TaskResult:
    """What a task's own module contributes to its report."""

    summary: str
    key_numbers: tuple[KeyNumber, ...]
    sections: tuple[Section, ...]
    conventions: Mapping[str, str]


def task_report(
    facts: RunFacts,
    cost: RunCost,
    result: TaskResult,
    figures: Mapping[str, Drawing],
    model_summary: str,
    provenance: pd.DataFrame | None,
) -> ReportContent:
    """Put the report of one trained model together.

    Parameters
    ----------
    facts : RunFacts
    cost : RunCost
    result : TaskResult
        From the task's module, such as `report.energy.energy_result`.
    figures : mapping of str to Drawing
        ``loss`` and ``architecture``; a figure that is not there is left out.
    model_summary : str
        Plain text, from Keras.
    provenance : DataFrame or None
        ``step``, ``item``, ``fingerprint``, ``n_in``, ``n_out``, ``detail``; None where that of these events is not at
        hand, which the report says.

    Returns
    -------
    ReportContent
    """
    model = [Details("Layers", model_summary)] if model_summary else []
    return ReportContent(
        kind=f"Model report · {facts.task}",
        title=facts.model,
        summary=result.summary,
        key_numbers=result.key_numbers,
        sections=(
            Section("Run", (_run_facts(facts), Details("Configuration", _as_yaml(facts.configuration)))),
            *result.sections,
            Section("Cost", (cost_table(cost),)),
            Section("Training", illustrations(_TRAINING_FIGURES, figures)),
            Section("Model", (*illustrations(_MODEL_FIGURES, figures), *model)),
            Section("Conventions", (Facts(result.conventions),)),
            provenance_section(provenance),
        ),
        footer=footer(facts.created),
        data=facts.data_fingerprint,
    )


_TRAINING_FIGURES = {
    "loss": ("Loss per epoch", "Loss on training and validation events; the circle marks the epoch that was kept."),
}
_MODEL_FIGURES = {
    "architecture": (
        "Architecture",
        "Layers in the order of the computation, with their outputs and parameters.",
        True,
    ),
}


def illustrations(captions: Mapping[str, Sequence], figures: Mapping[str, Drawing]) -> tuple[Figure, ...]:
    """Join figures with their titles and captions, in the captions' order; those that are not there are left out."""
    return tuple(Figure(figures[name], *texts) for name, texts in captions.items() if name in figures)


def _run_facts(facts: RunFacts) -> Facts:
    return Facts(
        {
            "Task": facts.task,
            "Model": facts.model,
            "Created": _utc(facts.created),
            "Epochs": f"{_number(facts.effective_epochs)} of {_number(facts.planned_epochs)} planned",
            "Batch size": _number(facts.batch_size),
            "Training events": _number(facts.training_events),
            "Validation events": _number(facts.validation_events),
            "Test events": _number(facts.test_events),
            "Data fingerprint": facts.data_fingerprint or MISSING,
            "Git revision": facts.git_revision or MISSING,
            "MLflow run": _mlflow_run(facts.mlflow_run),
        }
    )


def _mlflow_run(run: str | None) -> str:
    """Say where to find a run; no link, as a page needs nothing from outside and knows no address of MLflow."""
    return f"{run} (behind the address that kedro mlflow ui tells, or the server's: /#/runs/{run})" if run else MISSING


def cost_table(cost: RunCost) -> Table:
    """Make the table of what a model costs."""
    rows = (
        ("Parameters", cost.parameters, ""),
        ("Layers", cost.layers, ""),
        ("Forward pass of one event", cost.gflops, "GFLOP"),
        ("Training time", cost.training_s, "s"),
        ("Inference time, test events", cost.inference_s, "s"),
        ("Inference time per event", cost.inference_ms_per_event, "ms"),
        ("Peak memory while predicting", cost.peak_memory_mib, "MiB"),
    )
    caption = f"Measured on: {cost.device}." if cost.device else ""
    return Table(
        ("Cost", "Value", "Unit"),
        tuple((Cell(name), cell(value), Cell(unit)) for name, value, unit in rows),
        caption,
        in_summary=True,
    )


def provenance_section(provenance: pd.DataFrame | None) -> Section:
    """Make the section that says where the events come from and where they were lost."""
    if provenance is None:
        missing = (
            "The provenance that was given is that of other events, and left out: name its version for these events, "
            "--load-versions=processing_provenance:..."
        )
        return Section("Provenance", (Text(missing),))
    explanation = Text("Every step from the raw files to this page: what went in, what came out, and why.")
    return Section("Provenance", (explanation, table_of(provenance, names=PROVENANCE)))


def productions_text(names: "ArrayLike") -> str:
    """Name some productions, of many the first and how many more there are."""
    found = [str(name) for name in np.unique(np.asarray(names))]
    more = len(found) - LISTED_PRODUCTIONS
    return ", ".join(found[:LISTED_PRODUCTIONS]) + (f" and {more} more" if more > 0 else "")


def footer(created: datetime) -> str:
    """Line at the end of a report."""
    return f"Made by cherenkov-pipeline {__version__} on {_utc(created)}."


def _utc(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _number(value: int | None) -> str:
    return MISSING if value is None else format_number(value)


def _as_yaml(configuration: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(configuration), sort_keys=False, allow_unicode=True)
