"""What predictions cost: time and memory."""

import time
from pathlib import Path

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.models.backend import release_memory
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.reconstruction.predict import make_predictor, predict_store, rows_to_predict
from cherenkov_pipeline.reconstruction.stereo import is_stereo, predict_stereo_store, predictor_of_store, read_images
from cherenkov_pipeline.store import EventStore, JoinedStores

PROCESS = Path("/proc/self")

RESET_TOLERANCE_MIB = 50
"""The peak may differ this much from the present memory right after a reset: other threads go on."""

WARM_UP = (8, 16)
"""Images in the batches before the measurement: after two sizes, TensorFlow's graph takes batches of any size."""


def predict_and_measure(
    trained: TrainedModel, store: EventStore | JoinedStores, split: str
) -> tuple[QTable, dict[str, float]]:
    """Predict one side of a store's split, and measure what that costs.

    Parameters
    ----------
    trained : TrainedModel
    store : EventStore or JoinedStores
    split : {"train", "validation", "test"}

    Returns
    -------
    predictions : QTable
        See `~cherenkov_pipeline.reconstruction.predict.predict_store`; of stereo models
        `~cherenkov_pipeline.reconstruction.stereo.predict_stereo_store`.
    cost : dict
        ``inference_s`` (reading included, compilation of the network not), ``inference_ms_per_event``, ``n_events``;
        where the system tells, ``peak_memory_mib``: the most that the process, with its libraries, held while it
        predicted. All are numbers.

    Raises
    ------
    UserError
        As `~cherenkov_pipeline.reconstruction.predict.predict_store`.
    """
    rows, stereo = rows_to_predict(store, split), is_stereo(trained)
    predictor = predictor_of_store(trained, store) if stereo else make_predictor(trained, store.camera)
    for n_images in WARM_UP:
        first = rows[:n_images]
        images = read_images(predictor, store, first) if stereo else store.read(first)
        predictor.predict(images, np.ones(len(first), dtype=bool))
    is_reset = reset_peak_memory()
    start = time.perf_counter()
    predictions = predict_stereo_store(trained, store, split) if stereo else predict_store(trained, store, split)
    seconds = time.perf_counter() - start
    cost = {
        "inference_s": seconds,
        "inference_ms_per_event": 1000 * seconds / len(predictions),
        "n_events": len(predictions),
    }
    if is_reset and (peak := peak_memory_mib()) is not None:
        cost["peak_memory_mib"] = peak
    return predictions, cost


def reset_peak_memory() -> bool:
    """Let the count of the process's peak memory begin anew; False where the system cannot.

    Memory that was freed and is kept for later is given back first: it is no part of what follows. Some systems take
    the request and do nothing, so what counts is that the peak has come down to the present memory.
    """
    release_memory()
    try:
        (PROCESS / "clear_refs").write_text("5")  # see man proc_pid_clear_refs
    except OSError:
        return False
    peak, present = peak_memory_mib(), _memory_mib("VmRSS")
    return peak is not None and present is not None and peak - present < RESET_TOLERANCE_MIB


def peak_memory_mib() -> float | None:
    """Most memory (resident set, MiB) that the process held since `reset_peak_memory`; None if not known."""
    return _memory_mib("VmHWM")


def _memory_mib(field: str) -> float | None:
    try:
        status = (PROCESS / "status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields[field].split()[0]) / 1024 if field in fields else None
