"""The report of a comparison, and curves of several models in the same axes."""

import re
from datetime import UTC, datetime

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.table import QTable

from cherenkov_pipeline.performance.candidates import Candidate
from cherenkov_pipeline.performance.comparison import compare, match_predictions
from cherenkov_pipeline.performance.contest import provenance_table
from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.plots.curves import colors_of
from cherenkov_pipeline.performance.qualities import QUALITIES
from cherenkov_pipeline.performance.report.comparison import comparison_figures, comparison_report
from cherenkov_pipeline.performance.report.content import Figure, Table
from cherenkov_pipeline.performance.report.overlays import overlays
from cherenkov_pipeline.performance.report.published import beside_models
from cherenkov_pipeline.performance.report.render import render_markdown, render_report
from cherenkov_pipeline.tasks import TASKS

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def candidate(label: str, **known) -> Candidate:
    model = Candidate(
        label=label,
        source=f"energy_model:{label}",
        path=f"{label}/model.keras",
        task="energy",
        name="set_network",
        mode="mono",
        created=NOW,
        epochs=3,
        n_train=1000,
        n_validation=100,
        data_fingerprint="d1",
        file_fingerprint=f"f-{label}",
        mlflow_run=None,
        training_s=12.0,
        parameters=1234,
        layers=5,
        gflops=None,
    )
    return model.model_copy(update=known)


def costs_of(labels) -> QTable:
    numbers = {name: np.arange(1.0, len(labels) + 1) for name in ("parameters", "layers", "training_s", "inference_s")}
    unknown = np.full(len(labels), np.nan)
    return QTable({"model": list(labels), **numbers, "inference_ms_per_event": unknown, "gflops": unknown})


def report_of(predictions, parameters, history, provenance=None, task="energy", **known):
    matched = match_predictions(predictions)
    comparison = compare(matched, QUALITIES[task], parameters)
    tables = {label: EVALUATIONS[task].tables(table, parameters) for label, table in matched.predictions.items()}
    costs = costs_of(list(predictions))
    figures = comparison_figures(comparison, costs, dict.fromkeys(predictions, history))
    figures |= overlays(task, tables, "mono_tel1", "mono")
    models = [candidate(label, **known) for label in predictions]
    content = comparison_report(
        task, models, matched, comparison, costs, figures, provenance, provenance_table({}), NOW
    )
    return content, figures


@pytest.fixture(scope="module")
def predictions(make_predictions):
    good = make_predictions(600)
    rng = np.random.default_rng(2)
    found = {}
    for label, width in (("poor", 0.4), ("good", 0.0), ("close", 0.004), ("<b>fair</b>", 0.15)):
        found[label] = good.copy()
        found[label]["reco_energy"] *= np.exp(width * rng.normal(size=len(good)))
    return found


def test_report_tells_who_is_better(predictions, parameters, history, provenance):
    content, figures = report_of(predictions, parameters, history, provenance)
    page = render_report(content)
    assert content.sections[-1].title == "Provenance"
    assert "hillas_intensity &gt; 50" in page
    assert "good is better than poor by" in page
    assert "significantly better than" in content.summary
    assert re.search(r"(Its difference to|ahead of) (close|good)", page)
    drawings = [block for section in content.sections for block in section.blocks if isinstance(block, Figure)]
    assert len(drawings) == len(figures)
    for section in content.sections:
        for table in (block for block in section.blocks if isinstance(block, Table)):
            assert all(len(row) == len(table.header) for row in table.rows)
    assert not re.search(r"\bnan\b", page.lower())
    assert "<b>fair" not in page
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?https?:""", page)
    assert len(page) < 5_000_000
    assert "| Rank | Model |" in render_markdown(content)


def test_columns_of_what_is_known_of_no_model_are_left_out(predictions, parameters, history):
    unknown = {"created": None, "epochs": None, "n_train": None, "data_fingerprint": None}
    for known in ({}, unknown):
        content, _ = report_of(predictions, parameters, history, **known)
        (section,) = (section for section in content.sections if section.title == "Models")
        (table,) = section.blocks
        expected = ["Label", "Model", *([] if known else ["Created (UTC)", "Epochs", "Training events", "Data"])]
        assert list(table.header) == [*expected, "File"]
        assert [row[0].text for row in table.rows] == list(predictions)
        assert {len(row) for row in table.rows} == {len(table.header)}


def test_level_of_the_intervals_is_the_one_that_was_asked_for(predictions, history):
    content, _ = report_of(predictions, EvaluationParameters(resamples=200, confidence=0.8), history)
    page = render_report(content)
    assert "20 % are significant by chance" in page
    assert "one in twenty" not in page
    assert "95 %" not in content.summary


@pytest.mark.parametrize("mode", ["mono", "stereo"])
def test_figures_after_cuts_are_listed_beside_whole_events_alone(mode):
    for task, n in (("energy", 1), ("skydirection", 1), ("type", 0), ("core", 0)):
        rows = [row for section in beside_models(task, mode) for table in section.blocks for row in table.rows]
        assert [row[1].text for row in rows if row[2].text == "after cuts"] == n * (mode == "stereo") * [
            "thin ResNet, stereo"
        ]
        assert all(row[5].text for row in rows)


def test_models_that_predict_the_same_are_named(make_predictions, parameters, history):
    content, _ = report_of({"one": make_predictions(60), "copy": make_predictions(60)}, parameters, history)
    page = render_report(content)
    assert "one and copy predict the same for every event." in page
    assert "one and copy are equally good." in page


def test_without_a_valid_event_the_report_says_so(make_predictions, parameters, history):
    nothing = make_predictions(20)
    nothing["is_valid"] = False
    content, figures = report_of({"one": make_predictions(20), "nothing": nothing}, parameters, history)
    assert content.summary == "The models cannot be ranked: there are no events to judge them by."
    assert_no_best(content, figures)


def test_events_that_do_not_tell_who_is_better_are_not_called_none(make_events, parameters, history):
    gammas = make_events(40)[::2]
    predictions = {"one": gammas, "other": gammas.copy()}
    content, figures = report_of(predictions, parameters, history, task="type")
    assert content.summary == "The models cannot be ranked: 20 events give no area under the ROC curve."
    assert_no_best(content, figures)


def assert_no_best(content, figures):
    assert [number.label for number in content.key_numbers] == ["Events"]
    ranks = next(block for block in content.sections[0].blocks if isinstance(block, Table))
    assert {(row[0].text, row[-1].text) for row in ranks.rows} == {("–", "not ranked")}
    assert not any("Behind" in axes.get_xlabel() for axes in figures["ranking"].axes)
    assert not re.search(r"\bnan\b", render_report(content).lower())


@pytest.mark.parametrize("published", [None, "stereo"])
@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_curves_overlaid(task, published, make_events, parameters):
    tables = {}
    for seed, label in enumerate(("first", "second")):
        events = make_events(400, flipped=0.1, seed=seed)
        events["reco_energy"], events["reco_energy_uncert"] = 1.1 * events["true_energy"], 0.2 * events["true_energy"]
        for axis, angle in (("x", "alt"), ("y", "az")):
            for kind in ("true", "reco"):
                events[f"{kind}_camera_{axis}"] = events[f"{kind}_{angle}"].to_value("rad") * 5600 * u.mm
        tables[label] = EVALUATIONS[task].tables(events, parameters)
    figures = overlays(task, tables, published, "stereo")
    assert set(figures) <= set(EVALUATIONS[task].figure_names)
    for name, figure in figures.items():
        figure.draw_without_rendering()
        (legend,) = figure.legends
        shown = [text.get_text() for text in legend.get_texts()]
        assert all(any(text.startswith(label) for text in shown) for label in tables), name
        assert len(shown) == len(set(shown))
    words = [text.get_text() for figure in figures.values() for text in figure.findobj(matplotlib.text.Text)]
    assert any("published" in word for word in words) == (published is not None and task not in ("core", "xmax"))


@pytest.mark.parametrize("n", [2, 6, 15])
def test_colours_of_any_number_of_models_differ(n):
    assert len(set(colors_of({str(number): None for number in range(n)}).values())) == n


def test_one_bad_model_does_not_squeeze_the_others(make_events, parameters):
    tables = {
        label: EVALUATIONS["skydirection"].tables(make_events(800, sigma=sigma), parameters)
        for label, sigma in (("good", 0.1), ("bad", 2.0))
    }
    (axes,) = overlays("skydirection", tables, "mono_tel1", "mono")["resolution"].axes
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert low < 0.087  # the smallest published point
    assert high > np.nanmax(tables["bad"]["per_energy"]["angular_resolution"].value)
    (axes,) = overlays("skydirection", {"good": tables["good"]}, "mono_tel1", "mono")["resolution"].axes
    assert axes.get_yscale() == "linear"
