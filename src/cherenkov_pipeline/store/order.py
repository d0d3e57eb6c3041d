"""The order of an epoch, and reading in that order: blocks of neighbouring rows, mixed in windows.

Whether a sample is in memory or read from the file, its order is the same: a file must be read in slices, and memory
does not mind. Blocks of consecutive rows are drawn at random, and the images of a window of blocks are mixed.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

BLOCK = 256
"""Rows of a block: 1.4 MB of DigiCam images, which a disk reads in one go."""

BLOCKS_PER_WINDOW = 32
"""Blocks that are mixed: 8192 images, of a sample of any size drawn from everywhere."""


def epoch_order(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Order of the items of an epoch.

    Parameters
    ----------
    rows : ndarray of int
        (n,) where each item lies in the store.
    seed, epoch : int
        The order depends on nothing else.

    Returns
    -------
    ndarray
        (n,) positions in ``rows``.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, epoch)))
    # blocks begin elsewhere in each epoch; the last one may be short, and comes last to keep the windows in step
    by_row = np.roll(np.argsort(rows, kind="stable"), rng.integers(len(rows)))
    *blocks, last = np.split(by_row, np.arange(BLOCK, len(by_row), BLOCK))
    drawn = [*(blocks[number] for number in rng.permutation(len(blocks))), last]
    windows = [
        np.concatenate(drawn[start : start + BLOCKS_PER_WINDOW]) for start in range(0, len(drawn), BLOCKS_PER_WINDOW)
    ]
    return np.concatenate([rng.permutation(window) for window in windows])


class WindowReader:
    """Reads windows of rows, the next one in a thread while the present one is used.

    Parameters
    ----------
    read : callable
        ``window -> records``.
    windows : sequence
        What `read` takes, one after the other.
    """

    def __init__(self, read: Callable[[np.ndarray], np.ndarray], windows: Sequence[np.ndarray]):
        self._read, self._windows = read, windows
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-window")
        self._lock = threading.Lock()
        self._futures: dict[int, Future[np.ndarray]] = {}
        self._newest = 0

    def get(self, number: int) -> np.ndarray:
        """Return the records of a window. Threads may ask for neighbouring windows in any order."""
        with self._lock:
            if not self._newest - 1 <= number <= self._newest:  # the next one, or a new pass
                self._newest = number
            for wanted in (number, self._newest, self._newest + 1):
                if wanted < len(self._windows) and wanted not in self._futures:
                    self._futures[wanted] = self._threads.submit(self._read, self._windows[wanted])
            # the last one stays, for threads that are behind; none is cancelled, one of them may wait for it
            for other in [other for other in self._futures if abs(other - self._newest) > 1]:
                del self._futures[other]
            future = self._futures[number]
        return future.result()

    def close(self) -> None:
        """Read no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
