"""Every task's tables, figures and part of the report, from the same predictions."""

import io

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.table import QTable
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.report.content import Figure as Drawing
from cherenkov_pipeline.performance.report.content import ReportContent, Table
from cherenkov_pipeline.performance.report.render import render_markdown, render_report
from cherenkov_pipeline.tasks import TASKS


@pytest.fixture(scope="module")
def predictions(make_events):
    def make(n: int) -> QTable:
        events = make_events(n, flipped=0.1)
        for axis, angle in (("x", "alt"), ("y", "az")):
            for kind in ("true", "reco"):
                events[f"{kind}_camera_{axis}"] = events[f"{kind}_{angle}"].to_value("rad") * 5.6 * u.m
        events["reco_energy"], events["reco_energy_uncert"] = 1.1 * events["true_energy"], 0.2 * events["true_energy"]
        return events

    return make


def written_and_read(table: QTable) -> QTable:
    stream = io.StringIO()
    table.write(stream, format="ascii.ecsv")
    return QTable.read(stream.getvalue(), format="ascii.ecsv")


def test_every_task_has_an_evaluation():
    assert set(EVALUATIONS) == set(TASKS)


@pytest.mark.parametrize(
    ("task", "n"),
    [
        *((task, 600) for task in EVALUATIONS),
        *((task, 0) for task in ("energy", "type")),
        *(pytest.param(task, 0, marks=pytest.mark.slow) for task in EVALUATIONS if task not in ("energy", "type")),
    ],
)
def test_report_is_made_of_tables_alone(task, n, predictions, parameters):
    evaluation = EVALUATIONS[task]
    tables = evaluation.tables(predictions(n), parameters)
    assert tuple(tables) == evaluation.table_names
    read = {name: written_and_read(table) for name, table in tables.items()}
    figures = evaluation.figures(read, "some_model", parameters.published_curve)
    assert set(figures) == set(evaluation.figure_names)
    for figure in figures.values():
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
    result = evaluation.result(read, figures)
    blocks = [block for section in result.sections for block in section.blocks]
    assert {id(block.drawing) for block in blocks if isinstance(block, Drawing)} == {
        id(one) for one in figures.values()
    }
    if n == 600:
        words = [text.get_text() for figure in figures.values() for text in figure.findobj(matplotlib.text.Text)]
        assert not any(word.startswith("no event") for word in words)
        assert result.key_numbers
        assert all(len(row) == len(block.header) for block in blocks if isinstance(block, Table) for row in block.rows)
    content = ReportContent("Model report", task, result.summary, result.sections, result.key_numbers)
    page = render_report(content)
    assert "nan" not in page.lower().replace("nanom", "")
    assert result.summary in render_markdown(content)


@pytest.mark.parametrize("task", EVALUATIONS)
def test_every_row_of_the_metrics_has_n(task, predictions, parameters):
    metrics = EVALUATIONS[task].tables(predictions(200), parameters)["metrics"]
    assert list(metrics.colnames) == ["metric", "label", "value", "low", "high", "unit", "n"]
    assert len(set(metrics["metric"])) == len(metrics)
    measured = ~np.char.startswith(np.asarray(metrics["metric"]), "events_")
    assert (metrics["n"][measured] > 0).all()
    assert np.isfinite(metrics["low"][measured]).all()
