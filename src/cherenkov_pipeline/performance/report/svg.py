"""Figures as inline SVG that can stand side by side in one page."""

import io
import re

import matplotlib.figure

from cherenkov_pipeline.performance.plots.formats import write_figure
from cherenkov_pipeline.performance.report.content import Drawing

_IDENTIFIER = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'url\(#([^)]+)\)|href="#([^"]+)"')
_HEAD = re.compile(r'<svg [^>]*?viewBox="(\S+ \S+ (\S+) (\S+))"[^>]*>')


def inline_svg(drawing: Drawing, prefix: str) -> str:
    """Make an ``<svg>`` element for an HTML page.

    Parameters
    ----------
    drawing : Figure or str
        A figure, or the SVG that `performance.plots.formats.write_figure` wrote of it.
    prefix : str
        Put before every id, so that those of several figures do not collide.

    Returns
    -------
    str
        Without XML declaration, document type and name spaces, which HTML does not need; its size is the figure's, at
        96 pixels an inch.
    """
    text = drawing if isinstance(drawing, str) else _drawn(drawing)
    text = text[text.index("<svg") :].strip()
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    # only what is referred to needs an id
    referred = {first or second for first, second in _REFERENCE.findall(text)}
    text = _IDENTIFIER.sub(lambda match: f'id="{prefix}{match[1]}"' if match[1] in referred else "", text)
    text = _REFERENCE.sub(lambda m: f"url(#{prefix}{m[1]})" if m[1] else f'href="#{prefix}{m[2]}"', text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    return _HEAD.sub(_head, text, count=1)


def _drawn(figure: matplotlib.figure.Figure) -> str:
    stream = io.StringIO()
    write_figure(figure, stream, ".svg")
    return stream.getvalue()


def _head(match: re.Match) -> str:
    width, height = (round(float(points) * 96 / 72) for points in match.group(2, 3))
    return f'<svg width="{width}" height="{height}" viewBox="{match[1]}" role="img">'
