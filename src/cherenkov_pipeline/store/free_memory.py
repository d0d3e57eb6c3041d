"""How much memory this process can still take: jobs of a batch system and containers may have less than the machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil


class _Names(NamedTuple):
    limit: str
    usage: str
    unused_cache: str


_UNIFIED = _Names("memory.max", "memory.current", "inactive_file")
_LEGACY = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still take.

    The least of what the machine has free and what Linux' control groups around this process, of either version, still
    allow: SLURM and containers limit memory by them. Cached files that nobody uses are free, as psutil counts them.

    Parameters
    ----------
    root : pathlib.Path
        Of the file system that tells the control groups.
    """
    allowed = (_allowed(folder, names) for folder, names in _groups(root))
    return min([psutil.virtual_memory().available, *(size for size in allowed if size is not None)])


def _groups(root: Path) -> Iterator[tuple[Path, _Names]]:
    """Control groups of this process and those around them: their folders and the names of their files."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, names = root / "sys/fs/cgroup", _UNIFIED
        elif "memory" in controllers.split(","):
            top, names = root / "sys/fs/cgroup/memory", _LEGACY
        else:
            continue
        own = top / path.lstrip("/")
        yield from ((folder, names) for folder in (own, *own.parents) if folder.is_relative_to(top))


def _allowed(folder: Path, names: _Names) -> int | None:
    """Bytes that a control group still allows; None where it has no limit, or is not to be seen from a container."""
    try:
        limit, usage = ((folder / name).read_text().strip() for name in (names.limit, names.usage))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - int(usage) + int(statistics.get(names.unused_cache, 0)))
