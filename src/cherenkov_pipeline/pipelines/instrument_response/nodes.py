"""Nodes of the instrument response."""

from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.pipelines.flow import Drawing, Figure, QTable, named_groups

if TYPE_CHECKING:
    from astropy.io.fits import HDUList
else:
    HDUList = Any


def gather_response_events(dl2_files: FileSet, parameters: ResponseParameters) -> tuple[QTable, QTable]:
    """Gather gammas and protons of DL2 files, and what was thrown: the user's files, or those of the reconstruction."""
    from cherenkov_pipeline.performance.response.events import read_events
    from cherenkov_pipeline.reconstruction.paths import list_dl2

    if parameters.dl2_path:
        paths = list_dl2(parameters.dl2_path, "instrument_response.dl2_path")
    elif not (paths := dl2_files.paths):
        raise UserError(
            "There are no DL2 files: kedro run --pipeline=reconstruction, or give "
            "--params=instrument_response.dl2_path=..."
        )
    return read_events(paths, parameters)


def optimise_cuts(
    events: QTable, thrown: QTable, parameters: ResponseParameters, evaluation: EvaluationParameters
) -> QTable:
    """Find the gammaness and theta cuts of each bin of reconstructed energy."""
    from cherenkov_pipeline.performance.response.tables import make_sample, response_cuts

    return response_cuts(make_sample(events, thrown), parameters, evaluation)


def tabulate_response(
    events: QTable, thrown: QTable, cuts: QTable, parameters: ResponseParameters, evaluation: EvaluationParameters
) -> list[QTable]:
    """Make the tables of the response, in the order of their names."""
    from cherenkov_pipeline.performance.response.tables import make_sample, response_tables

    tables = response_tables(make_sample(events, thrown), thrown, cuts, parameters, evaluation)
    return list(tables.values())


def write_response_files(
    events: QTable, thrown: QTable, cuts: QTable, parameters: ResponseParameters, evaluation: EvaluationParameters
) -> tuple[HDUList, HDUList]:
    """Make the point-like and the full-enclosure FITS file."""
    from cherenkov_pipeline.performance.binning import energy_edges
    from cherenkov_pipeline.performance.response.events import GAMMA, simulated
    from cherenkov_pipeline.performance.response.gadf import response_file
    from cherenkov_pipeline.performance.response.tables import make_sample

    valid = make_sample(events, thrown).valid
    common = (simulated(thrown, GAMMA), cuts, energy_edges(evaluation), parameters)
    return response_file(*valid, *common, point_like=True), response_file(*valid, *common, point_like=False)


def draw_response(
    cuts: QTable, parameters: ResponseParameters, evaluation: EvaluationParameters, *tables: QTable
) -> list[Figure]:
    """Draw the figures of the response, in the order of their names."""
    from cherenkov_pipeline.performance.report.response import response_figures
    from cherenkov_pipeline.performance.response.names import TABLES

    (named,) = named_groups(tables, TABLES)
    return list(response_figures(named, cuts, parameters, evaluation).values())


def write_response_report(
    dl2_files: FileSet,
    events: QTable,
    cuts: QTable,
    parameters: ResponseParameters,
    *tables_and_figures: QTable | Drawing,
) -> tuple[str, str]:
    """Write the report of the response, as a page and as a short summary."""
    from datetime import UTC, datetime

    from cherenkov_pipeline.performance.report.render import render_markdown, render_report
    from cherenkov_pipeline.performance.report.response import response_report
    from cherenkov_pipeline.performance.response.names import FIGURES, TABLES

    tables, figures = named_groups(tables_and_figures, TABLES, FIGURES)
    facts = {
        "DL2 files": parameters.dl2_path or ", ".join(str(path) for path in dl2_files.paths),
        "Productions": ", ".join(sorted(set(events["production"]))),
    }
    content = response_report(tables, cuts, figures, facts, parameters, datetime.now(UTC))
    return render_report(content), render_markdown(content)
