"""Event store of the thesis' size: building, appending, opening, reading, size and memory; beside it, the peers.

Rates are per second of processor time on one core, MB/s of packed pixels; each step runs in a process of its own.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._dl1 import make_files
from benchmarks._process import Cost, measure
from benchmarks._report import report
from cherenkov_pipeline.datasets.event_store import EventStoreDataset
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.order import BLOCK, BLOCKS_PER_WINDOW, epoch_order
from cherenkov_pipeline.store.packing import pixel_dtype
from cherenkov_pipeline.store.parameters import StoreParameters

THESIS = 523_415
"""Images that the thesis trained on."""

IMAGES_PER_FILE = 20_000
PIXEL_BYTES = pixel_dtype(1296).itemsize
BATCH = 64
PEER_BATCHES = 20
SINGLE_BATCHES = 500

type Work = Callable[[], int | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the thesis' number of images")
    parser.add_argument("--folder", help="where to work; default: the system's folder for temporary files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows, figures = run(Path(folder), arguments.scale)
    report(rows, figures)


def run(folder: Path, scale: float) -> tuple[list[dict], dict[str, float]]:
    """Measure all steps in a folder; rows of the table, and figures."""
    files = make_files(folder, round(scale * THESIS), IMAGES_PER_FILE)
    first, all_but_last = some(files, slice(1)), some(files, slice(len(files) - 1))
    steps = {
        "copy of a DL1 file": (first, measure(copy, first)),
        "ctapipe-merge of a DL1 file": (first, measure(merge, first, folder / "merged.h5")),
        "ctapipe's loader, a DL1 file": (first, measure(load, first)),
        "dl1-data-handler, in order": (first, measure(read_with_peer, first, False)),
        "dl1-data-handler, random": (first, measure(read_with_peer, first, True)),
        "build: one file": (first, measure(build, first, folder / "one")),
        "build: all files but one": (all_but_last, measure(build, all_but_last, folder / "store")),
        "build: one file more": (first, measure(build, files, folder / "store")),
    }
    one, store = folder / "one", folder / "store"
    steps |= {
        "open, with all columns": (files, measure(open_all, store)),
        "read: windows, one file": (first, measure(read, one, iterate)),
        "read: windows, all files": (files, measure(read, store, iterate)),
        "read: windows, not cached": (files, measure(read, store, iterate, True)),
        "read: single rows": (files, measure(read, store, read_singly)),
        "read: with checksums": (files, measure(read, store, EventStore.verify)),
    }
    rows = [row(name, *step) for name, step in steps.items()]
    return rows, figures({name: cost for name, (_, cost) in steps.items()}, n_images(first), stored(store))


def row(name: str, files: FileSet, cost: Cost) -> dict:
    """One line of the table."""
    n_read = cost.result or n_images(files)
    return {
        "step": name,
        "images": n_read,
        "seconds": cost.seconds,
        "cpu seconds": cost.cpu_seconds,
        "images/s": n_read / cost.cpu_seconds,
        "MB/s": n_read * PIXEL_BYTES / 1e6 / cost.cpu_seconds,
        "peak memory [MB]": cost.peak_mb,
    }


def figures(costs: dict[str, Cost], n_first: int, size: tuple[int, int]) -> dict[str, float]:
    """Numbers for programs."""
    n_stored, n_bytes = size
    one, more = costs["build: one file"], costs["build: all files but one"]
    window = costs["read: windows, all files"]
    peer = costs["dl1-data-handler, in order"]
    return {
        "n_images": n_stored,
        "store_gb": n_bytes / 1e9,
        "bytes_per_image": n_bytes / n_stored,
        "thesis_gb": n_bytes / n_stored * THESIS / 1e9,
        "build_images_per_s": (n_stored - n_first) / more.cpu_seconds,
        "build_seconds": more.seconds,
        "build_ratio_to_peer": (n_stored - n_first) / more.cpu_seconds / (peer.result / peer.cpu_seconds),
        "append_seconds": costs["build: one file more"].seconds,
        "open_seconds": costs["open, with all columns"].seconds,
        "window_images_per_s": n_stored / window.cpu_seconds,
        "window_seconds": window.seconds,
        "uncached_seconds": costs["read: windows, not cached"].seconds,
        "build_memory_growth_mb": more.peak_mb - one.peak_mb,
        "read_memory_growth_mb": window.peak_mb - costs["read: windows, one file"].peak_mb,
    }


def some(files: FileSet, rows: slice) -> FileSet:
    return FileSet(files.fingerprint, files.records[rows])


def n_images(files: FileSet) -> int:
    return sum(record["n_images"] for record in files.records)


def stored(folder: Path) -> tuple[int, int]:
    """Images and bytes of the latest store in a folder."""
    store = open_store(folder)
    return len(store), sum(path.stat().st_size for path in store.paths)


def open_store(folder: Path) -> EventStore:
    (store,) = EventStoreDataset(filepath=str(folder)).load().values()
    return store


# what is measured: each function prepares a piece of work; what it returns does it, and tells how many images it read
# where these are not all


def build(files: FileSet, folder: Path) -> Work:
    """Build or extend a store, in one process."""
    import ctapipe.io  # noqa: F401  its import is no part of the work

    def work() -> None:
        plan = plan_store(files, SelectionParameters(quality={}), StoreParameters(n_workers=1))
        EventStoreDataset(filepath=str(folder)).save(plan)

    return work


def copy(files: FileSet) -> Work:
    """Copy the file: what any reading and writing costs."""
    path = files.paths[0]
    return partial(copy_file, path, path.with_suffix(".copy"))


def copy_file(path: Path, target: Path) -> None:
    shutil.copyfile(path, target)


def merge(files: FileSet, path: Path) -> Work:
    """Read and write the tables with ctapipe's merger."""
    from ctapipe.io import HDF5Merger

    def work() -> None:
        with HDF5Merger(path, dl1_images=True, dl1_parameters=True, true_images=False) as merger:
            merger(files.paths[0])

    return work


def load(files: FileSet) -> Work:
    """Read images and tables with ctapipe's loader."""
    from ctapipe.io import TableLoader

    def work() -> None:
        with TableLoader(files.paths[0], dl1_images=True, simulated=True, focal_length_choice="EQUIVALENT") as loader:
            for _ in loader.read_telescope_events_chunked(2048):
                pass

    return work


def read_with_peer(files: FileSet, random: bool) -> Work:
    """Read batches with dl1-data-handler, which maps them to square images on the way."""
    from dl1_data_handler.reader import DLImageReader

    reader = DLImageReader([str(files.paths[0])], focal_length_choice="EQUIVALENT")
    rows = np.arange(reader.get_n_events())
    if random:
        np.random.default_rng(0).shuffle(rows)
    batches = rows[: len(rows) // BATCH * BATCH].reshape(-1, BATCH)[:PEER_BATCHES]
    reader.generate_mono_batch(batches[-1].tolist())

    def work() -> int:
        for batch in batches:
            reader.generate_mono_batch(batch.tolist())
        return batches.size

    return work


def open_all(folder: Path) -> Work:
    """Open the latest store of a folder with all columns of its table."""
    return lambda: len(open_store(folder).table)


def read(folder: Path, function: Callable[[EventStore], int | None], cold: bool = False) -> Work:
    """Read the latest store of a folder, taken out of the system's cache before or not."""
    store = open_store(folder)
    if cold:
        for path in store.paths:
            forget(path)
    return lambda: function(store)


def iterate(store: EventStore) -> int:
    """Read all records once, in the windows of an epoch."""
    order = epoch_order(np.arange(len(store)), seed=0, epoch=0)
    step = BLOCK * BLOCKS_PER_WINDOW
    return sum(len(store.records(np.sort(order[start : start + step]))) for start in range(0, len(order), step))


def read_singly(store: EventStore) -> int:
    """Read batches of single rows from all over the store."""
    rng = np.random.default_rng(0)
    for _ in range(SINGLE_BATCHES):
        store.records(rng.integers(len(store), size=BATCH))
    return SINGLE_BATCHES * BATCH


def forget(path: Path) -> None:
    """Take a file out of the system's cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
