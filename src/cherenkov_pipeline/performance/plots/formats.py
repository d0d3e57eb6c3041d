"""Figures as files: PNG to look at, PDF to print, SVG to put into a page."""

from pathlib import Path
from typing import IO

import matplotlib
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.plots.style import STYLE

FORMATS = (".svg", ".pdf", ".png")
"""Suffixes, in the order in which a figure is drawn; the first one decides its layout."""

_STYLE = {
    **STYLE,
    "pdf.fonttype": 42,  # TrueType: journals refuse matplotlib's default, Type 3
    "svg.fonttype": "none",  # text stays text: a tenth of the size of outlines, and it can be searched and copied
    "svg.hashsalt": "figure",
}

# None leaves a field out, times and versions among them: the same figure makes the same file
_OPTIONS = {
    ".svg": {"metadata": dict.fromkeys(("Creator", "Date", "Format", "Type")), "transparent": True},
    ".pdf": {"metadata": dict.fromkeys(("CreationDate", "Creator", "Producer"))},
    ".png": {"metadata": {"Software": None}},
}


def write_figure(figure: Figure, target: Path | IO, suffix: str) -> None:
    """Write a figure in one of the `FORMATS`, in the shared style.

    Parameters
    ----------
    figure : Figure
    target : Path or file
    suffix : str
    """
    with matplotlib.rc_context(_STYLE):
        figure.savefig(target, format=suffix.removeprefix("."), dpi=150, **_OPTIONS[suffix])
