"""Speed and size of every registered model: training and inference, on the same small store of simulated showers.

Each model has its default options and input, and a process of its own, whose peak memory is its own. It learns
energies alone, with the optimizer and the batch size that the project's parameters choose. Rates are events a second,
from packed pixels in memory to a step of the optimizer, or to predictions; an event of a stereo model is the images of
two telescopes. ``waits`` is the share of the training in which the device waits for data: how much faster it is on one
batch that is made only once. ``memory_kept`` is how much faster it is since the process keeps the memory that it frees.
Runs on the GPU where Keras' backend finds one, and says on what.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._process import measure
from benchmarks._report import report
from benchmarks._training import shipped_training
from benchmarks.store import THESIS
from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.dl1.simulated import write_run
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.models.registry import REGISTRY, complete_input
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.parameters import StoreParameters
from cherenkov_pipeline.training.parameters import TrainingParameters

PRODUCTION = Production(
    particle="gamma",
    n_files=1,
    n_showers=30_000,
    energy_min="1 TeV",
    energy_max="100 TeV",
    core_radius="400 m",
    viewcone_radius="3 deg",
    spectral_index=-1.5,
)
TASK = "energy"
THESIS_EPOCHS = 12
"""Epochs of the thesis' training, with CTLearn's thin ResNet."""

PREDICTED_AT_ONCE = 256
"""Events in a forward pass of the inference."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the simulated showers and of the time")
    parser.add_argument("--seconds", type=float, default=10.0, help="that each measurement takes, at least two steps")
    parser.add_argument("--batch-size", type=int, help="of the training; default: that of the parameters")
    parser.add_argument("--cores", type=int, help="use so many cores; default: all")
    parser.add_argument("--models", nargs="+", default=list(REGISTRY), choices=REGISTRY, help="default: all")
    parser.add_argument("--store", nargs="+", type=Path, help="your own store's files, of one telescope type")
    arguments = parser.parse_args()
    if arguments.cores:
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[: arguments.cores]))
        os.environ |= {"TF_NUM_INTRAOP_THREADS": str(arguments.cores), "TF_NUM_INTEROP_THREADS": "1"}
    changes = {"batch_size": arguments.batch_size} if arguments.batch_size else {}
    training = shipped_training(TASK, seed=0, epochs=THESIS_EPOCHS, in_memory=True, **changes)
    with tempfile.TemporaryDirectory() as folder:
        paths = arguments.store or simulated_store(Path(folder), arguments.scale)
        rows = []
        for name in arguments.models:
            cost = measure(prepare, name, paths, training, arguments.seconds * arguments.scale)
            rows.append({"model": name, **cost.result, "peak_memory_mb": round(cost.peak_mb)})
            print(rows[-1], flush=True)
    print(f"device: {rows[0]['device']}")
    figures: dict[str, Any] = {"device": rows[0].pop("device")}
    for row in rows:
        row.pop("device", None)
        figures |= {f"{row['model']}_{key}": value for key, value in row.items() if key != "model"}
    if rate := figures.get("resnet_train_events_per_s"):
        figures["resnet_thesis_training_hours"] = round(THESIS * THESIS_EPOCHS / rate / 3600, 2)
    report(rows, figures)


def simulated_store(folder: Path, scale: float) -> list[Path]:
    """Files of a store of gamma showers, as the pipeline makes it."""
    production = PRODUCTION.model_copy(update={"n_showers": max(1500, round(PRODUCTION.n_showers * scale))})
    dl1 = folder / "gamma.dl1.h5"
    write_run(
        dl1,
        name="models",
        obs_id=1,
        seed=np.random.SeedSequence(1),
        parameters=SimulationParameters(training={"gamma": production}, test={}),
        production=production,
        dl1_parameters=DL1Parameters(),
    )
    files = FileSet("benchmark", [{"path": str(dl1), "fingerprint": "models"}])
    plan = plan_store(files, SelectionParameters(), StoreParameters(n_workers=1))
    return list(run_plan(plan, folder / "store").paths)


def prepare(
    name: str, paths: Sequence[Path], training: TrainingParameters, seconds: float
) -> Callable[[], dict[str, Any]]:
    """Load the store and build the model; the measurement of it."""
    from cherenkov_pipeline.models.parameters import ModelParameters
    from cherenkov_pipeline.store import EventStore
    from cherenkov_pipeline.tasks import get_task
    from cherenkov_pipeline.training.task import task_batches

    store, task, inputs = EventStore(paths), get_task(TASK), complete_input(name)
    parameters = ModelParameters(name=name)
    if REGISTRY[name].trainer == "forest":
        return lambda: forest(store, task, parameters, inputs, training, seconds)
    batches = task_batches(store, task, inputs, training, "train")
    events = task_batches(store, task, inputs, training.model_copy(update={"batch_size": PREDICTED_AT_ONCE}), "train")
    return lambda: network(parameters, task, training, batches, events, seconds)


def forest(store, task, parameters, inputs, training, seconds: float) -> dict[str, Any]:
    """Grow and predict; the growing is timed as a whole."""
    from cherenkov_pipeline.training.forest import train_forest
    from cherenkov_pipeline.training.task import task_batches

    model, history = train_forest(store, task, parameters, inputs, training)
    n_events = len(store.indices("train", task.particles))
    at_once = training.model_copy(update={"batch_size": PREDICTED_AT_ONCE})
    events = task_batches(store, task, inputs, at_once, "train")
    return {
        **described(model),
        "train_events_per_s": round(n_events / float(history["seconds"][0])),
        "waits": 0.0,
        "memory_kept": 1.0,
        "inference_events_per_s": round(inference(model, events, seconds)),
    }


def network(parameters, task, training, batches, events, seconds: float) -> dict[str, Any]:
    """Train and predict."""
    from cherenkov_pipeline.models.backend import COMPILING_PAYS, jit_compile, keep_memory
    from cherenkov_pipeline.models.build import build_model, measure_scales, task_likelihood
    from cherenkov_pipeline.training.optimizers import make_optimizer

    inputs, targets = batches[0]
    scales = measure_scales(inputs, targets)
    model = build_model(parameters, task, batches.shapes, scales, batches.maker.mapping)
    likelihood = task_likelihood(task, "telescopes" in batches.shapes)
    as_in_long_trainings = jit_compile(model, COMPILING_PAYS)
    model.compile(make_optimizer(training.optimizer), likelihood.loss(), jit_compile=as_in_long_trainings)
    same = [(inputs, targets)]
    n_events = len(targets)
    trained = [rate(lambda n, source=source: fit(model, source, n), n_events, seconds) for source in (batches, same)]
    keep_memory(False)
    mapped_anew = rate(lambda n: fit(model, batches, n), n_events, seconds)
    keep_memory()
    return {
        **described(model),
        "train_events_per_s": round(trained[0], 1),
        "waits": round(max(0.0, 1 - trained[0] / trained[1]), 3),
        "memory_kept": round(trained[0] / mapped_anew, 2),
        "inference_events_per_s": round(inference(model, events, seconds), 1),
        **device_memory(),
    }


def described(model) -> dict[str, Any]:
    """Say what the model is and runs on."""
    from cherenkov_pipeline.models.cost import model_cost

    cost = model_cost(model)
    return {"device": device(), "parameters": cost.parameters, "gflops": round(cost.gflops, 5)}


def fit(model, source: Sequence[tuple[Any, Any]], n_steps: int) -> None:
    """Train so many steps, on batches made as in a training, each in turn."""
    from cherenkov_pipeline.models.backend import keras

    class Steps(keras.utils.PyDataset):
        def __len__(self) -> int:
            return n_steps

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            return source[index % whole]

    whole = max(1, len(source) - 1)  # the last batch may be smaller: another graph
    model.fit(Steps(), epochs=1, shuffle=False, verbose=0)


def inference(model, events, seconds: float) -> float:
    """Events a second of predictions, batches included."""
    from cherenkov_pipeline.models.backend import jit_compile

    if jit_compile() is False:
        model.jit_compile = False
    whole = max(1, len(events) - 1)

    def predict(n: int) -> None:
        for index in range(n):
            model.predict_on_batch(events[index % whole][0])

    return rate(predict, min(PREDICTED_AT_ONCE, len(events.targets)), seconds)


def rate(work: Callable[[int], None], n_events: int, seconds: float) -> float:
    """Events a second of a work of n steps, after one that does not count."""
    work(1)
    start = time.perf_counter()
    work(2)
    step = (time.perf_counter() - start) / 2
    n_steps = max(2, round(seconds / step))
    start = time.perf_counter()
    work(n_steps)
    return n_steps * n_events / (time.perf_counter() - start)


def device_memory() -> dict[str, int]:
    """Say how much memory of a GPU the work took at most; nothing without one."""
    from cherenkov_pipeline.models.backend import keras

    peak = 0
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            for gpu in tf.config.list_logical_devices("GPU"):
                peak += tf.config.experimental.get_memory_info(gpu.name.removeprefix("/device:"))["peak"]
        case "jax":
            import jax

            for gpu in jax.local_devices():
                peak += (gpu.memory_stats() or {}).get("peak_bytes_in_use", 0)
        case "torch":
            import torch

            peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {"device_memory_mb": round(peak / 1e6)} if peak else {}


def device() -> str:
    """Backend, and GPU or number of cores."""
    from cherenkov_pipeline.models.backend import keras

    backend = keras.backend.backend()
    names = []
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        names = [str(tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")) for gpu in gpus]
    elif backend == "jax":
        import jax

        names = [one.device_kind for one in jax.devices() if one.platform != "cpu"]
    elif backend == "torch":
        import torch

        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"{backend}, {', '.join(names) or f'{len(os.sched_getaffinity(0))} CPU cores'}"


if __name__ == "__main__":
    main()
