"""Reports say what is not known of DL2 files."""

import re

import pytest
from astropy.table import QTable
from tests.performance.test_comparison_report import candidate, costs_of

from cherenkov_pipeline.performance.candidates import Candidate
from cherenkov_pipeline.performance.comparison import compare, match_predictions
from cherenkov_pipeline.performance.contest import provenance_table
from cherenkov_pipeline.performance.energy import energy_tables
from cherenkov_pipeline.performance.qualities import QUALITIES
from cherenkov_pipeline.performance.report.comparison import comparison_figures, comparison_report
from cherenkov_pipeline.performance.report.content import Table
from cherenkov_pipeline.performance.report.energy import energy_result
from cherenkov_pipeline.performance.report.others import dl2_report
from cherenkov_pipeline.performance.report.render import render_markdown, render_report
from cherenkov_pipeline.reconstruction.others import Method

METHOD = Method(
    task="energy",
    level="telescope",
    prefix="CTLearnRegressor",
    paths=tuple(f"{number}.dl2.h5" for number in range(12)),
    file_fingerprints=tuple(f"f{number}" for number in range(12)),
)


def test_report_of_dl2_files_says_what_is_not_known(make_predictions, parameters, provenance, created):
    tables = energy_tables(make_predictions(100), parameters)
    result = energy_result(tables, {})
    page = render_report(content := dl2_report("CTLearn", METHOD, result, provenance, created))
    assert "Nothing is known about which events CTLearn learnt from" in content.summary
    assert "nothing is known about the cost of CTLearn" in page
    assert "no training or tuning saw them" not in page
    assert "9.dl2.h5 and 2 more" in page
    assert METHOD.fingerprint in page
    assert "Energy resolution" in render_markdown(content)


@pytest.mark.parametrize("with_model", [True, False])
def test_comparison_says_it_of_the_files_alone(
    with_model, tmp_path, make_predictions, parameters, history, provenance, created
):
    methods = [label for label in ("CTLearn", "forest", "model") if label != "model" or with_model]
    predictions = {label: make_predictions(80, width=0.2 + 0.1 * n) for n, label in enumerate(methods[::-1])}
    candidates = [
        candidate(label) if label == "model" else Candidate.from_dl2(label, "some.dl2.h5", METHOD)
        for label in predictions
    ]
    costs = costs_of(["model"] if with_model else [])
    matched = match_predictions(predictions)
    comparison = compare(matched, QUALITIES["energy"], parameters)
    figures = comparison_figures(comparison, costs, {"model": history} if with_model else {})
    assert set(figures) == ({"ranking", "cost", "loss"} if with_model else {"ranking"})
    dl2 = provenance_table({label: provenance for label in methods if label != "model"})
    dl2.write(tmp_path / "provenance.ecsv")
    dl2 = QTable.read(tmp_path / "provenance.ecsv")
    content = comparison_report("energy", candidates, matched, comparison, costs, figures, provenance, dl2, created)
    page = render_report(content)
    listed = "forest and CTLearn"
    assert f"Nothing is known about which events {listed} learnt from" in page
    assert f"nothing is known about the cost of {listed}" in page
    assert ("no training or tuning saw them" in page) == with_model
    assert ("Training" in [section.title for section in content.sections]) == with_model
    assert content.sections[-1].title == "Provenance"
    tables = [block for block in content.sections[-1].blocks if isinstance(block, Table)]
    assert len(tables) == 1 + with_model
    assert [row[0].text for row in tables[-1].rows] == ["CTLearn", "forest"]
    assert "1,000" in [cell.text for cell in tables[-1].rows[0]]
    assert "Left out" in page
    assert not re.search(r"\bnan\b", page.lower())
