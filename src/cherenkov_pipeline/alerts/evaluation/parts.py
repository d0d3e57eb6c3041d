"""What the reports of a split and of a cross-validation share."""

from astropy.table import QTable

from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.performance.report.common import Rows, key_numbers
from cherenkov_pipeline.performance.report.content import KeyNumber
from cherenkov_pipeline.performance.report.content import Table as ReportTable
from cherenkov_pipeline.performance.report.tables import cell, estimate_cells

DRAWN = "bursts are drawn, with all their images"
"""By the bootstrap."""


def ensemble_numbers(metrics: Rows) -> tuple[KeyNumber, ...]:
    """Make the numbers at the top, of the metrics of probabilities and verdicts."""
    entries = (
        ("Accuracy, all images", "accuracy", 100, " %"),
        ("True sources missed, of those with a verdict", "missed", 100, " %"),
        ("Unsure", "unsure", 100, " %"),
        ("Expected calibration error", "calibration_error", 1, ""),
    )
    return key_numbers(metrics, entries)


def positive(parameters: AlertParameters) -> str:
    """Say what counts as a true source."""
    real = (cause.replace("_", " ") for cause, counts in parameters.is_real.items() if counts)
    return f"true sources: {', '.join(real)}"


def without_counts(table: QTable, like: QTable) -> QTable:
    """Leave the numbers of images out of joined metrics, and take over what is said of another table's intervals."""
    table = table[[not str(name).startswith("events_") for name in table["metric"]]]
    table.meta.update(like.meta)
    return table


def comparison(table: QTable, caption: str = "Test images.") -> ReportTable:
    """Make the table of methods against the ensemble, from `scores.comparison_table`."""
    header = ("Method", "Accuracy", "Above the ensemble", "Right, the ensemble wrong", "Wrong, the ensemble right", "p")
    rows = zip(
        [cell(name) for name in table["method"].tolist()],
        *(estimate_cells(table, name) for name in ("accuracy", "gain")),
        *([cell(value) for value in table[name].tolist()] for name in ("only_it", "only_reference", "p_value")),
        strict=True,
    )
    return ReportTable(header, tuple(rows), f"{caption} p: McNemar's exact test, which takes images as independent.")


def strata(table: QTable, caption: str = "Of the ensemble, on the test images.") -> ReportTable:
    """Make the table of the accuracy in parts of the sample, from `scores.strata_table`."""
    rows = zip(
        [cell(str(name)) for name in table["stratum"]],
        [cell(int(n)) for n in table["n"]],
        estimate_cells(table, "accuracy"),
        strict=True,
    )
    return ReportTable(("Images", "Number", "Accuracy"), tuple(rows), caption)
