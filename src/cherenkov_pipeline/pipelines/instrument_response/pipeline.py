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
    """Build the pipeline."""
    parameters = [f"params:{NAME}", "params:evaluation"]
    events = [f"{NAME}.events", f"{NAME}.thrown_table"]
    cuts = f"{NAME}.cuts_table"
    tables = [f"{NAME}.{name}_table" for name in TABLES]
    return Pipeline(
        [
            node(gather_response_events, ["dl2_files", f"params:{NAME}"], events, name="gather_response_events"),
            node(optimise_cuts, [*events, *parameters], cuts, name="optimise_cuts"),
            node(tabulate_response, [*events, cuts, *parameters], tables, name="tabulate_response"),
            node(
                write_response_files,
                [*events, cuts, *parameters],
                [f"{NAME}.point_like_irf", f"{NAME}.full_enclosure_irf"],
                name="write_response_files",
            ),
            node(
                draw_response,
                [cuts, *parameters, *tables],
                [f"{NAME}.{name}_figure" for name in FIGURES],
                name="draw_response",
            ),
            node(
                write_response_report,
                ["dl2_files", events[0], cuts, *parameters, *tables],
                [f"{NAME}.report", f"{NAME}.summary"],
                name="write_response_report",
            ),
        ],
        tags=NAME,
    )
