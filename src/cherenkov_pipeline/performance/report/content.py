"""What a report consists of; nothing here knows HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import matplotlib.figure

type Drawing = matplotlib.figure.Figure | str
"""A figure, or the SVG that it was saved as."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text, and a number to sort by if the text is one.

    Attributes
    ----------
    text : str
    sort : float or None
        Value behind the text; None sorts by the text.
    note : str
        What stands small below the text: an interval.
    link : str
        Relative address of a page that the text leads to, with its special characters quoted.
    """

    text: str
    sort: float | None = None
    note: str = ""
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption; its columns can be sorted by a click.

    Attributes
    ----------
    header : tuple of str
    rows : tuple of tuple of Cell
    caption : str
    in_summary : bool
        Whether the Markdown summary shows it too.
    folded : str
        Title under which the table is folded until it is asked for; open without one.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    in_summary: bool = False
    folded: str = ""

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds numbers."""
        return tuple(any(row[index].sort is not None for row in self.rows) for index in range(len(self.header)))


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption; ``wide`` figures take the whole width of the page."""

    drawing: Drawing
    title: str
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values, side by side."""

    entries: Mapping[str, str]


@dataclass(frozen=True)
class Details:
    """Plain text under a title, folded until it is asked for: a configuration, a model's summary."""

    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """Part of a report under a heading; figures that follow each other stand side by side where there is room."""

    title: str
    blocks: tuple[Table | Figure | Text | Facts | Details, ...]


@dataclass(frozen=True)
class KeyNumber:
    """One of the few numbers at the top of the report."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ReportContent:
    """A whole report.

    Attributes
    ----------
    kind : str
        What is reported: ``Model report``.
    title : str
    summary : str
        One or two sentences with the key numbers.
    key_numbers : tuple of KeyNumber
    sections : tuple of Section
    footer : str
        Line at the end: the version that made the report.
    data : str
        What it was made from: fingerprint of an event store, productions.
    """

    kind: str
    title: str
    summary: str
    sections: tuple[Section, ...]
    key_numbers: tuple[KeyNumber, ...] = field(default=())
    footer: str = ""
    data: str = ""
