"""What the reports of a split and of a cross-validation share."""

from astropy.table import QTable, Table

from cherenkov_pipeline.performance.report.common import Rows, key_numbers
from cherenkov_pipeline.performance.report.content import KeyNumber
from cherenkov_pipeline.performance.report.content import Table as ReportTable
from cherenkov_pipeline.performance.report.tables import cell, estimate_cells, table_of


def ensemble_numbers(metrics: Rows) -> tuple[KeyNumber, ...]:
    """Make the numbers at the top, of the metrics of probabilities and verdicts."""
    entries = (
        ("Accuracy, all images", "accuracy", 100, " %"),
        ("True sources missed, of those with a verdict", "missed", 100, " %"),
        ("Unsure", "unsure", 100, " %"),
        ("Expected calibration error", "calibration_error", 1, ""),
    )
    return key_numbers(metrics, entries)


def without_counts(table: QTable, like: QTable) -> QTable:
    """Leave the numbers of images out of joined metrics, and take over what is said of another table's intervals."""
    table = table[[not str(name).startswith("events_") for name in table["metric"]]]
    table.meta.update(like.meta)
    return table


def comparison(table: Table, caption: str = "Test images; the exact test takes them as independent.") -> ReportTable:
    """Make the table of methods against the ensemble, from `scores.comparison_table`."""
    names = {
        "method": "Method",
        "accuracy": "Accuracy",
        "only_it": "Right, the ensemble wrong",
        "only_reference": "Wrong, the ensemble right",
        "p_value": "p, McNemar",
    }
    return table_of(table, caption, names)


def strata(table: QTable, caption: str = "Of the ensemble, on the test images.") -> ReportTable:
    """Make the table of the accuracy in parts of the sample, from `scores.strata_table`."""
    rows = zip(
        [cell(str(name)) for name in table["stratum"]],
        [cell(int(n)) for n in table["n"]],
        estimate_cells(table, "accuracy"),
        strict=True,
    )
    return ReportTable(("Images", "Number", "Accuracy"), tuple(rows), caption)
