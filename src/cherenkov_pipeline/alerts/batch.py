"""Many files judged, one after the other, without an inbox."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cherenkov_pipeline.alerts.bundle import Bundle
from cherenkov_pipeline.alerts.service.outputs import safe_name
from cherenkov_pipeline.alerts.service.page import render_page
from cherenkov_pipeline.alerts.service.record import as_json, verdict_record
from cherenkov_pipeline.alerts.single import LARGEST_FILE, READERS, read_single
from cherenkov_pipeline.alerts.verdict import judge, percent
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path


@dataclass(frozen=True)
class Result:
    """What became of one file.

    Attributes
    ----------
    path : pathlib.Path
    record : dict
        See `~cherenkov_pipeline.alerts.service.record.verdict_record`; empty if there is no verdict.
    problem : str
        Why there is none.
    """

    path: Path
    record: dict[str, Any]
    problem: str = ""

    def as_line(self) -> str:
        """Write one JSON object."""
        return json.dumps(self.record or {"file": self.path.name, "problem": self.problem})

    def as_text(self) -> str:
        """Write a line for people, and one more for each reason to be unsure."""
        if self.problem:
            return f"{self.path}: no verdict: {self.problem}"
        confidence = self.record["confidence_pct"]
        text = f"{self.path}: {self.record['verdict_name']}"
        text += "" if confidence is None else f", {percent(confidence / 100)}"
        return "\n".join([text, *(f"  - {reason['sentence']}" for reason in self.record["unsure_reasons"])])


def find_files(path: Path) -> list[Path]:
    """Find the files to judge: the path itself, or all sub-images in the folder.

    Raises
    ------
    UserError
        If there are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"There is no file or folder {path}.")
    files = sorted(file for file in path.iterdir() if file.suffix.lower().removeprefix(".") in READERS)
    if not files:
        raise UserError(f"{path} holds no file with one of {', '.join('.' + known for known in READERS)}.")
    return files


def judge_files(bundle: Bundle, files: Sequence[Path], output: Path | None = None) -> Iterator[Result]:
    """Judge files, one sub-image each.

    Parameters
    ----------
    bundle : Bundle
    files : sequence of pathlib.Path
    output : pathlib.Path, optional
        Folder for a record and a page of each.

    Yields
    ------
    Result
        Of each file, in their order.
    """
    for path in files:
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise UserError(f"A sub-image's file has at most {LARGEST_FILE:,} bytes.")
            content = path.read_bytes()
            images = read_single(content, path.name)
            (verdict,) = judge(bundle, images)
        except (UserError, OSError) as error:
            yield Result(path, {}, str(error))
            continue
        source = {
            "file": path.name,
            "input_sha256": hashlib.sha256(content).hexdigest(),
            "burst_id": str(images.table["burst_id"][0]),
            "judged": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        record = verdict_record(verdict, bundle, source)
        if output is not None:
            stem = f"{safe_name(path.stem)}-{source['input_sha256'][:12]}"
            texts = {".json": as_json(record), ".html": render_page(verdict, images, bundle, record)}
            for suffix, text in texts.items():
                with atomic_path(output / f"{stem}{suffix}") as part:
                    part.write_text(text)
        yield Result(path, record)
