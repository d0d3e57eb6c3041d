"""A folder that files are dropped into: each gets one verdict or one clear rejection, whatever happens.

For every file, first what there is to say is written (verdict and page, or the reason), then one line in the audit log,
and last the file is moved out of the inbox. The line is what counts: a service that is killed before it has been
written judges the file anew when it starts again, and one that is killed after it only moves the file away. Content
is known by its SHA-256: what was judged is a duplicate when it comes again, whatever its name. A name may be used again
at any moment: what has come under it since the judged file was read stays in the inbox, and is judged next.

A file may appear by a rename or while it is still being written: it is read when it has not changed for a moment, and
one that cannot be read is given more time before it is rejected.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from cherenkov_pipeline.alerts.bundle import Bundle
from cherenkov_pipeline.alerts.service.audit import LEFT_OUT
from cherenkov_pipeline.alerts.service.intake import Drop, Rejection, Tracker, rejecting, shown, watched_alone
from cherenkov_pipeline.alerts.service.notices import Notice, read_notice
from cherenkov_pipeline.alerts.service.outputs import (
    AUDIT,
    FOLDERS,
    JUDGED,
    REJECTED,
    Outputs,
    core_sha256,
    notice_place,
    now,
    safe_name,
    sha256,
)
from cherenkov_pipeline.alerts.service.page import render_page
from cherenkov_pipeline.alerts.service.record import as_json, verdict_record
from cherenkov_pipeline.alerts.single import LARGEST_FILE, read_single
from cherenkov_pipeline.alerts.verdict import NAMES, judge, percent, warm_up
from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import TemporaryError, UserError
from cherenkov_pipeline.files import locked, write_json

WORKING = f"{AUDIT}/working.json"
"""Files that were being judged when the service died, and how often."""

MOST_ATTEMPTS = 10
MOST_NAMED = 100
"""Edited lines that are named in the audit log."""

N_LATEST = 50
"""Verdicts and rejections in the index."""

INDEXED = ("event", "time", "file", "burst_id", "verdict", "confidence_pct", "image_snr", "page", "reason", "record")
"""What is kept of their lines."""


class InboxParameters(Parameters):
    """How the inbox is watched."""

    interval: float = Field(0.2, gt=0, description="Seconds between two looks.")
    settle: float = Field(0.3, ge=0, description="Seconds for which a file has not changed before it is read.")
    patience: float = Field(10.0, ge=0, description="Seconds for which a file that cannot be read may still change.")


@dataclass(frozen=True)
class Look:
    """One look into the inbox: files that were dealt with, and those that may still change."""

    n_done: int
    n_waiting: int


class Inbox:
    """The inbox of one bundle's verdicts: `open_inbox` makes it.

    Parameters
    ----------
    folder : pathlib.Path
    outputs : Outputs
    bundle : Bundle
    parameters : InboxParameters
    tell : callable
        Called with one line for each verdict, rejection and notice.
    """

    def __init__(
        self, folder: Path, outputs: Outputs, bundle: Bundle, parameters: InboxParameters, tell: Callable[[str], None]
    ):
        self.folder, self.outputs, self.bundle = folder, outputs, bundle
        self.parameters, self.tell = parameters, tell
        self._tracker = Tracker()
        self._said: dict[str, str] = {}  # SHA-256 of what was judged -> where that stands
        self._places: dict[str, str] = {}  # key of a drop -> where it belongs
        self._verdicts: dict[str, dict[str, str]] = {}  # burst -> names of its verdicts, and their core_sha256
        self._notices: dict[str, str] = {}  # burst -> SHA-256 of what was read of its notice
        self._joined: dict[str, str] = {}  # name of a verdict -> SHA-256 of the last notice that was joined to it
        self._unreadable: dict[str, str] = {}  # name -> state in which it could not be read
        self._latest: list[dict[str, Any]] = []
        for entry in outputs.log.entries():
            self._remember(entry)
        self._attempts = self._read_attempts()

    def look(self, stop: Callable[[], bool] = lambda: False) -> Look:
        """Deal with every file that is complete, the oldest first, until ``stop`` says True.

        Raises
        ------
        OSError, TemporaryError, MemoryError
            If a file cannot be dealt with now, such as on a full disk; the others have been.
        """
        n_done = n_waiting = 0
        trouble: OSError | TemporaryError | MemoryError | None = None
        # what the service may have died of comes last: it holds up no other
        for drop in sorted(self._tracker.found(self.folder), key=lambda drop: self._attempts.get(drop.key, 0)):
            if stop():
                break
            deaths = self._attempts.get(drop.key, 0)
            try:
                done = self._tracker.age(drop) >= self.parameters.settle and self._deal_with(drop)
            except (OSError, TemporaryError, MemoryError) as error:
                done, trouble = False, error
                if drop.key in self._attempts:
                    self._attempts[drop.key] = deaths  # the program lives
            n_done, n_waiting = n_done + done, n_waiting + (not done)
        if trouble is not None:
            raise trouble
        return Look(n_done, n_waiting)

    def watch(self, stop: Callable[[], bool]) -> None:
        """Look again and again, until ``stop`` says True; what hinders a look, such as a full disk, is waited for."""
        trouble = ""
        while not stop():
            try:
                self.look(stop)
                trouble = ""
            except (TemporaryError, OSError, MemoryError) as error:
                found = str(error) or "there is not enough memory"
                if found != trouble:
                    self.tell(f"Waiting: {found}")
                trouble = found
            time.sleep(self.parameters.interval if not trouble else max(1.0, self.parameters.interval))

    def write_index(self) -> None:
        """List the latest verdicts and rejections in ``index.html``."""
        self.outputs.write_index(self._latest)

    def _deal_with(self, drop: Drop) -> bool:
        """Give a file its verdict or rejection and move it away; False if it may still change."""
        if drop.key in self._places:  # killed, or hindered, between the line and the move
            self.write_index()
            self.outputs.take(drop, self._places[drop.key])
            return True
        may_change = self._tracker.age(drop) < self.parameters.patience
        if may_change and self._unreadable.get(drop.name) == drop.state:
            return False
        self._unreadable.pop(drop.name, None)
        content = digest = None
        try:
            drop.check(LARGEST_FILE)
            content = drop.read()
            digest = sha256(content)
            if digest in self._said:
                raise Rejection("duplicate", f"The same content came before: {self._said[digest]}")
            self._count_attempt(drop)
            line = self._judge(drop, content, digest)
        except Rejection as rejection:
            if rejection.code == "unreadable" and may_change:
                self._attempts.pop(drop.key, None)
                self._unreadable[drop.name] = drop.state
                return False
            line = self._reject(drop, digest, rejection)
        self._attempts.pop(drop.key, None)
        self.write_index()
        self.outputs.take(drop, line["kept"], content)
        return True

    def _judge(self, drop: Drop, content: bytes, digest: str) -> dict[str, Any]:
        """Write verdict, or notice, and line; raise `Rejection` where there can be none."""
        if Path(drop.name).suffix.lower() == ".xml":
            with rejecting():
                notice = read_notice(content)
            return self._accept_notice(drop, notice, digest)
        with rejecting():
            images = read_single(content, drop.name)
            (verdict,) = judge(self.bundle, images)
            burst_id = str(images.table["burst_id"][0])
            known = self.outputs.notice(burst_id, self._notices.get(burst_id))
            source = {"file": drop.name, "input_sha256": digest, "burst_id": burst_id, "judged": now()}
            record = verdict_record(verdict, self.bundle, source, known)
            text = as_json(record)
            page = render_page(verdict, images, self.bundle, record, known, self.outputs.folder)
        stem = f"{safe_name(Path(drop.name).stem)}-{digest[:12]}"
        line = {
            **source,
            **{name: record[name] for name in ("verdict", "leaning", "confidence_pct", "p_astro", "image_snr")},
            "reasons": [reason.code for reason in verdict.reasons],
            "latency_ms": record["latency_ms"],
            "bundle_sha256": self.bundle.sha256,
            **self.outputs.write_verdict(stem, text, page),
            "core_sha256": core_sha256(record, page),
            "drop": drop.key,
            "kept": self._kept(JUDGED, drop, digest),
        }
        self._log("verdict", line)
        confidence = "" if verdict.confidence_pct is None else f" {percent(verdict.confidence_pct / 100)}"
        reasons = f" ({', '.join(line['reasons'])})" if line["reasons"] else ""
        self.tell(f"{drop.name}: {NAMES[verdict.verdict]}{confidence}{reasons}: {line['page']}")
        return line

    def _accept_notice(self, drop: Drop, notice: Notice, digest: str) -> dict[str, Any]:
        place = notice_place(notice.burst_id)
        line = {
            "file": drop.name,
            "input_sha256": digest,
            "burst_id": notice.burst_id,
            "record": place,
            "record_sha256": self.outputs.write(place, as_json(notice.as_dict())),
            "drop": drop.key,
            "kept": self._kept(JUDGED, drop, digest),
        }
        for stem, core in self._verdicts.get(notice.burst_id, {}).items():
            if self._joined.get(stem) != digest:  # killed between these lines and the notice's own
                self._join(notice, digest, stem, core)
        self._log("notice", line)
        self.tell(f"{drop.name}: notice of {notice.burst_id}")
        return line

    def _join(self, notice: Notice, digest: str, stem: str, core: str) -> None:
        """Complete a verdict that was given before its notice came, unless somebody has changed it."""
        joined = {"burst_id": notice.burst_id, "notice_sha256": digest, "verdict": stem}
        try:
            with rejecting():
                written = self.outputs.join_notice(notice, stem, core)
        except (Rejection, FileNotFoundError, IsADirectoryError):
            self.tell(f"The verdict {stem} is gone or was changed: the notice is not joined to it.")
            self._log("notice_not_joined", joined)
        else:
            self._log("notice_joined", joined | written)

    def _reject(self, drop: Drop, digest: str | None, rejection: Rejection) -> dict[str, Any]:
        kept = self._kept(REJECTED, drop, digest)
        content = {
            "file": drop.name,
            "input_sha256": digest,
            "code": rejection.code,
            "reason": rejection.reason,
        }
        record = f"{kept}.reason.json"
        line = {
            **content,
            "record": record,
            "record_sha256": self.outputs.write(record, as_json(content | {"rejected": now()})),
            "drop": drop.key,
            "kept": kept,
        }
        self._log("rejected", line)
        self.tell(f"{drop.name}: rejected ({rejection.code}): {rejection.reason}")
        return line

    def _kept(self, folder: str, drop: Drop, digest: str | None) -> str:
        return self.outputs.free_place(folder, f"{(digest or drop.key)[:12]}-{safe_name(drop.name)}")

    def _log(self, event: str, content: dict[str, Any]) -> None:
        self._remember(self.outputs.log.append(event, **content))

    def _remember(self, entry: dict[str, Any]) -> None:
        """Keep of a line what later files need to know."""
        event = entry["event"]
        if event in ("verdict", "rejected", "notice"):
            self._places[entry["drop"]] = entry["kept"]
        if event in ("verdict", "notice"):  # what was rejected may come again, such as to a repaired program
            self._said[entry["input_sha256"]] = f"see {entry.get('page', entry['record'])}"
        if event == "verdict":
            of_burst = self._verdicts.setdefault(entry["burst_id"], {})
            of_burst[Path(entry["page"]).stem] = entry.get("core_sha256", "")
        if event == "notice":
            self._notices[entry["burst_id"]] = entry["record_sha256"]
        if event == "verdict" or (event == "rejected" and entry["code"] != "duplicate"):
            self._latest = [
                {name: entry[name] for name in INDEXED if name in entry},
                *self._latest[: N_LATEST - 1],
            ]
        if event == "notice_joined":
            self._joined[entry["verdict"]] = entry["notice_sha256"]

    def _count_attempt(self, drop: Drop) -> None:
        """Reject what has killed the service again and again; note that it is tried once more."""
        attempts = self._attempts.get(drop.key, 0)
        if attempts >= MOST_ATTEMPTS:
            raise Rejection("crashed", f"The program died {attempts} times while it judged this file.")
        self._attempts[drop.key] = attempts + 1
        write_json(self.outputs.folder / WORKING, self._attempts)

    def _read_attempts(self) -> dict[str, int]:
        try:
            attempts = json.loads((self.outputs.folder / WORKING).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return {key: n for key, n in attempts.items() if key not in self._places}


@contextmanager
def open_inbox(
    folder: Path,
    output: Path,
    bundle: Bundle,
    parameters: InboxParameters | None = None,
    tell: Callable[[str], None] = print,
) -> Iterator[Inbox]:
    """Open an inbox, for one service at a time.

    Parameters
    ----------
    folder : pathlib.Path
        Where files are dropped.
    output : pathlib.Path
        Where all is written; not within ``folder``.
    bundle : Bundle
    parameters : InboxParameters, optional
    tell : callable
        Called with one line for each verdict, rejection and notice, that can be printed.

    Raises
    ------
    UserError
        If there is no such folder, or one is written into the other.
    TemporaryError
        If another service watches ``folder``, or works with ``output``.
    """
    if not folder.is_dir():
        raise UserError(f"There is no inbox {folder}: make the folder, or correct the path.")
    if output.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"The verdicts cannot be written into the inbox. Received: {output}")
    if any(folder.resolve().is_relative_to((output / name).resolve()) for name in FOLDERS):
        raise UserError(f"The inbox cannot be a folder that the service writes to. Received: {folder}")
    outputs = Outputs(output)

    def say(line: str) -> None:
        tell(shown(line))  # what somebody has put into a file may stand in it

    with watched_alone(folder, say), locked(output):
        outputs.make_folders()
        warm_up(bundle)
        inbox = Inbox(folder, outputs, bundle, parameters or InboxParameters(), say)
        if outputs.log.path.exists() and (broken := outputs.log.verify()).broken_line is not None:
            say(f"Line {broken.broken_line} of {outputs.log.path} is broken: {broken.problem}.")
        if left_out := outputs.log.left_out():
            say(f"{len(left_out)} edited lines of {outputs.log.path} are left out, the first is line {left_out[0]}.")
            outputs.log.append(LEFT_OUT, n_lines=len(left_out), lines=left_out[:MOST_NAMED])
        card = bundle.card
        outputs.log.append("started", bundle_sha256=bundle.sha256, versions=card.versions, label_map=card.label_map)
        try:
            inbox.write_index()  # which a killed service may have left behind the log
            yield inbox
        finally:
            outputs.log.append("stopped")
