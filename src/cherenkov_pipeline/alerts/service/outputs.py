"""The folder that the service writes to.

::

    verdicts/NAME.json, NAME.html   one pair a sub-image
    judged/                         the files that were judged, and notices
    rejected/                       the others, each with its .reason.json
    notices/                        what was read of each burst's notice
    audit/audit.jsonl               the audit log
    index.html                      the latest verdicts
"""

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cherenkov_pipeline.alerts.service.audit import AuditLog
from cherenkov_pipeline.alerts.service.intake import Drop
from cherenkov_pipeline.alerts.service.notices import Notice
from cherenkov_pipeline.alerts.service.page import page_without_notice, render_index, with_notice
from cherenkov_pipeline.alerts.service.record import as_json, notice_part, without_notice
from cherenkov_pipeline.files import PART, atomic_path, sync, sync_folder, write_durably

VERDICTS, JUDGED, REJECTED, NOTICES, AUDIT = "verdicts", "judged", "rejected", "notices", "audit"
FOLDERS = (VERDICTS, JUDGED, REJECTED, NOTICES, AUDIT)
LOG = f"{AUDIT}/audit.jsonl"
INDEX = "index.html"

_FILE = ("file", "input_sha256", "record", "record_sha256", "drop", "kept")
CONTENT = {
    "verdict": (*_FILE, "bundle_sha256", "burst_id", "verdict", "confidence_pct", "image_snr", "page", "page_sha256"),
    "rejected": (*_FILE, "code", "reason"),
    "notice": (*_FILE, "burst_id"),
    "notice_joined": ("notice_sha256", "verdict", "record", "record_sha256", "page", "page_sha256"),
    "confirmed": ("input_sha256", "burst_id", "verdict", "own_verdict", "cause", "by", "note"),
}
"""What the lines of the audit log hold at least: texts, but for `_OTHERS`."""

_NUMBER = int | float | None
_OTHERS = {"input_sha256": str | None, "confidence_pct": _NUMBER, "image_snr": _NUMBER}


class Outputs:
    """Where verdicts, rejections and notices are written.

    Parameters
    ----------
    folder : pathlib.Path
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = audit_log(folder)

    def make_folders(self) -> None:
        """Make all folders, and remove what a killed service left unfinished."""
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            if name != AUDIT:  # which others write to as well
                for leftover in (self.folder / name).glob(f"{PART}*"):
                    leftover.unlink(missing_ok=True)

    def write(self, place: str, text: str) -> str:
        """Write a file at a place in the folder, whole or not at all; return the SHA-256 of its content.

        The disk has it then: the line of the log that names it comes after it.
        """
        content = text.encode()
        write_durably({self.folder / place: content})
        return sha256(content)

    def write_verdict(self, stem: str, record: str, page: str) -> dict[str, str]:
        """Write record and page of a verdict in the same way; return their places and hashes, for the log."""
        places = {"record": f"{VERDICTS}/{stem}.json", "page": f"{VERDICTS}/{stem}.html"}
        contents = {"record": record.encode(), "page": page.encode()}
        write_durably({self.folder / places[name]: content for name, content in contents.items()})
        return places | {f"{name}_sha256": sha256(content) for name, content in contents.items()}

    def write_index(self, latest: Sequence[Mapping[str, Any]]) -> None:
        """List verdicts and rejections, the latest first, in ``index.html``."""
        with atomic_path(self.folder / INDEX) as part:
            part.write_text(render_index(latest), encoding="utf-8")

    def free_place(self, folder: str, name: str) -> str:
        """Place in a folder where nothing lies, for a file of about this name."""
        return f"{folder}/{_free(self.folder / folder / name).name}"

    def take(self, drop: Drop, place: str, content: bytes | None = None) -> None:
        """Move a file, or whatever it is, to a place; what has come under its name since stays in the inbox.

        Then the ``content`` that was read of it is written to the place.
        """
        target = self.folder / place
        if not self._moved(drop, target) and content is not None:
            write_durably({target: content})

    @staticmethod
    def _moved(drop: Drop, target: Path) -> bool:
        """Move a file; False if it lies in the inbox no more."""
        if not drop.lies_at(drop.path):
            return False
        try:
            drop.path.rename(target)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _take_across(drop, target)
            return True
        if drop.lies_at(target):
            return True
        _put_back(target, drop.path)  # another one has come in this very moment: nobody has seen it
        return False

    def notice(self, burst_id: str, digest: str | None) -> Notice | None:
        """Read the notice of a burst, if one has come and has this SHA-256 still."""
        try:
            content = (self.folder / notice_place(burst_id)).read_bytes()
            return Notice(**json.loads(content)) if sha256(content) == digest else None
        except (FileNotFoundError, TypeError):  # or is of another version of the program
            return None

    def join_notice(self, notice: Notice, stem: str, core: str) -> dict[str, str]:
        """Put a notice into record and page of a verdict that was given before it came; see `write_verdict`.

        Parameters
        ----------
        notice : Notice
        stem : str
            Of the verdict's files.
        core : str
            Their `core_sha256` when they were first written.

        Raises
        ------
        ValueError
            If anything but the notice in them was changed since.
        """
        folder = self.folder / VERDICTS
        record = json.loads((folder / f"{stem}.json").read_bytes())
        page = (folder / f"{stem}.html").read_bytes().decode()
        if core_sha256(record, page) != core:
            raise ValueError(f"the verdict {stem} was changed")
        record = without_notice(record) | notice_part(notice)
        return self.write_verdict(stem, as_json(record), with_notice(page, notice))


def core_sha256(record: Mapping[str, Any], page: str) -> str:
    """SHA-256 of all that record and page say but for the notice, which may come or be replaced later."""
    return sha256((as_json(without_notice(record)) + page_without_notice(page)).encode())


def audit_log(folder: Path) -> AuditLog:
    """Audit log of a folder that the service writes to."""
    return AuditLog(
        folder / LOG, {event: {name: _OTHERS.get(name, str) for name in names} for event, names in CONTENT.items()}
    )


def _free(path: Path) -> Path:
    """Path of about this name where nothing lies."""
    free, number = path, 2
    while os.path.lexists(free):
        free, number = path.with_name(f"{number}-{safe_name(path.name)}"), number + 1
    return free


def _take_across(drop: Drop, target: Path) -> None:
    """Move to another disk."""
    if not stat.S_ISREG(drop.mode):
        shutil.move(drop.path, target)
        return
    with atomic_path(target) as part:
        shutil.copy2(drop.path, part, follow_symlinks=False)
        sync(part)
    sync_folder(target.parent)
    # what a name stands for is known only when the name is taken away: another one that has come keeps this one
    aside = _free(drop.path)
    drop.path.rename(aside)
    if drop.lies_at(aside):
        aside.unlink()


def _put_back(path: Path, place: Path) -> None:
    """Move to a place, or one of about this name, where nothing lies."""
    while True:
        free = _free(place)
        try:
            os.link(path, free, follow_symlinks=False)  # unlike a rename, it replaces nothing
        except FileExistsError:
            continue
        except OSError:  # a folder, which replaces no file, or a disk without links
            path.rename(free)
        else:
            path.unlink()
        return


def notice_place(burst_id: str) -> str:
    """Where a burst's notice is kept."""
    return f"{NOTICES}/{safe_name(burst_id)}-{sha256(burst_id.encode())[:8]}.json"


def safe_name(name: str) -> str:
    """Letters, digits and a few signs of a name, as part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._-")[-80:] or "unnamed"


def sha256(content: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def now() -> str:
    """UTC, to milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
