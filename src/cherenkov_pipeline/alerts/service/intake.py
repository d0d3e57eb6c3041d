"""Files as they lie in the inbox: what each is, whether it is complete, its bytes."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cherenkov_pipeline.errors import TemporaryError, UserError

IGNORED_SUFFIXES = (".part", ".tmp", ".partial", ".filepart")
"""Of files that are still being written, as copying programs name them; so are names that begin with a dot."""


class Rejection(Exception):  # noqa: N818 - no fault of the program
    """A file that gets no verdict.

    Parameters
    ----------
    code : str
        ``symbolic_link``, ``not_a_file``, ``too_large``, ``unreadable``, ``duplicate``, ``crashed`` or
        ``internal_error``.
    reason : str
        The same for people.
    """

    def __init__(self, code: str, reason: str):
        super().__init__(reason)
        self.code, self.reason = code, reason


@contextmanager
def rejecting() -> Iterator[None]:
    """Make whatever goes wrong with a file's content its rejection, so that it stops nothing else.

    Raises
    ------
    Rejection
        With the code ``unreadable`` or ``internal_error``.
    MemoryError, OSError, TemporaryError
        As they come: the same file may go well later.
    """
    try:
        yield
    except (MemoryError, OSError, TemporaryError):
        raise
    except UserError as error:
        raise Rejection("unreadable", str(error)) from error
    except Exception as error:
        raise Rejection("internal_error", f"The program failed: {type(error).__name__}: {error}.") from error


@dataclass(frozen=True)
class Drop:
    """One file that was dropped into the inbox.

    Attributes
    ----------
    path : pathlib.Path
    key : str
        Tells it from every other file, also from one of the same name and content that is dropped later.
    state : str
        Part of the key that changes when the content does.
    mode, size : int
        As `os.lstat` gives them.
    modified : float
        Time of its last change.
    """

    path: Path
    key: str
    state: str
    mode: int
    size: int
    modified: float

    @property
    def name(self) -> str:
        """The file's name, fit for being shown and written."""
        return shown(self.path.name)

    @classmethod
    def of(cls, path: Path) -> "Drop | None":
        """Look at what lies at ``path``; None if nothing does any more."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        state = f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"
        # numbers of files are used again, and copies may keep their times: the last change of name or rights does not
        return cls(path, f"{state}-{found.st_ctime_ns}", state, found.st_mode, found.st_size, found.st_mtime)

    def lies_at(self, path: Path) -> bool:
        """Whether it lies there, unchanged."""
        found = Drop.of(path)
        return found is not None and found.state == self.state

    def check(self, largest: int) -> None:
        """Reject what is no file, or larger than ``largest`` bytes."""
        if stat.S_ISLNK(self.mode):
            raise Rejection("symbolic_link", "It is a symbolic link: drop the file itself.")
        if not stat.S_ISREG(self.mode):
            kind = "a folder" if stat.S_ISDIR(self.mode) else "a special file"
            raise Rejection("not_a_file", f"It is {kind}: drop one file for each alert.")
        if self.size > largest:
            raise Rejection("too_large", f"It has {self.size:,} bytes; a sub-image's file has at most {largest:,}.")

    def read(self) -> bytes:
        """Read all of it, if it is a file still; links are not followed, and nothing is waited for."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as stream:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise Rejection("not_a_file", "It is no file any more.")
                return stream.read(self.size)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Rejection("symbolic_link", "It is a symbolic link: drop the file itself.") from error
            raise Rejection("unreadable", f"It cannot be read: {error.strerror}.") from error


class Tracker:
    """How long files have lain in the inbox unchanged."""

    def __init__(self) -> None:
        self._first_seen: dict[str, tuple[str, float]] = {}

    def found(self, folder: Path) -> list[Drop]:
        """List what lies in the inbox, in the order in which it came; what is named as unfinished is left out."""
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not is_unfinished(entry.name)]
        drops = [drop for name in names if (drop := Drop.of(folder / name))]
        now = time.monotonic()
        known = self._first_seen
        self._first_seen = {
            drop.path.name: known[drop.path.name]
            if drop.path.name in known and known[drop.path.name][0] == drop.state
            else (drop.state, now)
            for drop in drops
        }
        return sorted(drops, key=lambda drop: (drop.modified, drop.path.name))

    def age(self, drop: Drop) -> float:
        """Seconds for which it has been seen unchanged: the file's own time may be that of another clock."""
        return time.monotonic() - self._first_seen.get(drop.path.name, (drop.state, time.monotonic()))[1]


@contextmanager
def watched_alone(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Keep other services out of an inbox; where its disk has no locks, that is told.

    Raises
    ------
    TemporaryError
        If another one watches it.
    """
    # the folder itself is locked: a file in it would need the right to write, and might be taken for an alert
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TemporaryError(f"Another process watches {folder}: wait for it, or stop it.") from None
        except OSError as error:
            tell(f"{folder} cannot be locked ({error.strerror}): let no other service watch it.")
        yield
    finally:
        os.close(descriptor)


def shown(text: str) -> str:
    """Replace what cannot be printed on one line: anything may stand in files and in their names."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def is_unfinished(name: str) -> bool:
    """Whether a file's name says that it is still being written."""
    return name.startswith(".") or name.lower().endswith(IGNORED_SUFFIXES)
