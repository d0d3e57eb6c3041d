"""Instrument response: DL2 of gammas and protons becomes cuts, curves, FITS files and a report."""

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.performance.response.names import FIGURES, TABLES
from cherenkov_pipeline.pipelines.instrument_response.nodes import (
    draw_response,
    gather_response_events,
    optimise_cuts,
    tabulate_response,
    write_response_files,
    write_response_report,
)

NAME = "instrument_response"


def create_pipeline() -> Pipeline:
    """Build the pipeline; its outputs are in the namespace ``instrument_response``."""
    parameters = [f"params:{NAME}", "params:evaluation"]
    events = ["events", "thrown_table"]
    tables = [f"{name}_table" for name in TABLES]
    figures = [f"{name}_figure" for name in FIGURES]
    template = [
        node(gather_response_events, ["dl2_files", parameters[0]], events, name="gather_events"),
        node(optimise_cuts, [*events, *parameters], "cuts_table", name="optimise_cuts"),
        node(tabulate_response, [*events, "cuts_table", *parameters], tables, name="tabulate"),
        node(
            write_response_files,
            [*events, "cuts_table", *parameters],
            ["point_like_irf", "full_enclosure_irf"],
            name="write_files",
        ),
        node(draw_response, ["cuts_table", *parameters, *tables], figures, name="draw"),
        node(
            write_response_report,
            ["dl2_files", "events", "cuts_table", parameters[0], *tables, *figures],
            ["report", "summary"],
            name="write_report",
        ),
    ]
    return Pipeline(template, namespace=NAME, inputs={"dl2_files"}, parameters=set(parameters), tags=NAME)
