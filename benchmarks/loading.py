"""Batches for training on one core: dl1-data-handler's reader and the event store, side by side on the same images.

Images of simulated SST-1M showers in random order, batches of 64, channels image and peak time. The store holds them
several times over, so that they are not in the processor's cache. Rates are of CPU time, all in one process on one
core, in turns: medians.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks._report import report
from cherenkov_pipeline.dl1.contents import IMAGE
from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.dl1.simulated import write_run
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.parameters import InputParameters, StoreParameters

BATCH_SIZE = 64
CHANNELS = ("image", "peak_time")
MAPPED = InputParameters(channels=CHANNELS, mapping="bilinear", size=96)
PIXELS = MAPPED.model_copy(update={"map_in": "network"})
BRIGHTEST = InputParameters(channels=(), mapping=None, brightest=80)
PRODUCTION = Production(
    particle="gamma",
    n_files=1,
    n_showers=40_000,
    energy_min="1 TeV",
    energy_max="300 TeV",
    core_radius="500 m",
    viewcone_radius="3 deg",
)
N_IMAGES = 40_000
"""In the store at least, at full scale: whole copies of the DL1 file's 29,000, 312 MB. HDF5 keeps 1,400 images of each
telescope, and a smaller file would be read from memory, which no training sample is."""

TURNS = 12
PEER_BATCHES, OUR_BATCHES = 5, 60
"""Of a turn."""

TRAINING_BATCHES = 40
PEER = "dl1-data-handler"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the default number of images")
    parser.add_argument("--dl1", type=Path, help="your own DL1 file, of simulated images of one telescope type")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dl1 = (arguments.dl1 or simulated(folder / "gamma.dl1.h5", arguments.scale)).resolve()
        store = repeated(dl1, folder, round(N_IMAGES * arguments.scale))
        loading(dl1, store, folder)


def loading(dl1: Path, store: EventStore, folder: Path) -> None:
    from dl1_data_handler.reader import DLImageReader

    from cherenkov_pipeline.store.batches import Batches

    reader = DLImageReader(
        input_url_signal=[str(dl1)],
        focal_length_choice="EQUIVALENT",
        channels=list(CHANNELS),
        image_mapper_type="BilinearMapper",
    )
    rng = np.random.default_rng(0)

    def peer(_: int) -> int:
        return len(reader.generate_mono_batch(rng.integers(reader.get_n_events(), size=BATCH_SIZE)))

    def ours(parameters: InputParameters, in_memory: bool) -> Callable[[int], int]:
        batches = Batches(
            store, np.arange(len(store)), parameters, no_labels, BATCH_SIZE, in_memory=in_memory, label_columns=IMAGE
        )
        return lambda number: len(batches[number % len(batches)][1])

    sources = {
        PEER: peer,
        "mapped 96x96": ours(MAPPED, in_memory=True),
        "pixels": ours(PIXELS, in_memory=True),
        "mapped 96x96, from the file": ours(MAPPED, in_memory=False),
        "pixels, from the file": ours(PIXELS, in_memory=False),
        "80 brightest pixels": ours(BRIGHTEST, in_memory=True),
    }
    rates = measure(sources)
    reference = rates[PEER]
    bandwidth = memory_bandwidth()
    n_pixels, record = store.n_pixels, store.records(slice(0, 1)).itemsize
    moved = {
        "mapped 96x96": record + 4 * 96 * 96 * len(CHANNELS),
        "pixels": record + 4 * n_pixels * len(CHANNELS),
    }
    rows = [
        {
            "batches": name,
            "images/s": rate,
            "ratio": rate / reference,
            "GB/s read and written": rate * moved[name] / 1e9 if name in moved else np.nan,
        }
        for name, rate in rates.items()
    ]
    figures = {
        "peer_images_per_s": reference,
        "mapped_images_per_s": rates["mapped 96x96"],
        "mapped_ratio": rates["mapped 96x96"] / reference,
        "pixel_images_per_s": rates["pixels"],
        "pixel_ratio": rates["pixels"] / reference,
        "mapped_from_file_ratio": rates["mapped 96x96, from the file"] / reference,
        "pixel_from_file_ratio": rates["pixels, from the file"] / reference,
        "brightest_images_per_s": rates["80 brightest pixels"],
        "memory_copy_gb_per_s": bandwidth / 1e9,
        "mapped_bandwidth_fraction": rates["mapped 96x96"] * moved["mapped 96x96"] / bandwidth,
        "pixel_bandwidth_fraction": rates["pixels"] * moved["pixels"] / bandwidth,
        **deviations(reader, store),
        "waiting_fraction": waiting_fraction(store, folder),
        "n_images": len(store),
    }
    report(rows, figures)


def simulated(path: Path, scale: float) -> Path:
    """DL1 file of gamma showers, as the pipeline makes it."""
    write_run(
        path,
        name="loading",
        obs_id=1,
        seed=np.random.SeedSequence(1),
        parameters=SimulationParameters(training={"gamma": PRODUCTION}, test={}),
        production=PRODUCTION.model_copy(update={"n_showers": round(PRODUCTION.n_showers * scale)}),
        dl1_parameters=DL1Parameters(),
    )
    return path


def repeated(dl1: Path, folder: Path, n_images: int) -> EventStore:
    """Store of the file, linked under other names until there are so many images."""
    store = stored([dl1], folder / "store-1")
    copies = [folder / f"copy{number}.dl1.h5" for number in range(-(-n_images // len(store)))]
    for copy in copies:
        copy.symlink_to(dl1)
    return stored(copies, folder / "store-n")


def stored(paths: list[Path], folder: Path) -> EventStore:
    files = FileSet("benchmark", [{"path": str(path), "fingerprint": path.name} for path in paths])
    plan = plan_store(files, SelectionParameters(quality={}), StoreParameters(n_workers=1))
    return EventStore(list(run_plan(plan, folder).paths))


def no_labels(table: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.zeros((len(table), 1))


def measure(sources: Mapping[str, Callable[[int], int]]) -> dict[str, float]:
    """Images per second of CPU time, in turns, after one that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for turn in range(TURNS + 1):
        for name, load in sources.items():
            n_batches = PEER_BATCHES if name == PEER else OUR_BATCHES
            start = time.process_time()
            n = sum(load(turn * n_batches + number) for number in range(n_batches))
            if turn:
                rates[name].append(n / (time.process_time() - start))
    return {name: float(np.median(found)) for name, found in rates.items()}


def memory_bandwidth() -> float:
    """Bytes read and written per second by the fastest of some copies of 256 MB."""
    source = np.ones(2**25)
    target = np.empty_like(source)
    seconds = []
    for _ in range(6):
        start = time.process_time()
        np.copyto(target, source)
        seconds.append(time.process_time() - start)
    return 2 * source.nbytes / min(seconds[1:])


def deviations(reader: Any, store: EventStore) -> dict[str, float]:
    """Largest deviation from dl1-data-handler's images, in units of the store's stated precision.

    Its own mapper takes SST-1M's lines of pixels for two (see `cherenkov_pipeline.store.mapping`): it is given the
    camera on an exact lattice, and its unmended images are compared for information, in p.e.
    """
    from dl1_data_handler.image_mapper import BilinearMapper

    from cherenkov_pipeline.store.inputs import input_maker
    from cherenkov_pipeline.store.mapping import on_exact_lattice
    from cherenkov_pipeline.store.packing import CHARGE_PRECISION

    maker = input_maker(store.camera, MAPPED)
    unmended = reader.image_mappers[reader.cam_name]
    mended = BilinearMapper(geometry=on_exact_lattice(reader.subarray.tel[reader.tel_ids[0]].camera.geometry))
    keys = store.columns(IMAGE)
    rows = {tuple(map(int, key)): row for row, key in enumerate(zip(*(keys[name] for name in IMAGE), strict=True))}
    found = {"mended": 0.0, "unmended": 0.0}
    for start in range(0, 4 * BATCH_SIZE, BATCH_SIZE):
        images = {}
        for name, mapper in {"mended": mended, "unmended": unmended}.items():
            reader.image_mappers[reader.cam_name] = mapper
            batch = reader.generate_mono_batch(
                np.arange(start, min(start + BATCH_SIZE, len(reader.example_identifiers)))
            )
            images[name] = np.asarray(batch["features"])
        records = store.records(np.array([rows[tuple(int(row[name]) for name in IMAGE)] for row in batch]))
        ours = maker.from_records(records, np.arange(len(records)))["image"]
        # half a unit in the last place of a float16, of each pixel; the weights of the mapping are positive
        stored = np.stack([records["image"], records["peak_time"]], axis=-1).astype(np.float32)
        allowed = CHARGE_PRECISION * maker.mapping.map(np.abs(stored)) + 1e-4
        found["mended"] = max(found["mended"], float((np.abs(ours - images["mended"]) / allowed).max()))
        found["unmended"] = max(found["unmended"], float(np.abs(ours - images["unmended"])[..., 0].max()))
    reader.image_mappers[reader.cam_name] = deepcopy(unmended)
    return {"deviation_in_precisions": found["mended"], "deviation_unmended_pe": found["unmended"]}


def waiting_fraction(store: EventStore, folder: Path) -> float:
    """Share of a training step of `single_tel` that goes into getting its batch, at most.

    The trainer trains it; then the same batches are taken out of the same queue without a network. CPU time on one
    core: nothing is done beside the arithmetic, and what other cores or a GPU would hide counts as waiting.
    """
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    from cherenkov_pipeline.models.build import build_model, measure_scales
    from cherenkov_pipeline.models.likelihoods import LIKELIHOODS
    from cherenkov_pipeline.models.parameters import ModelParameters
    from cherenkov_pipeline.store.batches import Batches
    from cherenkov_pipeline.tasks import get_task
    from cherenkov_pipeline.training.parameters import TrainingParameters
    from cherenkov_pipeline.training.trainer import train

    class Watched(Batches):
        asked: ClassVar[list[float]] = []

        def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
            self.asked.append(time.process_time())
            return super().__getitem__(index)

    task = get_task("energy")
    rows = np.random.default_rng(0).choice(len(store), TRAINING_BATCHES * BATCH_SIZE)
    options = {"batch_size": BATCH_SIZE, "label_columns": task.labels}
    training = Watched(store, rows, InputParameters(), task.to_target, **options)
    scales = measure_scales(*training[0])
    train(
        lambda: build_model(ModelParameters(), task, training.shapes, scales),
        LIKELIHOODS[task.likelihood],
        training,
        Batches(store, rows[:8], InputParameters(), task.to_target, **options),
        TrainingParameters(epochs=2),
        folder / "states",
        n_events=len(rows),
        origin={},
    )
    step = np.median(np.diff(training.asked[-TRAINING_BATCHES:]))
    queue = PyDatasetAdapter(training, shuffle=False).get_tf_dataset()
    start = time.process_time()
    n_batches = sum(1 for _ in queue)
    return float((time.process_time() - start) / n_batches / step)


if __name__ == "__main__":
    main()
