"""The audit log: what was judged, when and by what, in a file that cannot be edited unnoticed.

One JSON object a line. Each holds the hash of the line before it and ends with its own (SHA-256), so that a changed,
inserted, removed or moved line breaks the chain. The number and hash of the last line stand once more in a file beside
it, the head: lines that were cut off at the end are missed too, and lines that were added there are noticed. Who can
write both files can make a new chain; so note the last hash elsewhere now and then, and let `verify` look for it.

A program that is killed while it writes leaves a line cut off, or a whole one that the head does not name yet. The next
one that writes takes the first out of the chain and says so in a line of its own, with all that was left; of the second
it tells too. In the same way it tells of a log that ends with any other line than the head's, before it writes.

An edited line stops nothing: it is left out when the log is read, and the line after it holds the hash of its bytes.
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cherenkov_pipeline.errors import TemporaryError, UserError
from cherenkov_pipeline.files import write_durably

FIRST = "0" * 64
"""What stands for the hash of the line before the first."""

REPAIRED, MISSING = "repaired", "lines_missing"
"""Events of lines that tell of what a killed program left, and of an end that is not the one that was written."""

LEFT_OUT = "lines_left_out"
"""Event of a line that names edited lines, which whoever reads the log leaves out."""

_ALWAYS = {"number", "time", "event", "previous", "hash"}
_END = re.compile(rb', "hash": "([0-9a-f]{64})"\}\n?$')
_CHUNK = 1 << 16


class Break(NamedTuple):
    """A place where the log is not as it was written: the number of the line, from 1, and what is wrong with it."""

    line: int
    problem: str


@dataclass(frozen=True)
class Verification:
    """What `AuditLog.verify` found.

    Attributes
    ----------
    n_lines : int
        Lines that follow each other, up to the first broken one.
    last_hash : str
        Of the last of them.
    breaks : tuple of Break
        In their order; none: the chain is whole.
    note : str
        Of a whole chain: empty, or what is to be known of its end.
    """

    n_lines: int
    last_hash: str
    breaks: tuple[Break, ...]
    note: str

    @property
    def broken_line(self) -> int | None:
        """Number of the first broken line; None: the chain is whole."""
        return self.breaks[0].line if self.breaks else None

    @property
    def problem(self) -> str:
        """What is wrong with the first broken line, or the note."""
        return self.breaks[0].problem if self.breaks else self.note


class AuditLog:
    """A log that grows at its end alone; several programs may write to it in turn.

    Parameters
    ----------
    path : path-like
        Of the ``.jsonl`` file; it is made with the first line.
    content : mapping, optional
        Event -> what its lines have at least: name -> type.
    """

    def __init__(self, path: str | os.PathLike, content: Mapping[str, Mapping[str, Any]] | None = None):
        self.path, self.content = Path(path), content or {}
        self.head_path = self.path.with_name(self.path.name + ".head")

    def append(self, event: str, **content: Any) -> dict[str, Any]:
        """Write a line, to the disk itself.

        Parameters
        ----------
        event : str
        **content
            Plain values; the names ``number``, ``time``, ``event``, ``previous`` and ``hash`` are taken.

        Returns
        -------
        dict
            The line's content.

        Raises
        ------
        OSError, TemporaryError
            If it cannot be written, all of it; then nothing is.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            number, previous, before, torn = self._tail(descriptor)
            head = self._head()
            if torn:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(torn))
            if head != (number, previous):
                # a program that was killed between line and head leaves a head that is one behind
                is_behind = head == (number - 1, before)
                told = (REPAIRED, {"after_head": number}) if is_behind else (MISSING, {"expected": list(head)})
                number, previous, _ = self._write(descriptor, number, previous, *told)
            if torn:
                left = torn.decode(errors="replace")
                number, previous, _ = self._write(descriptor, number, previous, REPAIRED, {"cut_off": left})
            _, _, record = self._write(descriptor, number, previous, event, content)
        finally:
            os.close(descriptor)
        return record

    def entries(self) -> Iterator[dict[str, Any]]:
        """Content of the lines, in their order; whether one follows the other is not verified."""
        return (record for _, record in self._lines() if record is not None)

    def left_out(self) -> list[int]:
        """Numbers of the lines that are not among the `entries`: edited ones, and others that are none of this log."""
        return [number for number, record in self._lines() if record is None]

    def _lines(self) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Give number and content of each whole line; None if it is not as it was written."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    record = _content(line)
                except ValueError:
                    yield number, None
                else:
                    wanted = self.content.get(record["event"], {})
                    fits = all(name in record and isinstance(record[name], kind) for name, kind in wanted.items())
                    yield number, record if fits else None

    def verify(self, noted_hash: str | None = None) -> Verification:
        """Look for lines that are not as they were written.

        A line after one that cannot be read is judged by its own hash alone; from there on the chain is followed again.

        Parameters
        ----------
        noted_hash : str, optional
            Hash of any line, noted elsewhere earlier: it must be there still.

        Raises
        ------
        UserError
            If there is no log.
        """
        if not self.path.is_file():
            raise UserError(f"There is no audit log {self.path}.")
        breaks: dict[int, str] = {}
        hashes, number, previous, note = [FIRST], 0, FIRST, ""
        with self.path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH)  # log and head as they belong together
            head_number, head_hash = self._head()
            for line in stream:
                if not line.endswith(b"\n"):
                    note = "A last line was cut off by a program that was killed; the next line written will tell."
                    break
                hashes.append(_digest(line))
                try:
                    record = _content(line)
                except ValueError as error:
                    problem, number, previous = str(error), number + 1, None
                else:
                    problem = _problem(record, number + 1, previous)
                    number, previous = record["number"], record["hash"]
                if not problem and number == head_number and previous != head_hash:
                    problem = f"it is not the line that {self.head_path.name} names"
                if problem:
                    breaks[len(hashes) - 1] = problem
        end = len(hashes)
        if number > 1 and head_number == 0:
            breaks[end] = f"{self.head_path.name} is gone or was edited"
        elif number < head_number:
            breaks[end] = f"lines up to {head_number} were cut off"
        elif number > head_number + 1:
            problem = f"it was added: {self.head_path.name} names the line before it as the last one"
            breaks.setdefault(end - 1 if breaks else head_number + 1, problem)
        elif number == head_number + 1:
            note = (
                f"The last one stands after the one that {self.head_path.name} names: a program was killed, or somebody"
                " has added it; the next line written will tell."
            )
        if noted_hash is not None and noted_hash not in hashes:
            breaks.setdefault(end, "no line has the noted hash")
        n_lines = min(breaks, default=end) - 1
        return Verification(n_lines, hashes[n_lines], tuple(Break(*one) for one in sorted(breaks.items())), note)

    def _tail(self, descriptor: int) -> tuple[int, str, str, bytes]:
        """Find number and hash of the last whole line, the hash of the one before it, and what stands after it."""
        end = os.fstat(descriptor).st_size
        tail, start = b"", end
        while start and tail.count(b"\n") < 3:
            start = max(0, start - _CHUNK)
            tail = os.pread(descriptor, end - start, start)
        *lines, torn = tail.split(b"\n")
        if not lines:
            return 0, FIRST, FIRST, torn
        last = lines[-1] + b"\n"
        before = _digest(lines[-2] + b"\n") if len(lines) > 1 else FIRST
        try:
            number = _content(last)["number"]
        except ValueError:
            number = os.pread(descriptor, end, 0).count(b"\n")
        return number, _digest(last), before, torn

    def _write(
        self, descriptor: int, number: int, previous: str, event: str, content: dict[str, Any]
    ) -> tuple[int, str, dict[str, Any]]:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"number": number + 1, "time": time, "event": event, **content, "previous": previous}
        text = json.dumps(record, allow_nan=False).encode()
        digest = hashlib.sha256(text).hexdigest()
        line = text[:-1] + f', "hash": "{digest}"}}\n'.encode()
        size = os.fstat(descriptor).st_size
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
            write_durably({self.head_path: f"{number + 1} {digest}\n".encode()})
        except (OSError, TemporaryError):  # such as a full disk: who is told that it failed will write it again
            os.ftruncate(descriptor, size)
            raise
        return number + 1, digest, {**record, "hash": digest}

    def _head(self) -> tuple[int, str]:
        try:
            number, digest = self.head_path.read_text().split()
            return int(number), digest
        except (FileNotFoundError, ValueError):  # an edited one is as good as none
            return 0, FIRST


def _problem(record: dict[str, Any], number: int, previous: str | None) -> str:
    """Tell what is wrong with where a line stands; empty if nothing is. Without ``previous`` it may follow anything."""
    if previous is not None and record["previous"] != previous:
        return "it does not follow the line before it: one of them was edited, or others were removed or added"
    if previous is not None and record["number"] != number:
        return f"its number is {record['number']}"
    if record["event"] == MISSING:
        try:
            named = record["expected"][0]
        except (LookupError, TypeError):
            return "it is not a line of this log"
        return f"the head named line {named} as the last one when it was written: others were cut off or added"
    return ""


def _content(line: bytes) -> dict[str, Any]:
    """Content of a line that is as it was written; of any other a ValueError says what is wrong with it."""
    end = _END.search(line)
    if not end:
        raise ValueError("it does not end with a hash")
    if hashlib.sha256(line[: end.start()] + b"}").hexdigest().encode() != end[1]:
        raise ValueError("its content is not what its hash is of")
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not record.keys() >= _ALWAYS or not isinstance(record["number"], int):
        raise ValueError("it is not a line of this log")
    return record


def _digest(line: bytes) -> str:
    """Hash by which the next line names this one: its own, or that of its bytes if it is none of this log."""
    try:
        return _content(line)["hash"]
    except ValueError:
        return hashlib.sha256(line).hexdigest()
