"""Fixtures that several rooms share."""

import os
import sys
from pathlib import Path

import pytest

# a worker of pytest-xdist has one core, and small networks are slower on two
for _threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

LONGEST = ("test_first_light.py", "test_first_alert.py")
"""Files that run whole pipelines: no worker of pytest-xdist begins with one of them when the others have finished."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files be first."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    """Leave the graphs of the tests' small networks as they are: to optimise them costs a fifth of their trainings."""
    # whole pipelines in processes of their own, and tests that import TensorFlow late, keep the optimiser
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real files; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("CHERENKOV_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real files: {folder} is not a folder (set CHERENKOV_TEST_DATA)")
    return folder
