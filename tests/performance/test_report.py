import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.energy import energy_tables
from cherenkov_pipeline.performance.plots.architecture import architecture
from cherenkov_pipeline.performance.plots.energy import migration_matrix
from cherenkov_pipeline.performance.plots.history import loss_curves
from cherenkov_pipeline.performance.report.content import Cell, Facts, ReportContent, Section, Table, Text
from cherenkov_pipeline.performance.report.energy import energy_figures, energy_result
from cherenkov_pipeline.performance.report.reconstruction import reconstruction_report
from cherenkov_pipeline.performance.report.render import render_markdown, render_report
from cherenkov_pipeline.performance.report.svg import inline_svg
from cherenkov_pipeline.performance.report.tables import cell, format_estimate, format_number, table_of
from cherenkov_pipeline.performance.report.task import RunCost, RunFacts, provenance_section, task_report

HOSTILE = """</svg></title><script>alert("x")</script>&|'"""
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "col"}


class Page(HTMLParser):
    """Parser that checks the nesting and collects what a page consists of."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        assert len({name for name, _ in attrs}) == len(attrs), f"attribute twice in {tag}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"{tag} was never opened"
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open[-1:] == ["script"] else self.words).append(data.strip())

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def make_content(make_predictions, parameters, history, layers, provenance, created):
    def make(model: str = "single_tel", n: int = 400) -> ReportContent:
        tables = energy_tables(make_predictions(n), parameters)
        figures = energy_figures(tables, model, parameters.published_curve)
        figures |= {"loss": loss_curves({model: history}), "architecture": architecture(layers)}
        facts = RunFacts(
            task="energy",
            model=model,
            created=created,
            planned_epochs=30,
            effective_epochs=8,
            batch_size=64,
            training_events=2800,
            validation_events=600,
            test_events=n,
            data_fingerprint="a81e55c90b7712fe",
            git_revision="7b2e556",
            mlflow_run="5f0c",
            configuration={"model": {"name": model, "filters": [32, 64]}},
        )
        cost = RunCost(parameters=113_256, layers=19, inference_ms_per_event=1.385, device="two cores")
        result = energy_result(tables, figures)
        return task_report(facts, cost, result, figures, layers.to_string(), provenance)

    return make


@pytest.fixture(scope="module")
def content(make_content) -> ReportContent:
    return make_content()


@pytest.fixture(scope="module")
def text(content) -> str:
    return render_report(content)


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def test_report_is_one_well_formed_page(text, page):
    assert len(text) < 5_000_000
    assert page.tags.count("svg") == page.tags.count("figure") == 10
    words = ("single_tel", "8 of 30 planned", "2026-01-02 03:04 UTC", "a81e55c90b7712fe", "113,256", "1.39")
    for word in (*words, "/#/runs/5f0c"):
        assert any(word in data for data in page.words), word


def test_report_needs_nothing_from_outside(text, page):
    assert "http:" not in text
    assert "https:" not in text
    assert not {"link", "iframe", "object", "embed", "base"} & set(page.tags)
    for name in ("src", "href", "action", "data", "poster", "srcset"):
        assert all(value.startswith(("#", "data:image/")) for value in page.values(name)), name
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert "@import" not in text


def test_ids_are_unique_and_every_reference_has_its_target(text, page):
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    targets = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)
    assert len(targets) > 20
    assert {first or second for first, second in targets} <= set(ids)


def test_hostile_names_are_text(make_content):
    content = make_content(HOSTILE, n=30)
    sections = tuple(section for section in content.sections if section.title != "Predicted errors")
    page = Page(render_report(replace(content, sections=sections)))
    assert page.tags.count("script") == 1
    assert "alert" not in "".join(page.scripts)
    assert HOSTILE in page.words


def test_paper_is_not_taken_for_a_phone(text):
    """A sheet of A4 is narrower than a tablet: what phones scroll to would be cut off on it."""
    assert re.findall(r"@media ([^{]*max-width[^{]*) {", text) == ["screen and (max-width: 760px)"]


def test_tables_can_be_sorted(page):
    assert page.values("class").count("sortable") == page.tags.count("table") >= 5
    assert page.tags.count("button") == page.tags.count("th")
    assert "aria-sort" in page.scripts[0]
    keys = [float(value) for value in page.values("data-sort")]
    assert np.all(np.isfinite(keys))


def test_report_without_events_says_so(make_content):
    content = make_content(n=0)
    assert "nothing to evaluate" in content.summary
    Page(render_report(content))


def test_report_says_that_its_provenance_is_not_at_hand():
    (block,) = provenance_section(None).blocks
    assert "load-versions=processing_provenance" in block.text


def test_tables_read_back_from_files_give_the_same_report(make_predictions, parameters):
    tables = energy_tables(make_predictions(300), parameters)
    read = {}
    for name, table in tables.items():
        stream = io.StringIO()
        table.write(stream, format="ascii.ecsv")
        read[name] = QTable.read(stream.getvalue(), format="ascii.ecsv")
    first, second = (energy_result(t, energy_figures(t, "m", None)) for t in (tables, read))
    assert first.summary == second.summary
    assert first.key_numbers == second.key_numbers
    for before, after in zip(first.sections, second.sections, strict=True):
        assert [b for b in before.blocks if isinstance(b, Table)] == [b for b in after.blocks if isinstance(b, Table)]


def test_markdown_summary_shows_the_numbers_and_escapes(make_content):
    content = replace(make_content(n=30), title="a|b<i>")
    text = render_markdown(content)
    assert text.startswith("# a\\|b\\<i\\>\n")
    assert content.key_numbers[0].value in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert any("RMSLE" in row for row in rows)
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) in (4, 5), row


def test_figures_of_one_page_do_not_collide_and_are_reproducible(make_predictions, parameters):
    table = energy_tables(make_predictions(200), parameters)["migration"]
    first, again, other = (inline_svg(migration_matrix(table), prefix) for prefix in ("a-", "a-", "b-"))
    assert first == again
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert first.replace("a-", "b-") == other


def reconstructed(events: QTable, provenance, created) -> ReportContent:
    return reconstruction_report(events, {"Input": "gamma_9ev.simtel.gz"}, provenance, Figure(), created)


def test_reconstructed_events_are_listed_with_their_reasons(make_predictions, provenance, created):
    events = make_predictions(9)
    events["reason"] = ["no pixel survives the cleaning" if i == 4 else "" for i in range(9)]
    events["is_valid"][4] = False
    events["reco_energy"][4] = np.nan
    events["reco_energy_uncert"][4] = np.nan
    content = reconstructed(events, provenance, created)
    assert "8 of 9 predictions are valid" in content.summary
    page = Page(render_report(content))
    assert page.tags.count("svg") == 1
    assert "no: no pixel survives the cleaning" in page.words
    assert page.words.count("yes") == 8
    assert "nan" not in page.words


def test_only_gammas_are_judged(make_predictions, provenance, created):
    """Energies and directions of protons have no meaning: they are listed without an error."""
    events = make_predictions(9)
    events["true_shower_primary_id"][[2, 5]] = 101
    events["reco_energy"][[2, 5]] *= 100
    content = reconstructed(events, provenance, created)
    gammas = events[events["true_shower_primary_id"] == 0]
    error = np.median(np.abs(gammas["reco_energy"] / gammas["true_energy"] - 1))
    assert f"of the 7 gammas with a known truth is {error:.2f}" in content.summary


def test_events_without_truth_need_no_figure(make_predictions, provenance, created):
    events = make_predictions(700)
    events.remove_column("true_energy")
    content = reconstructed(events, provenance, created)
    page = Page(render_report(content))
    assert "svg" not in page.tags
    assert page.tags.count("tr") == 2 + 500 + len(provenance)
    assert any("first 500 of 700" in word for word in page.words)
    Page(render_report(reconstructed(make_predictions(0), provenance, created)))


def test_events_without_telescopes_or_energies_are_listed(make_predictions, make_events, provenance, created):
    """Predictions of stereo models, and of tasks without the energy."""
    events = make_predictions(5)
    events.remove_columns(["tel_id", "hillas_intensity"])
    page = Page(render_report(reconstructed(events, provenance, created)))
    assert "svg" in page.tags
    assert "Tel." not in page.words
    assert {"Event", "E_reco [TeV]"} <= set(page.words)
    page = Page(render_report(reconstructed(make_events(6), provenance, created)))
    assert "svg" not in page.tags
    assert "E_reco [TeV]" not in page.words
    assert "Gammaness" in page.words
    assert page.words.count("yes") == 6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0, "0"),
        (12345, "12,345"),
        (0.99999, "1.00"),
        (0.2345678, "0.235"),
        (-12.3456, "−12.3"),
        (12345.6, "12,346"),
        (1.5e-7, "1.50e−07"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
    ],
)
def test_numbers_are_written_with_three_digits(value, text):
    assert format_number(value) == text


def test_digits_follow_the_interval():
    assert format_estimate(0.23456, 0.2281, 0.2412) == ("0.235", "0.228 to 0.241")
    assert format_estimate(12.3456, 11.1, 13.9) == ("12.3", "11.1 to 13.9")
    assert format_estimate(0.5, np.nan, np.nan) == ("0.500", "")
    assert format_estimate(float("nan"), np.nan, np.nan) == ("–", "")
    assert format_estimate(51.23, 20.12, np.inf) == ("51.2", "20.1 to ∞")
    assert format_estimate(np.inf, 20.12, np.inf) == ("∞", "20.1 to ∞")
    assert format_estimate(np.inf, np.inf, np.inf) == ("∞", "")


def test_any_table_becomes_a_table(provenance):
    table = table_of(QTable({"energy": [1.5, np.nan] * u.TeV, "fine": [True, False]}))
    assert table.header == ("energy [TeV]", "fine")
    assert table.rows == ((Cell("1.50", 1.5), Cell("yes", 1.0)), (Cell("–"), Cell("no", 0.0)))
    assert table_of(provenance).rows[0][3] == Cell("1,000", 1000.0)
    assert table_of(provenance[:0]).rows == ()
    assert cell(None).text == "–"


def test_notes_stand_below_numbers():
    table = Table(("x",), ((Cell("1", 1.0, "0 to 2"),),), in_summary=True)
    content = ReportContent("Test", "Test", "Summary.", (Section("Part", (table, Text("text"), Facts({"a": "b"}))),))
    assert "0 to 2" in Page(render_report(content)).words
    assert "| 1 (0 to 2) |" in render_markdown(content)
    assert "0 to 2" not in render_markdown(replace(content, sections=()))
