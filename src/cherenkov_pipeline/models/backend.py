"""Keras and its backend: imported quietly, once, here; modules that need Keras take it from this one."""

import os
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


with _quiet_start():
    import keras

    # the first tensor starts the devices
    keras.ops.zeros(())

__all__ = ["jit_compile", "keras", "make_reproducible"]


def jit_compile() -> bool | str:
    """Value of Keras' ``jit_compile``: XLA where it pays.

    On a CPU, TensorFlow's convolutions are several times slower with XLA, which Keras would choose by itself.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return "auto" if tf.config.list_physical_devices("GPU") else False
    return "auto"


def make_reproducible(seed: int, deterministic: bool) -> None:
    """Seed Python, NumPy and the backend; where asked, allow only operations whose result is always the same."""
    keras.utils.set_random_seed(seed)
    if not deterministic:
        return
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            tf.config.experimental.enable_op_determinism()
        case "torch":
            import torch

            torch.use_deterministic_algorithms(True)
