"""What a function or a command costs: run in a process of its own, whose peak memory is its own."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """Result of a function, or output of a command; seconds that went by, those of the processor, peak memory in MB."""

    result: Any
    seconds: float
    cpu_seconds: float
    peak_mb: float


def measure(prepare: Callable[..., Callable[[], Any]], *args: Any) -> Cost:
    """Prepare a piece of work and do it in a new process; the preparation counts for memory, not for time.

    Parameters
    ----------
    prepare : callable
        Module-level function; called with ``args``, returns the work: a function without arguments.
    *args
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_measured, prepare, args).result()


def _measured(prepare: Callable[..., Callable[[], Any]], args: tuple) -> Cost:
    work = prepare(*args)
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(result, seconds, cpu_seconds, _peak_mb())


def _peak_mb() -> float:
    """Greatest resident set of this process; not getrusage's, which begins with that of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / 1e6


class CommandError(Exception):
    """A command did not end well; the message is one line, the last that it printed."""


def run_command(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Cost:
    """Run a command to its end: the whole process and those that it started, imports included.

    The peak memory is that of its largest process, and at least that of this one: call it from a small process.

    Parameters
    ----------
    command : sequence of str
    log : Path
        Where its output goes, beside the result.
    environment : mapping of str to str, optional
        Variables in addition to those of this process.
    folder : Path, optional
        Where it runs, and may leave logs of its own; default: here.

    Raises
    ------
    CommandError
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, **(environment or {})}
        )
        # not wait(): it does not tell what the process took
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    if process.returncode:
        last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it printed nothing")
        raise CommandError(f"{' '.join(map(str, command[:4]))} ... failed ({process.returncode}): {last}")
    return Cost(text, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)
