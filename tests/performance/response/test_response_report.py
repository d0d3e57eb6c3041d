"""Tables, figures and report of the instrument response."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from cherenkov_pipeline.performance.published import effective_areas
from cherenkov_pipeline.performance.report.render import render_markdown, render_report
from cherenkov_pipeline.performance.report.response import area_comparisons, response_figures, response_report
from cherenkov_pipeline.performance.report.tables import format_number
from cherenkov_pipeline.performance.response import ResponseParameters
from cherenkov_pipeline.performance.response.names import FIGURES, TABLES
from cherenkov_pipeline.performance.response.tables import make_sample, response_cuts, response_tables

LINES = {"areas": 4, "energy": 3, "direction": 2, "background": 3, "sensitivity": 3}


def made(events, thrown, parameters, evaluation):
    sample = make_sample(events, thrown)
    cuts = response_cuts(sample, parameters, evaluation)
    return cuts, response_tables(sample, thrown, cuts, parameters, evaluation)


@pytest.fixture(scope="module")
def response(events, parameters, evaluation):
    return made(*events, parameters, evaluation)


def page(cuts, tables, parameters, evaluation, created):
    figures = response_figures(tables, cuts, parameters, evaluation)
    assert tuple(figures) == FIGURES
    assert tuple(tables) == TABLES
    return response_report(tables, cuts, figures, {"DL2 files": "some.h5"}, parameters, created), figures


def test_every_curve_is_drawn(response, parameters, evaluation, created):
    cuts, tables = response
    _, figures = page(cuts, tables, parameters, evaluation, created)
    for name, least in LINES.items():
        assert len(figures[name].axes[0].lines) >= least, name
    low, high = figures["areas"].axes[0].get_xlim()
    assert low >= 0.9
    assert high <= 101


def test_legends_wider_than_the_axes_stand_above_them(response, parameters, evaluation):
    cuts, tables = response
    figures = response_figures(tables, cuts, parameters, evaluation)
    for name in ("energy", "direction"):
        figures[name].draw_without_rendering()
        (axes,) = figures[name].axes
        (legend,) = figures[name].legends
        assert axes.get_legend() is None
        assert legend.get_window_extent().y0 >= axes.get_tightbbox().y1 - 1, name


def test_report_is_one_page_that_needs_nothing(response, parameters, evaluation, created):
    content, _ = page(*response, parameters, evaluation, created)
    html = render_report(content)
    assert html.count("<svg") == len(FIGURES)
    assert len(html) < 5e6
    assert "src=" not in html
    assert "<link" not in html
    assert "of the array" in content.title
    assert "# Instrument response" in render_markdown(content)


def test_theta_cuts_at_their_limit_are_marked(events, parameters, evaluation, created):
    tight = parameters.model_copy(update={"theta_max": 0.1 * u.deg})
    cuts, tables = made(*events, tight, evaluation)
    content, _ = page(cuts, tables, tight, evaluation, created)
    (section,) = (one for one in content.sections if one.title == "Event selection")
    rows = section.blocks[1].rows
    assert len(rows) == np.isfinite(cuts["gammaness"]).sum()
    for row, cut in zip(rows, cuts[np.isfinite(cuts["gammaness"])], strict=True):
        assert (row[3].note == "theta_max") == cut["theta_limited"]
        assert row[4].text == format_number(cut["theta_efficiency"])
    assert any(row[3].note for row in rows)


def test_counts_close(response, events):
    """What is lost at a stage is the difference to the one before, and all of it adds up to what was thrown."""
    counts = response[1]["counts"]
    for particle, primary in (("gamma", 0), ("proton", 101)):
        rows = counts[counts["particle"] == particle]
        assert rows["stage"].tolist() == ["thrown", "trigger", "quality", "gammaness", "theta"]
        thrown = events[1][events[1]["true_shower_primary_id"] == primary]
        assert rows["n"][0] == thrown["n_thrown"][0]
        assert rows["n"][1] == np.sum(np.asarray(events[0]["true_shower_primary_id"]) == primary)
        assert (np.diff(rows["n"]) <= 0).all()


def test_few_events_make_a_report_that_says_so(make_events, parameters, evaluation, created):
    made_few = made(*make_events(100, 100), parameters, evaluation)
    content, _ = page(*made_few, parameters, evaluation, created)
    assert "No bin has enough simulated gammas and protons" in content.summary
    assert "too few gammas for a cut" in render_report(content)


def test_resolutions_are_the_known_ones(response):
    from tests.performance.response.conftest import SIGMA, WIDTH

    _, tables = response
    energy, direction = (tables[name][tables[name]["n"] > 200] for name in ("energy", "direction"))
    np.testing.assert_allclose(energy["resolution"], WIDTH, rtol=0.15)
    np.testing.assert_allclose(direction["angular_resolution"].to_value("deg"), 1.515 * SIGMA, rtol=0.15)


def areas_of(factor: float) -> QTable:
    """Areas that follow a power law through those published at 1 and 100 TeV, times a factor."""
    center = np.geomspace(0.1, 1000, 41) * u.TeV
    index = np.log10(1.07e6 / 8.3e4) / 2
    area = factor * 8.3e4 * center.value**index * u.m**2
    table = QTable({"true_energy_center": center, "area": area, "area_low": 0.9 * area, "area_high": 1.1 * area})
    table["stage"], table["drawn"] = "trigger", True
    return table


def test_areas_are_compared_at_the_published_energies():
    found = {one.key: one for one in area_comparisons(areas_of(1.3))}
    for key in ("area_trigger_1tev", "area_trigger_100tev"):
        assert found[key].ratio == pytest.approx(1.3)
        assert found[key].error == pytest.approx(0.1 * found[key].value)
    assert "area_cleaning_1tev" not in found


def test_areas_of_bins_that_are_not_drawn_are_not_compared():
    table = areas_of(1.0)
    table["drawn"] = table["true_energy_center"] > 2 * u.TeV
    found = {one.key: one for one in area_comparisons(table)}
    assert np.isnan(found["area_trigger_1tev"].value)
    assert np.isfinite(found["area_trigger_10tev"].value)


def test_published_areas_are_drawn_for_one_telescope_alone(response, evaluation, parameters):
    cuts, tables = response
    for level, n_points in (("telescope", 1), ("subarray", 0)):
        options = ResponseParameters(level=level)
        figures = response_figures(tables, cuts, options, evaluation)
        axes = figures["areas"].axes[0]
        points = [line for line in axes.lines if line.get_linestyle() == "None"]
        assert len(points) == n_points
        for name in ("energy", "direction"):
            (forest,) = (line for line in figures[name].axes[0].lines if "published" in str(line.get_label()))
            assert ("stereo" in forest.get_label()) == (level == "subarray")
    assert "arXiv" in effective_areas().meta["source"]


def labels_of(figure) -> list[str]:
    return [str(artist.get_label()) for artist in (*figure.axes[0].lines, *figure.axes[0].patches)]


@pytest.mark.parametrize(
    ("options", "evaluated", "drawn"),
    [
        ({"level": "subarray"}, {}, {"energy", "direction", "sensitivity"}),
        ({"level": "subarray", "observation_time": "5 h"}, {}, {"energy", "direction"}),
        ({"level": "subarray"}, {"published_curve": None}, set()),
        ({"level": "telescope"}, {}, set()),
    ],
)
def test_figures_after_cuts_stand_beside_those_of_an_array(response, evaluation, options, evaluated, drawn):
    cuts, tables = response
    figures = response_figures(tables, cuts, ResponseParameters(**options), evaluation.model_copy(update=evaluated))
    assert {name for name, figure in figures.items() if any("after cuts" in one for one in labels_of(figure))} == drawn
    if "sensitivity" in drawn:
        assert figures["sensitivity"].axes[0].get_ylim()[0] < 1.8e-12
    assert not any("no cuts" in label for figure in figures.values() for label in labels_of(figure))


@pytest.mark.parametrize(("factor", "within"), [(1.9, True), (0.6, True), (2.1, False), (0.4, False), (None, None)])
def test_published_sensitivity_is_judged(factor, within, response, parameters, evaluation, created):
    cuts, tables = response
    curve = tables["sensitivity"].copy()
    (at,) = np.flatnonzero((curve["reco_energy_low"] <= 10 * u.TeV) & (curve["reco_energy_high"] > 10 * u.TeV))
    if factor:
        curve["sensitivity"][at] = factor * 1.8e-12 * u.erg / u.cm**2 / u.s
    else:
        curve["drawn"][at] = False
    content, _ = page(cuts, {**tables, "sensitivity": curve}, parameters, evaluation, created)
    (table,) = next(one for one in content.sections if one.title == "Published by CTLearn").blocks
    assert table.header[4] == "Within a factor 2"
    verdicts = {row[0].text.partition(" [")[0]: row[4].text for row in table.rows}
    expected = {True: "yes", False: "no", None: "–"}[within]
    # where the energy of a published value is not told, there is nothing to judge
    assert verdicts == {"Sensitivity": expected, "Energy resolution": "–", "Angular resolution": "–"}
    said = {
        True: "At 10 TeV the sensitivity is within a factor 2 of the published one.",
        False: "At 10 TeV the sensitivity is not within a factor 2 of the published one",
        None: "of the Crab",
    }[within]
    assert said in content.summary
    assert ("factor 2" in content.summary) == (within is not None)
    assert "  " not in content.summary


def test_figures_after_cuts_are_listed_with_what_is_here(response, parameters, evaluation, created):
    cuts, tables = response

    def listed(options: ResponseParameters) -> dict[str, list[str]]:
        content, _ = page(cuts, tables, options, evaluation, created)
        found = [block for one in content.sections if one.title == "Published by CTLearn" for block in one.blocks]
        return {row[0].text: [cell.text for cell in row[1:4]] for table in found for row in table.rows}

    shown = listed(parameters)
    curve = tables["sensitivity"]
    (at,) = np.flatnonzero((curve["reco_energy_low"] <= 10 * u.TeV) & (curve["reco_energy_high"] > 10 * u.TeV))
    here = curve["sensitivity"][at]
    assert shown.pop(f"Sensitivity [{here.unit:unicode}]") == ["10 TeV", "1.80e−12", format_number(here.value)]
    directions = tables["direction"]["angular_resolution"][tables["direction"]["drawn"]].value
    bounds = f"{format_number(directions.min())} to {format_number(directions.max())}"
    assert shown["Angular resolution [°]"] == ["not told", "0.0720 to 0.0800", bounds]
    assert listed(parameters.model_copy(update={"observation_time": 5 * u.h})) == shown
    assert listed(ResponseParameters(level="telescope")) == {}


def test_resolutions_are_of_the_gammas_after_the_gammaness_cut(sample, events, parameters, evaluation):
    cuts = response_cuts(sample, parameters, evaluation)
    tables = response_tables(sample, events[1], cuts, parameters, evaluation)
    areas = tables["areas"][tables["areas"]["stage"] == "gammaness"]
    for name in ("energy", "direction"):
        np.testing.assert_array_equal(tables[name]["n"], areas["n"])
    assert 0 < areas["n"].sum() < len(sample.gammas)
