"""A report's content as one HTML page or as a Markdown summary."""

import re
from functools import cache
from itertools import count, groupby

import jinja2
from markupsafe import Markup

from cherenkov_pipeline.performance.report.content import Cell, Facts, Figure, ReportContent, Table, Text
from cherenkov_pipeline.performance.report.svg import inline_svg


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def render_report(content: ReportContent) -> str:
    """Render a report as one HTML page that needs nothing else: no network, no files beside it.

    Parameters
    ----------
    content : ReportContent
        Its texts are escaped, whatever they hold.

    Returns
    -------
    str
    """
    numbers = count(1)

    def svg(figure: Figure) -> Markup:
        return Markup(inline_svg(figure.drawing, f"f{next(numbers)}-"))  # matplotlib escapes the texts

    return _template().render(content=content, svg=svg, grouped=_grouped)


def _kind(block: object) -> str:
    return type(block).__name__


def _grouped(blocks: tuple) -> list[tuple[str, list]]:
    """Blocks in runs of one kind, so that neighbouring figures share a grid."""
    return [(kind, list(run)) for kind, run in groupby(blocks, key=_kind)]


def render_markdown(content: ReportContent) -> str:
    """Render the summary of a report as Markdown: sentences, key numbers, facts and the tables marked for it.

    Parameters
    ----------
    content : ReportContent

    Returns
    -------
    str
        GitHub-flavoured Markdown with a newline at its end.
    """
    lines = [f"# {_escape(content.title)}", "", _escape(content.summary), ""]
    lines += [f"- {_escape(f'{n.label}: {n.value}' + (f' ({n.note})' if n.note else ''))}" for n in content.key_numbers]
    for section in content.sections:
        blocks = [block for block in section.blocks if isinstance(block, Facts | Text) or _is_summarised(block)]
        if blocks:
            lines += ["", f"## {_escape(section.title)}", ""]
            lines += [line for block in blocks for line in _markdown(block)]
    return "\n".join(lines).rstrip() + "\n"


def _is_summarised(block: object) -> bool:
    return isinstance(block, Table) and block.in_summary


def _markdown(block: Facts | Text | Table) -> list[str]:
    match block:
        case Facts():
            return [*(f"- {_escape(name)}: {_escape(value)}" for name, value in block.entries.items()), ""]
        case Text():
            return [_escape(block.text), ""]
    rows = [block.header, ["---"] * len(block.header), *([_cell(cell) for cell in row] for row in block.rows)]
    lines = ["| " + " | ".join(_escape(text) for text in row) + " |" for row in rows]
    return [*lines, *(["", _escape(block.caption)] if block.caption else []), ""]


def _cell(cell: Cell) -> str:
    return f"{cell.text} ({cell.note})" if cell.note else cell.text


def _escape(text: str) -> str:
    """Escape what Markdown or HTML in it would take for markup."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", flat) if flat != "---" else flat
