"""The report of DL2 files of others, and what reports say where little is known of a method."""

from datetime import datetime

import pandas as pd

from cherenkov_pipeline.performance.report.content import Facts, ReportContent, Section, Text
from cherenkov_pipeline.performance.report.task import (
    TaskResult,
    footer,
    productions_text,
    provenance_section,
)
from cherenkov_pipeline.reconstruction.others import Method, productions_of

LISTED_FILES = 10

LEVELS = {"telescope": "images of single telescopes", "subarray": "whole events"}


def unknown_training(name: str) -> str:
    """Say that the events may be training events."""
    return (
        f"Nothing is known about which events {name} learnt from: if these are among them, the numbers are better than "
        "those on new events."
    )


def unknown_cost(name: str) -> str:
    """Say that there is no model to measure."""
    return f"DL2 files carry no model: nothing is known about the cost of {name}."


def dl2_report(
    name: str, method: Method, result: TaskResult, provenance: pd.DataFrame, created: datetime
) -> ReportContent:
    """Put the report of DL2 files of others together.

    Parameters
    ----------
    name : str
        Of the method, for readers.
    method : Method
    result : TaskResult
        From the task's module, such as `report.energy.energy_result`.
    provenance : DataFrame
        From `cherenkov_pipeline.reconstruction.others.method_provenance`.
    created : datetime
        With time zone.
    """
    more = len(method.paths) - LISTED_FILES
    files = ", ".join(method.paths[:LISTED_FILES]) + (f" and {more} more" if more > 0 else "")
    facts = {
        "Task": method.task,
        "Columns": method.prefix,
        "Predicted for": LEVELS[method.level],
        "DL2 files": files,
        "Fingerprint": method.fingerprint,
    }
    events = {"Events": "those with a valid prediction in the files; it is not known which of them were learnt from"}
    return ReportContent(
        kind=f"DL2 report · {method.task}",
        title=name,
        summary=f"{result.summary} {unknown_training(name)}",
        key_numbers=result.key_numbers,
        sections=(
            Section("Method", (Facts(facts), Text(unknown_training(name)))),
            *result.sections,
            Section("Cost", (Text(unknown_cost(name)),)),
            Section("Conventions", (Facts({**result.conventions, **events}),)),
            provenance_section(provenance),
        ),
        footer=footer(created),
        data=productions_text(productions_of(method.paths)),
    )
