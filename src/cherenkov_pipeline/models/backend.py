"""Keras and its backend: imported quietly, once, here; modules that need Keras take it from this one."""

import ctypes
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Hold back what C++ libraries write to the standard error stream, unless the block raises.

    TensorFlow's notes on absent GPUs come before its own log level counts.
    """
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stderr, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


GLIBC = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
"""The C library, where it is the one whose ``malloc`` is known here."""


def keep_memory(kept: bool = True) -> None:
    """Let glibc's ``malloc`` keep for the process what it frees, whatever its size; elsewhere nothing changes.

    A training step takes and frees tens of MB of working memory. By default ``malloc`` maps blocks of that size anew
    each time, and the kernel clears every page of them again: on CPUs a third to half of a training's time.

    Parameters
    ----------
    kept : bool
        If false, as at the start of a process, but for the thresholds that glibc would move by itself.
    """
    if GLIBC is None:
        return
    M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h
    GLIBC.mallopt(M_MMAP_MAX, 0 if kept else 2**16)
    GLIBC.mallopt(M_TRIM_THRESHOLD, -1 if kept else 2**17)
    # heaps of threads have 64 MB at most, and one with less than this in use is kept
    GLIBC.mallopt(M_TOP_PAD, 2**26 if kept else 2**17)


def release_memory() -> None:
    """Give the system back what `keep_memory` has kept, wherever it lies; to be called now and then, not every step."""
    if GLIBC is not None:
        GLIBC.malloc_trim(0)


MEMORY_AS_NEEDED = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Variables by which TensorFlow and JAX take the memory of a GPU as they need it. By default they take nearly all of it
at once, and a notebook with a model, or another training, finds none."""

keep_memory()
os.environ.update(MEMORY_AS_NEEDED | os.environ)
with _quiet_start():
    import keras

    # the first tensor starts the devices
    keras.ops.zeros(())

__all__ = ["COMPILING_PAYS", "PACKAGE", "jit_compile", "keep_memory", "keras", "make_reproducible", "release_memory"]


PACKAGE = "cherenkov_pipeline"
"""Under which Keras knows our layers and losses."""

COMPILING_PAYS = 3000
"""Steps after which XLA has won back, on a CPU, the half minute that its compilation takes."""


def jit_compile(model: keras.Model | None = None, n_steps: int = 0, deterministic: bool = False) -> bool | str:
    """Value of Keras' ``jit_compile``: XLA where it pays.

    On a CPU, where TensorFlow would do without, dense layers and what is between them become twice as fast with XLA,
    convolutions several times slower.

    Parameters
    ----------
    model : keras.Model, optional
        What is compiled. Default: anything.
    n_steps : int
        For how many steps.
    deterministic : bool
        Whether results must never vary: Keras does not compile then.
    """
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return "auto"
    return model is not None and n_steps >= COMPILING_PAYS and not deterministic and not _convolves(model)


def _convolves(model: keras.Model) -> bool:
    # rows, columns, channels, filters
    return any(len(variable.shape) == 4 for variable in model.variables)


def make_reproducible(seed: int, deterministic: bool) -> None:
    """Seed Python, NumPy and the backend; where asked, allow only operations whose result is always the same.

    Otherwise all are allowed again.
    """
    keras.utils.set_random_seed(seed)
    match keras.backend.backend():
        case "tensorflow":
            from tensorflow.python.framework import config  # the public API has no way back

            if deterministic:
                config.enable_op_determinism()
            else:
                config.disable_op_determinism()
        case "torch":
            import torch

            torch.use_deterministic_algorithms(deterministic)
