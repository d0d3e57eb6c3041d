"""The page of all reports, made of pages as they lie in a folder."""

import os
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from cherenkov_pipeline.datasets.page import PageDataset
from cherenkov_pipeline.datasets.saved_reports import SavedReportsDataset
from cherenkov_pipeline.performance.report.content import KeyNumber, ReportContent, Section, Text
from cherenkov_pipeline.performance.report.index import index_page
from cherenkov_pipeline.performance.report.render import render_report
from cherenkov_pipeline.pipelines.report_index.nodes import write_index

FIRST, SECOND, THIRD = (f"2026-11-{day}T10.20.30.456Z" for day in (19, 20, 21))
HOSTILE = """</p><script>alert("x")</script>&'"""


class Links(HTMLParser):
    """Addresses of a page, in the order of their appearance, and how deep in folded parts they are."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.folded = 0
        self.seen: list[str] = []
        self.hidden: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.folded += tag == "details"
        address = dict(attrs).get("href", "#")
        if not address.startswith("#"):
            (self.hidden if self.folded else self.seen).append(address)

    def handle_endtag(self, tag):
        self.folded -= tag == "details"


def page(kind: str = "Model report · energy", title: str = "set_network", resolution: float = 0.2, **more: str) -> str:
    numbers = (
        KeyNumber("Energy resolution", f"{resolution:.3f}", f"{resolution - 0.01:.3f} to {resolution + 0.01:.3f}"),
        KeyNumber("Median bias", "−0.012"),
    )
    section = Section("Results", (Text("long"),) * 10)
    return render_report(ReportContent(kind, title, "A summary.", (section,), numbers, **{"data": "46abafd6"} | more))


def write(folder: Path, name: str, version: str, text: str) -> Path:
    path = folder / name / "report.html" / version / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def index(folder: Path) -> str:
    return write_index(SavedReportsDataset(filepath=str(folder)).load())


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path, "energy", FIRST, page(resolution=0.3))
    write(tmp_path, "energy", SECOND, page(resolution=0.2))
    write(tmp_path, "energy", THIRD, page(title="resnet"))
    write(tmp_path, "dl2_energy", FIRST, page("DL2 report · energy", "CTLearn", 0.25))
    write(tmp_path, "type", FIRST, page("Model report · type"))
    write(tmp_path, "comparison_energy", THIRD, page("Comparison · energy", "Energy: 2 models"))
    write(tmp_path, "reconstruction", FIRST, page("Reconstruction report", "Reconstructed events"))
    return tmp_path


def test_every_link_leads_to_a_report_and_none_is_lost(folder):
    links = Links(index(folder))
    found = {folder / unquote(address) for address in (*links.seen, *links.hidden)}
    assert found == set(folder.rglob("*/report.html/*/report.html"))
    assert len(links.seen) + len(links.hidden) == len(found)
    assert all(path.is_file() for path in found)


def test_newest_of_each_model_is_shown_and_earlier_ones_are_folded(folder):
    links = Links(index(folder))
    assert f"energy/report.html/{SECOND}/report.html" in links.seen
    assert f"energy/report.html/{THIRD}/report.html" in links.seen  # another model
    assert links.hidden == [f"energy/report.html/{FIRST}/report.html"]


def test_tables_hold_what_the_reports_say_and_sort_by_number(folder):
    content = index_page(SavedReportsDataset(filepath=str(folder)).load(), datetime.now(UTC))
    assert [section.title for section in content.sections] == [
        "Energy",
        "Particle type",
        "Comparisons",
        "Reconstructions",
    ]
    (energy, _) = content.sections[0].blocks
    assert energy.header == ("Report", "Energy resolution", "Median bias", "Written (UTC)", "Folder", "Data")
    row = next(row for row in energy.rows if row[0].text == "CTLearn")
    assert [cell.text for cell in row] == ["CTLearn", "0.250", "−0.012", "2026-11-19 10:20", "dl2_energy", "46abafd6"]
    assert row[1].note == "0.240 to 0.260"
    assert (row[1].sort, row[2].sort) == (0.25, -0.012)
    assert row[3].sort == datetime(2026, 11, 19, 10, 20, 30, 456000, tzinfo=UTC).timestamp()
    (comparisons,) = content.sections[2].blocks
    assert "Energy resolution: 0.200 (0.190 to 0.210)" in comparisons.rows[0][1].text
    assert "7 reports" in content.summary


def test_page_needs_nothing_from_outside(folder):
    text = index(folder)
    assert "http" not in text
    assert not {"link", "img", "iframe"} & Links(text).tags


@pytest.mark.parametrize("left", [0, 300, 5000, -10])
def test_interrupted_runs_are_told_and_break_nothing(folder, left):
    whole = page(title="cut off")
    broken = write(folder, "energy", "2026-11-22T10.20.30.456Z", whole[:left])
    (folder / "type" / "report.html" / "2026-11-23T10.20.30.456Z").mkdir()
    (folder / "empty").mkdir()
    (folder / "figures" / "roc.png").parent.mkdir()
    text = index(folder)
    links = Links(text)
    address = broken.relative_to(folder).as_posix()
    assert address not in (*links.seen, *links.hidden)
    assert address in text
    assert len(links.seen) == 6


def test_pages_of_others_are_no_reports(folder):
    (folder / "notes").mkdir()
    (folder / "notes" / "report.html").write_text("<html><body>mine</body></html>")
    assert "notes/report.html" not in Links(index(folder)).seen


@pytest.mark.parametrize("heading", ["<dl><dt>One<dt>Two<dd>1</dl>", "<small>note</small>", "<dd>1</dd>"])
def test_headings_of_others_are_counted_as_incomplete(folder, heading):
    write(folder, "theirs", FIRST, f"<html><body><header><h1>Mine</h1>{heading}</header></body></html>")
    links = Links(text := index(folder))
    assert "theirs/" not in "".join((*links.seen, *links.hidden))
    assert f"theirs/report.html/{FIRST}/report.html" in text


def test_unversioned_reports_and_odd_names_are_found(tmp_path):
    odd = tmp_path / "my #1 50% <run>" / "report.html"
    odd.parent.mkdir()
    odd.write_text(page(title=HOSTILE, data=HOSTILE), encoding="utf-8")
    os.utime(odd, (1.7e9, 1.7e9))
    text = index(tmp_path)
    (address,) = Links(text).seen
    assert tmp_path / unquote(address) == odd
    assert text.count("<script>") == 1
    assert "2023-11-14" in text


def test_reports_made_before_are_listed(tmp_path):
    write(tmp_path, "energy", FIRST, page().replace('<p class="data">Data: 46abafd6</p>\n', ""))
    content = index_page(SavedReportsDataset(filepath=str(tmp_path)).load(), datetime.now(UTC))
    assert content.sections[0].blocks[0].rows[0][-1].text == "–"


def test_without_reports_the_page_says_so(tmp_path):
    text = index(tmp_path / "nowhere")
    assert "There are no reports yet" in text
    assert not Links(text).seen


def test_page_is_replaced_in_one_step(tmp_path, monkeypatch):
    dataset = PageDataset(filepath=str(tmp_path / "08_reporting" / "index.html"))
    assert not dataset.exists()
    dataset.save("first")

    def cut_off(*arguments, **options):
        raise OSError("gone")

    monkeypatch.setattr(Path, "write_text", cut_off)
    with pytest.raises(Exception, match="gone"):
        dataset.save("second")
    assert dataset.load() == "first"
    assert [path.name for path in (tmp_path / "08_reporting").iterdir()] == ["index.html"]
