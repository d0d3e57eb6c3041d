"""Report index: all reports on one page."""

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.report_index.nodes import write_index

SOURCE, PAGE = "saved_reports", "report_index"


def create_pipeline() -> Pipeline:
    """Build the pipeline."""
    return Pipeline([node(write_index, SOURCE, PAGE, name="write_index")])
