"""Files written whole or not at all, and folders that one process works in at a time."""

import errno
import fcntl
import json
import logging
import os
import platform
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cherenkov_pipeline.errors import TemporaryError

logger = logging.getLogger(__name__)

PART = ".part-"
"""How the names of files begin that are not complete yet."""
HOST = 16
"""Characters of the machine's name in theirs: names of files are at most 255 characters long."""
LOCK = ".lock"


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a path to write to that becomes ``path`` only when the block ends well.

    Parameters
    ----------
    path : path-like
        File or folder to write. An existing file is replaced in one step, an existing folder is refused.

    Yields
    ------
    pathlib.Path
        A name beside ``path``, with the same suffixes. Removed when the block raises.

    Raises
    ------
    TemporaryError
        If the disk is full.
    """
    path = Path(path)
    # machines and containers that share a disk may have equal names and PIDs: only the token is nobody else's
    part = path.with_name(f"{PART}{platform.node()[:HOST]}-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TemporaryError(
                f"No space left while writing {path}: free some, or set CHERENKOV_DATA to another disk."
            ) from error
        raise
    finally:
        remove(part)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write ``content`` as JSON, atomically."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")


def write_durably(files: Mapping[Path, bytes]) -> None:
    """Write files, each atomically, and wait until the disk has them: they outlive a power cut."""
    for path, content in files.items():
        with atomic_path(path) as part:
            part.write_bytes(content)
            sync(part)
    for folder in {path.parent for path in files}:
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names that a folder holds, if it can: some cannot be asked."""
    with suppress(OSError):
        sync(folder)


def sync(path: Path) -> None:
    """Wait until the disk has what a file holds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Keep other processes out of a folder of work; what a killed one left unfinished is removed.

    With ``shared`` others that share it are let in, and nothing is removed. With ``wait`` another one may end first.

    Raises
    ------
    TemporaryError
        If another process works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as lock:  # NFS wants to read what is shared, and to write what is not
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise TemporaryError(f"Another process is working in {folder}: wait for it, or stop it.") from None
            logger.info("Another process is working in %s: it is waited for.", folder)
            fcntl.flock(lock, kind)
        for leftover in () if shared else folder.glob(f"{PART}*"):
            remove(leftover)
        yield
