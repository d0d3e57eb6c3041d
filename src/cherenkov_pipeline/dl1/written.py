"""HDF5 files that were really written, by a named activity.

On a full disk HDF5 may report nothing: the library flushes its buffers when it closes a file, and errors
are lost there. What comes out can be opened and has empty or damaged tables. So each file is read back.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cherenkov_pipeline.errors import UserError

ROWS_AT_A_TIME = 4096
FULL_DISK = 2**20
"""Free bytes below which a failed write is put down to a full disk."""


def start_activity() -> None:
    """Give ctapipe an activity to name in the files that it writes.

    One a process: starting one lists all installed packages, which takes longer than a small file.
    """
    from ctapipe.core import Provenance

    if Provenance().current_activity is None:
        Provenance().start_activity("cherenkov-pipeline")


@contextmanager
def written_completely(path: Path, read_back: Callable[[Path], None] | None = None) -> Iterator[None]:
    """Make sure that the HDF5 file made in this block can be read to its end.

    Parameters
    ----------
    path : pathlib.Path
        File that the block writes.
    read_back : callable, optional
        Reads the file to its end and raises if it is not what was written. Default: all of its tables and arrays;
        those of ctapipe carry checksums, which are compared in reading.

    Raises
    ------
    OSError
        With ``errno.ENOSPC``, if writing or reading back failed and the disk is full.
    UserError
        If reading back failed otherwise.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        _raise_if_full(path, error)
        raise
    try:
        (read_back or _read_back)(path)
    except Exception as error:
        _raise_if_full(path, error)
        raise incomplete(path) from error
    if _has_hole(path):
        _raise_if_full(path)


def incomplete(path: Path) -> UserError:
    """Make the error for a file that lacks something that was written to it."""
    return UserError(f"{path} was not written completely: check disk and quota, then run again.")


def _read_back(path: Path) -> None:
    from cherenkov_pipeline.hdf5 import tables

    with tables.open_file(str(path)) as file:
        for leaf in file.walk_nodes("/", "Leaf"):
            for start in range(0, leaf.nrows, ROWS_AT_A_TIME):
                leaf.read(start, min(start + ROWS_AT_A_TIME, leaf.nrows))


def _has_hole(path: Path) -> bool:
    """Tell whether part of the file was never written; a hole is harmless unless the disk was full."""
    with path.open("rb") as stream:
        return os.lseek(stream.fileno(), 0, os.SEEK_HOLE) < path.stat().st_size


def _raise_if_full(path: Path, error: Exception | None = None) -> None:
    if shutil.disk_usage(path.parent).free < FULL_DISK:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
