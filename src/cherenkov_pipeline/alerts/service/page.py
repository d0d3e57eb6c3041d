"""The page of one alert: what the Burst Advocate needs in ten seconds, and below it why."""

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from cherenkov_pipeline.alerts.bundle import Bundle
from cherenkov_pipeline.alerts.images import CAUSES, SubImages
from cherenkov_pipeline.alerts.service.intake import shown
from cherenkov_pipeline.alerts.service.notices import Notice
from cherenkov_pipeline.alerts.service.pictures import (
    CODE_COLORS,
    DIVERGING,
    SEQUENTIAL,
    codes_png,
    diverging_png,
    sequential_png,
)
from cherenkov_pipeline.alerts.verdict import NAMES, Verdict, percent

NOTICE_BEGIN, NOTICE_END = "<!-- notice -->", "<!-- end of notice -->"

LOWEST_SNR = -3.0
"""Signal to noise that the darkest color stands for."""

STRONG = 2.0
"""Of the map, in units of the logit: such a value everywhere makes a probability of 88 %."""


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["whole"] = lambda text: text.replace(" %", "\u00a0%")
    environment.filters["percent"] = lambda share: percent(share).replace(" ", "\u00a0")
    return environment


def render_page(
    verdict: Verdict,
    images: SubImages,
    bundle: Bundle,
    record: Mapping[str, Any],
    notice: Notice | None = None,
    output: Path | None = None,
) -> str:
    """Render the page of one alert: it needs nothing else, neither network nor files beside it.

    Parameters
    ----------
    verdict : Verdict
    images : SubImages
        The one image.
    bundle : Bundle
    record : mapping
        From `record.verdict_record`.
    notice : Notice, optional
    output : pathlib.Path, optional
        Folder of the audit log in which the verdict stands, and the advocate's own can be recorded.
    """
    high = max(verdict.image_snr, 5.0)
    known = bundle.neighbours
    neighbours = [
        {
            "label": NAMES["real" if near.is_real else "false"],
            "is_real": near.is_real,
            "cause": near.cause.replace("_", " "),
            "png": sequential_png(known.thumbnails[near.row], LOWEST_SNR, _peak(known.thumbnails[near.row])),
        }
        for near in verdict.neighbours
    ]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            verdict=verdict,
            name=NAMES[verdict.verdict],
            leaning=NAMES[verdict.leaning],
            names=NAMES,
            causes=CAUSES,
            true_causes=[cause.replace("_", " ") for cause, is_real in bundle.card.label_map.items() if is_real],
            output=output and shlex.quote(shown(str(output.resolve()))),
            record=record,
            card=bundle.card,
            threshold=bundle.card.thresholds[verdict.leaning],
            n_real=sum(near["is_real"] for near in neighbours),
            pictures={
                "image": sequential_png(images.snr[0], LOWEST_SNR, high),
                "cam": diverging_png(np.where(images.codes[0] > 0, verdict.cam, np.nan), STRONG),
                "codes": codes_png(images.codes[0]),
            },
            scale={"low": LOWEST_SNR, "high": high, "colors": ", ".join(SEQUENTIAL), "cam": ", ".join(DIVERGING)},
            codes=[CODE_COLORS[code] for code in sorted(CODE_COLORS)],
            neighbours=neighbours,
            notice=Markup(_render_notice(notice, record["burst_id"])),
        )
    )


def render_index(latest: Sequence[Mapping[str, Any]]) -> str:
    """Render the list of verdicts and rejections: lines of the audit log, the latest first. It reloads itself."""
    return _environment().get_template("index.html.j2").render(latest=latest, names=NAMES)


def with_notice(page: str, notice: Notice) -> str:
    """Put the notice into a page that was made before it came."""
    return _replaced(page, _render_notice(notice))


def page_without_notice(page: str) -> str:
    """Give all of a page but what it tells of the notice."""
    return _replaced(page, "")


def _replaced(page: str, part: str) -> str:
    pattern = re.escape(NOTICE_BEGIN) + ".*?" + re.escape(NOTICE_END)
    return re.sub(pattern, lambda _: part, page, count=1, flags=re.DOTALL)


def _render_notice(notice: Notice | None, burst_id: str = "") -> str:
    """Render the part of the page that tells of the notice, between two marks."""
    text = _environment().get_template("notice.html.j2").render(notice=notice, burst_id=burst_id)
    return f"{NOTICE_BEGIN}{text}{NOTICE_END}"


def _peak(image: np.ndarray) -> float:
    return float(max(np.nanmax(image, initial=0), 5.0))
