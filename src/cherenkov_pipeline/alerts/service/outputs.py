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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cherenkov_pipeline.alerts.service.audit import AuditLog
from cherenkov_pipeline.alerts.service.notices import Notice
from cherenkov_pipeline.alerts.service.page import with_notice
from cherenkov_pipeline.alerts.service.record import as_json, notice_part
from cherenkov_pipeline.files import PART, atomic_path

VERDICTS, JUDGED, REJECTED, NOTICES, AUDIT = "verdicts", "judged", "rejected", "notices", "audit"
FOLDERS = (VERDICTS, JUDGED, REJECTED, NOTICES, AUDIT)
LOG = f"{AUDIT}/audit.jsonl"


class Outputs:
    """Where verdicts, rejections and notices are written.

    Parameters
    ----------
    folder : pathlib.Path
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = AuditLog(folder / LOG)

    def make_folders(self) -> None:
        """Make all folders, and remove what a killed service left unfinished."""
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            if name != AUDIT:  # which others write to as well
                for leftover in (self.folder / name).glob(f"{PART}*"):
                    leftover.unlink(missing_ok=True)

    def write(self, place: str, text: str) -> str:
        """Write a file at a place in the folder, whole or not at all; return the SHA-256 of its content."""
        content = text.encode()
        with atomic_path(self.folder / place) as part:
            part.write_bytes(content)
        return sha256(content)

    def free_place(self, folder: str, name: str) -> str:
        """Place in a folder where nothing lies, for a file of about this name."""
        place, number = f"{folder}/{name}", 2
        while os.path.lexists(self.folder / place):
            place, number = f"{folder}/{number}-{name}", number + 1
        return place

    def take(self, path: Path, place: str) -> None:
        """Move a file, or whatever it is, to a place; nothing happens if it is gone."""
        target = self.folder / place
        try:
            path.rename(target)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # the inbox is on another disk: copied under another name first
            part = target.with_name(f"{PART}{os.getpid()}-{target.name}")
            if path.is_file() and not path.is_symlink():
                shutil.copy2(path, part)
                part.rename(target)
                path.unlink()
            else:
                shutil.move(path, target)

    def notice(self, burst_id: str) -> Notice | None:
        """Read the notice of a burst, if one has come."""
        if not burst_id:
            return None
        try:
            return Notice(**json.loads((self.folder / notice_place(burst_id)).read_text()))
        except (FileNotFoundError, ValueError, TypeError):  # or was changed by somebody
            return None

    def join_notice(self, notice: Notice, stem: str) -> dict[str, Any]:
        """Put a notice into record and page of a verdict that was given before it came; return their hashes."""
        record_place, page_place = f"{VERDICTS}/{stem}.json", f"{VERDICTS}/{stem}.html"
        record = json.loads((self.folder / record_place).read_text()) | notice_part(notice)
        page = with_notice((self.folder / page_place).read_text(), notice)
        return {
            "record": record_place,
            "record_sha256": self.write(record_place, as_json(record)),
            "page": page_place,
            "page_sha256": self.write(page_place, page),
        }


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
