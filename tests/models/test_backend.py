import ctypes
import importlib
import platform
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.models.registered import predicted, trained

from cherenkov_pipeline.models.backend import (
    COMPILING_PAYS,
    MEMORY_AS_NEEDED,
    jit_compile,
    keras,
    make_reproducible,
    release_memory,
)

CPU_TENSORFLOW = keras.backend.backend() == "tensorflow" and jit_compile() is False
ON_CPU = pytest.mark.skipif(not CPU_TENSORFLOW, reason="Keras decides on GPUs and with other backends")


@ON_CPU
def test_xla_only_where_it_pays():
    image = keras.Input((8, 8, 1))
    convolutions = keras.Model(image, keras.layers.Conv2D(2, 3)(image))
    dense = keras.Model(image, keras.layers.Dense(2)(image))
    assert jit_compile(dense, COMPILING_PAYS) is True
    assert jit_compile(dense, COMPILING_PAYS - 1) is False
    assert jit_compile(dense, COMPILING_PAYS, deterministic=True) is False
    assert jit_compile(convolutions, COMPILING_PAYS) is False


@ON_CPU
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task"),
    [("set_network", "energy"), ("set_network", "skydirection"), ("stereo_set_network", "skydirection")],
)
def test_xla_trains_the_same(name, task, monkeypatch):
    # Keras would not compile once another test has asked for determinism, which is for a whole process
    config = importlib.import_module("tensorflow.python.framework.config")
    monkeypatch.setattr(config, "is_op_determinism_enabled", lambda: False)
    one, losses, inputs = trained(name, task)
    other, compiled_losses, _ = trained(name, task, n_steps=COMPILING_PAYS)
    assert other.jit_compile
    assert not one.jit_compile
    np.testing.assert_allclose(compiled_losses, losses, rtol=1e-4)
    np.testing.assert_allclose(predicted(other, inputs), predicted(one, inputs), rtol=1e-3, atol=1e-3)


@ON_CPU
def test_determinism_is_of_one_training():
    config = importlib.import_module("tensorflow.python.framework.config")
    make_reproducible(0, deterministic=True)
    assert config.is_op_determinism_enabled()
    make_reproducible(0, deterministic=False)
    assert not config.is_op_determinism_enabled()


def test_memory_of_a_gpu_is_taken_as_needed_unless_the_user_says_otherwise(monkeypatch):
    first, second = MEMORY_AS_NEEDED
    monkeypatch.setenv(first, "false")
    monkeypatch.delenv(second)
    show = "import os; import cherenkov_pipeline.models.backend as at; print(*map(os.environ.get, at.MEMORY_AS_NEEDED))"
    process = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["false", "false"]


GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")


@GLIBC
@pytest.mark.parametrize("in_thread", [False, True])
def test_freed_memory_is_not_mapped_again(in_thread):
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    size = 36 * 2**20

    def page_faults(n_times: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(n_times):
            block = ctypes.c_void_p(libc.malloc(size))
            ctypes.memset(block, 1, size)
            libc.free(block)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def repeated() -> int:
        held = ctypes.c_void_p(libc.malloc(size))  # in a thread, the next block needs another heap
        page_faults(1)
        faults = page_faults(20)
        libc.free(held)
        return faults

    with ThreadPoolExecutor() as pool:
        faults = pool.submit(repeated).result() if in_thread else repeated()
    assert faults < size // resource.getpagesize()


@GLIBC
def test_kept_memory_is_released_when_it_is_asked_for():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    blocks = [np.ones(2**22) for _ in range(8)]
    end = np.ones(2**17)  # what is freed lies in the middle
    before = resident()
    del blocks
    assert resident() > before - 2**26
    release_memory()
    assert resident() < before - 2**27
    assert end.all()
