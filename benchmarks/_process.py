"""What a function costs: run in a process of its own, whose peak memory is its own."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """Result of a function with the seconds that went by, those of the processor, and the peak memory in MB."""

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
