"""The page of all reports: what each one says at its top, and where it is.

Reports are read, as far as the end of their heading, from the pages themselves: whatever run, version or copy they come
from, the page shows what the report shows.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from cherenkov_pipeline.performance.report.content import Cell, KeyNumber, ReportContent, Section, Table, Text
from cherenkov_pipeline.performance.report.tables import MISSING
from cherenkov_pipeline.performance.report.task import footer
from cherenkov_pipeline.tasks import TASKS

END_OF_HEADING = b"</header>"
END_OF_PAGE = b"</html>"
_BLOCK = 2**16
_VERSION = "%Y-%m-%dT%H.%M.%S.%fZ"
"""How Kedro names a version."""

_JUDGED = ("Model report", "DL2 report")
"""Kinds of reports with the same figures for each task."""
_OTHERS = {
    "Comparison": "Comparisons",
    "Robustness": "Robustness",
    "Instrument response": "Instrument response",
    "Reconstruction report": "Reconstructions",
}


@dataclass(frozen=True)
class Entry:
    """One report.

    Attributes
    ----------
    place : PurePosixPath
        Of the page, seen from the folder of all reports: ``energy/report.html/<version>/report.html``.
    written : datetime
    kind, title, data : str
        As the report's heading has them.
    key_numbers : tuple of KeyNumber
    """

    place: PurePosixPath
    written: datetime
    kind: str
    title: str
    data: str
    key_numbers: tuple[KeyNumber, ...]

    @property
    def name(self) -> str:
        """Name of what made the report: ``energy``, ``comparison_type``."""
        return self.place.parts[0]

    @property
    def task(self) -> str:
        """Task of a report on one method, else nothing."""
        kind, _, task = self.kind.partition(" · ")
        return task if kind in _JUDGED else ""


class _Heading(HTMLParser):
    """Texts of a report's heading, by the element or class that they stand in."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.found: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin the text of an element."""
        name = dict(attrs).get("class") or tag
        self._open.append(name)
        if name == "dt":  # a key number may have no note
            self.found.setdefault("small", []).append("")
        if name != "small" or "small" not in self.found:
            self.found.setdefault(name, []).append("")

    def handle_endtag(self, tag: str) -> None:
        """End it."""
        if self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """Take its text."""
        if self._open:
            self.found[self._open[-1]][-1] += data

    def first(self, name: str) -> str:
        """Text of the first such element, without line breaks; nothing where there is none."""
        return " ".join(next(iter(self.found.get(name, ())), "").split())


def read_entry(place: PurePosixPath, path: Path) -> Entry | None:
    """Read the heading of a report.

    Parameters
    ----------
    place : PurePosixPath
        See `Entry`.
    path : Path

    Returns
    -------
    Entry or None
        None for a page that is not complete, or no report.
    """
    try:
        heading = _heading(path)
    except OSError:
        return None
    start = heading.find("<header>")
    if start < 0:
        return None
    found = _Heading(heading[start:])
    numbers = [found.found.get(name, []) for name in ("dt", "dd", "small")]
    if len({len(texts) for texts in numbers}) > 1:
        return None
    return Entry(
        place,
        _time(place, path),
        found.first("kind"),
        found.first("h1"),
        found.first("data").removeprefix("Data: "),
        tuple(KeyNumber(*(" ".join(text.split()) for text in texts)) for texts in zip(*numbers, strict=True)),
    )


def _heading(path: Path) -> str:
    """Text of a page up to the end of its heading; nothing of one that is not complete."""
    with path.open("rb") as stream:
        text = b""
        while END_OF_HEADING not in text and (block := stream.read(_BLOCK)):
            text += block
        stream.seek(max(0, path.stat().st_size - 100))
        is_complete = stream.read().rstrip().endswith(END_OF_PAGE)
    heading, end, _ = text.partition(END_OF_HEADING)
    return heading.decode(errors="replace") if end and is_complete else ""


def _time(place: PurePosixPath, path: Path) -> datetime:
    try:
        return datetime.strptime(place.parent.name, _VERSION).replace(tzinfo=UTC)
    except ValueError:  # a version of another name, or none
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def index_page(reports: Mapping[str, Path], created: datetime) -> ReportContent:
    """Put the page of all reports together.

    The newest report of each model (of each name and title) stands in the table of its kind, earlier ones are folded
    below it.

    Parameters
    ----------
    reports : mapping of str to Path
        Pages by their place, seen from where this page will be.
    created : datetime
        With time zone.
    """
    read = {place: read_entry(PurePosixPath(place), path) for place, path in reports.items()}
    entries = sorted((entry for entry in read.values() if entry), key=lambda entry: entry.written, reverse=True)
    sections = [_section(title, list(group)) for title, group in _grouped(entries)]
    broken = [place for place, entry in read.items() if not entry]
    if broken:
        text = "These are no complete reports, perhaps of runs that were interrupted: " + ", ".join(sorted(broken))
        sections.append(Section("Incomplete", (Text(f"{text}."),)))
    return ReportContent(
        kind="All reports",
        title="Reports",
        summary=_summary(entries),
        sections=tuple(sections),
        footer=footer(created),
    )


def _summary(entries: list[Entry]) -> str:
    if not entries:
        return "There are no reports yet: kedro run makes some."
    newest = entries[0]
    what = "One report" if len(entries) == 1 else f"{len(entries)} reports"
    return f"{what}, the newest of {_date(newest)}: {newest.title} ({newest.kind})."


def _grouped(entries: list[Entry]) -> list[tuple[str, Iterable[Entry]]]:
    titles = [*(task.title for task in TASKS.values()), *_OTHERS.values()]

    def title(entry: Entry) -> str:
        if entry.task in TASKS:
            return TASKS[entry.task].title
        kind = entry.kind.partition(" · ")[0]
        return _OTHERS.get(kind, kind)

    def position(entry: Entry) -> tuple[int, str]:
        name = title(entry)
        return titles.index(name) if name in titles else len(titles), name

    return groupby(sorted(entries, key=position), key=title)


def _section(title: str, entries: list[Entry]) -> Section:
    newest: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        newest.setdefault((entry.name, entry.title), entry)
    shown = list(newest.values())
    earlier = [entry for entry in entries if entry not in shown]
    blocks = [_table(shown)]
    if earlier:
        blocks.append(_table(earlier, folded=f"Earlier versions ({len(earlier)})"))
    return Section(title, tuple(blocks))


def _table(entries: list[Entry], folded: str = "") -> Table:
    comparable = all(entry.task for entry in entries)
    labels = list(dict.fromkeys(number.label for entry in entries for number in entry.key_numbers))
    header = ("Report", *(labels if comparable else ["Main figures"]), "Written (UTC)", "Folder", "Data")
    rows = []
    for entry in entries:
        link = quote(str(entry.place))
        figures = _figures(entry, labels) if comparable else [Cell(_listed(entry.key_numbers) or MISSING)]
        written = Cell(_date(entry), entry.written.timestamp())
        ends = (written, Cell(entry.name), Cell(entry.data or MISSING))
        rows.append((Cell(entry.title, link=link), *figures, *ends))
    return Table(header, tuple(rows), folded=folded)


def _figures(entry: Entry, labels: list[str]) -> list[Cell]:
    found = {number.label: number for number in entry.key_numbers}
    return [
        Cell(found[label].value, _number(found[label].value), found[label].note) if label in found else Cell(MISSING)
        for label in labels
    ]


def _listed(numbers: Iterable[KeyNumber]) -> str:
    return "\n".join(f"{one.label}: {one.value}" + (f" ({one.note})" if one.note else "") for one in numbers)


def _number(text: str) -> float | None:
    """Give the number that a text begins with, as reports write them."""
    found = re.match(r"-?\d+(\.\d+)?(e-?\d+)?", text.replace("−", "-").replace(",", ""))
    return float(found[0]) if found else None


def _date(entry: Entry) -> str:
    return f"{entry.written:%Y-%m-%d %H:%M}"
