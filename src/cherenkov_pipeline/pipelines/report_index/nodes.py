"""Node of the page of all reports; the hook `ReportIndex` calls it after every run that wrote a report."""

from pathlib import Path


def write_index(reports: dict[str, Path]) -> str:
    """Write the page of all reports."""
    from datetime import UTC, datetime

    from cherenkov_pipeline.performance.report.index import index_page
    from cherenkov_pipeline.performance.report.render import render_report

    return render_report(index_page(reports, datetime.now(UTC)))
