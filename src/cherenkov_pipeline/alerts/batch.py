"""Many sub-images judged, one after the other, without an inbox."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cherenkov_pipeline.alerts.bundle import Bundle
from cherenkov_pipeline.alerts.files import read_sub_images
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.service.intake import Rejection, rejecting, shown
from cherenkov_pipeline.alerts.service.outputs import now, safe_name
from cherenkov_pipeline.alerts.service.page import render_page
from cherenkov_pipeline.alerts.service.record import as_json, verdict_record
from cherenkov_pipeline.alerts.single import LARGEST_FILE, READERS, NotOneImageError, read_single
from cherenkov_pipeline.alerts.verdict import judge, percent
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path

DATA_SETS = (".h5", ".hdf5", ".npz")
"""Kinds of files that may also hold many sub-images."""


@dataclass(frozen=True)
class Result:
    """What became of one sub-image.

    Attributes
    ----------
    name : str
        The file, and in a data set the image.
    record : dict
        See `~cherenkov_pipeline.alerts.service.record.verdict_record`; empty if there is no verdict.
    problem : str
        Why there is none.
    """

    name: str
    record: dict[str, Any]
    problem: str = ""

    def as_line(self) -> str:
        """Write one JSON object."""
        return json.dumps(self.record or {"file": self.name, "problem": self.problem}, allow_nan=False)

    def as_text(self) -> str:
        """Write a line for people, and one more for each reason to be unsure."""
        if self.problem:
            return shown(f"{self.name}: no verdict: {self.problem}")
        confidence = self.record["confidence_pct"]
        text = f"{shown(self.name)}: {self.record['verdict_name']}"
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
    """Judge files: of one sub-image each, or data sets of many.

    Parameters
    ----------
    bundle : Bundle
    files : sequence of pathlib.Path
    output : pathlib.Path, optional
        Folder for a record and a page of each sub-image.

    Yields
    ------
    Result
        Of each sub-image, in their order.
    """
    for path in files:
        try:
            with rejecting():
                images, digest = _read(path)
                verdicts = judge(bundle, images)
        except (Rejection, OSError) as error:
            yield Result(str(path), {}, str(error))
            continue
        burst_ids = images.table["burst_id"] if "burst_id" in images.table.colnames else [""] * len(images)
        for row, verdict in enumerate(verdicts):
            name = str(path) if len(images) == 1 else f"{path}, {verdict.image_id}"
            origin = {"file": shown(path.name), "input_sha256": digest, "burst_id": str(burst_ids[row])}
            try:
                with rejecting():
                    record = verdict_record(verdict, bundle, origin | {"judged": now()})
                    contents = {".json": as_json(record).encode()}
                    if output is not None:
                        page = render_page(verdict, images[row : row + 1], bundle, record)
                        contents[".html"] = page.encode()
            except Rejection as rejection:
                yield Result(name, {}, rejection.reason)
                continue
            if output is not None:
                stem = f"{safe_name(verdict.image_id)}-{digest[:12]}"
                if len(images) > 1:  # whose names may differ in other signs alone
                    stem += f"-{row}"
                for suffix, content in contents.items():
                    with atomic_path(output / f"{stem}{suffix}") as part:
                        part.write_bytes(content)
            yield Result(name, record)


def _read(path: Path) -> tuple[SubImages, str]:
    """Sub-images of a file, and its SHA-256."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise NotOneImageError(f"The file of one sub-image has at most {LARGEST_FILE:,} bytes.")
        return read_single(path.read_bytes(), shown(path.name)), digest
    except UserError as error:
        if path.suffix.lower() not in DATA_SETS:
            raise
        try:
            return read_sub_images(path), digest
        except UserError as problem:
            raise (problem if isinstance(error, NotOneImageError) else error) from None
