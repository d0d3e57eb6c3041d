"""Every task's tables, figures and part of the report, from the same predictions."""

import io
from dataclasses import replace

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.table import QTable
from matplotlib.figure import Figure

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.evaluations import EVALUATIONS, evaluation_of
from cherenkov_pipeline.performance.report.content import Figure as Drawing
from cherenkov_pipeline.performance.report.content import ReportContent, Table
from cherenkov_pipeline.performance.report.render import render_markdown, render_report
from cherenkov_pipeline.pipelines.evaluation.pipeline import create_dl2_pipeline, create_pipeline
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


@pytest.mark.parametrize("like", ["core", "xmax"])
def test_a_new_task_is_judged_without_another_entry(like, predictions, parameters, monkeypatch):
    monkeypatch.setitem(TASKS, "new", replace(TASKS[like], name="new", title="New"))
    create_pipeline("new")
    create_dl2_pipeline("new")
    evaluation, events = evaluation_of("new"), predictions(600)
    tables, expected = evaluation.tables(events, parameters), EVALUATIONS[like].tables(events, parameters)
    assert tuple(tables) == evaluation.table_names
    assert list(tables["metrics"]["value"]) == list(expected["metrics"]["value"])
    figures = evaluation.figures(tables, "some_model", None)
    assert set(figures) == set(evaluation.figure_names)
    assert "New" in evaluation.result(tables, {}).summary


def test_a_new_task_of_another_kind_says_that_it_needs_an_evaluation(monkeypatch):
    monkeypatch.setitem(TASKS, "new", replace(TASKS["type"], name="new"))
    with pytest.raises(UserError, match="Nothing says how new is judged: add it to EVALUATIONS"):
        create_pipeline("new")


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
