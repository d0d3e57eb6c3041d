"""Figures as inline SVG that can stand side by side in one page."""

import io
import re

import matplotlib
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.plots.style import STYLE

_IDENTIFIER = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'url\(#([^)]+)\)|href="#([^"]+)"')

#: Text stays text: a tenth of the size of outlines, and it can be searched and copied.
_SVG_STYLE = {**STYLE, "svg.fonttype": "none", "svg.hashsalt": "report"}

#: None leaves a field out; with all of them matplotlib writes no metadata, and so no links.
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def inline_svg(figure: Figure, prefix: str) -> str:
    """Draw a figure as an ``<svg>`` element for an HTML page.

    Parameters
    ----------
    figure : Figure
    prefix : str
        Put before every id, so that those of several figures do not collide.

    Returns
    -------
    str
        Without XML declaration, document type, metadata and name spaces, which HTML does not need; its size is the
        figure's, at 96 pixels an inch.
    """
    stream = io.StringIO()
    with matplotlib.rc_context(_SVG_STYLE):
        figure.savefig(stream, format="svg", metadata=_NO_METADATA, dpi=150, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    # only what is referred to needs an id
    referred = {first or second for first, second in _REFERENCE.findall(text)}
    text = _IDENTIFIER.sub(lambda match: f'id="{prefix}{match[1]}"' if match[1] in referred else "", text)
    text = _REFERENCE.sub(lambda m: f"url(#{prefix}{m[1]})" if m[1] else f'href="#{prefix}{m[2]}"', text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    head = f'<svg width="{width}" height="{height}" viewBox="\\1" role="img">'
    return re.sub(r'^<svg [^>]*?viewBox="([^"]+)"[^>]*>', head, text, count=1)
