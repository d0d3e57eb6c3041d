"""Where and how exactly a network is trained: one device or several, single or mixed precision."""

import functools
import importlib.util
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.training.parameters import TrainingParameters


def check_devices(parameters: TrainingParameters) -> None:
    """Refuse what this installation or machine cannot do.

    Raises
    ------
    UserError
        Says what is missing.
    """
    if parameters.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise UserError("TensorBoard is not installed: pip install tensorboard, or set training.tensorboard to false.")
    _devices(parameters.devices)
    flag = "--xla_gpu_deterministic_ops=true"
    on_jax = keras.backend.backend() == "jax"
    if parameters.deterministic and on_jax and flag not in os.environ.get("XLA_FLAGS", "") and _on_gpu():
        raise UserError(
            f"JAX needs XLA_FLAGS={flag} to be deterministic on a GPU: set it, or training.deterministic to false."
        )


@contextmanager
def distributed(wanted: "int | str") -> Iterator[int]:
    """Divide batches among devices: models that are built in this context have a copy on each.

    Parameters
    ----------
    wanted : int or "all"
        GPUs; CPUs where there is no GPU.

    Yields
    ------
    int
        By how many the events of a batch must be divisible, see `WholeBatches`.
    """
    devices = _devices(wanted)
    if len(devices) == 1:
        yield 1
    elif keras.backend.backend() == "jax":
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=list(devices)))
        try:
            yield len(devices)
        finally:
            keras.distribution.set_distribution(before)
    else:
        with _mirrored(tuple(devices)).scope():
            yield len(devices)


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """TensorFlow's strategy, one for all trainings: a second one would use the first one's names for its sums."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Build layers with this policy of Keras': ``float32``, ``mixed_float16``, ``mixed_bfloat16``."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class WholeBatches(keras.utils.PyDataset):
    """Batches whose number of events can be divided among devices.

    A batch is filled up with events of its own that have no weight in the loss, and the others weigh so much more that
    the batch's mean loss stays what it was.

    Parameters
    ----------
    batches : keras.utils.PyDataset
    divisor : int
    """

    def __init__(self, batches: keras.utils.PyDataset, divisor: int):
        super().__init__(workers=batches.workers, max_queue_size=batches.max_queue_size)
        self.batches, self.divisor = batches, divisor

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[Any, np.ndarray, np.ndarray]:
        """Batch of this number."""
        inputs, targets, *weights = self.batches[index]
        n = len(targets)
        filled = math.ceil(n / self.divisor) * self.divisor
        rows = np.resize(np.arange(n), filled)
        weight = np.asarray(weights[0] if weights else np.ones(n), dtype=np.float32)[rows]
        weight[n:] = 0
        return {name: values[rows] for name, values in inputs.items()}, targets[rows], weight * np.float32(filled / n)


def _devices(wanted: "int | str") -> Sequence[str]:
    backend = keras.backend.backend()
    if wanted == 1:
        return ["one"]
    if backend not in ("tensorflow", "jax"):
        raise UserError(f"{backend} trains on one device here: set training.devices to 1, or choose TensorFlow or JAX.")
    if backend == "jax":
        found = keras.distribution.list_devices()
    else:
        import tensorflow as tf

        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        found = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices(kind)]
    if wanted == "all":
        return found
    if wanted > len(found):
        raise UserError(f"There are {len(found)} devices ({', '.join(found)}), not {wanted}: lower training.devices.")
    return found[:wanted]


def _on_gpu() -> bool:
    return not keras.distribution.list_devices()[0].startswith("cpu")
