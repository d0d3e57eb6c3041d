"""An untrained model of the toy camera, and DL1 files for it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.store.toy_dl1 import ToyEvent, camera, geometry, subarray, write_dl1
from tests.toy_store import toy_store

from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.parameters import InputParameters

if TYPE_CHECKING:
    from cherenkov_pipeline.models.saved import TrainedModel

INPUTS = InputParameters(channels=("log_image", "peak_time"), mapping="axial")
MODEL = ModelParameters(options={"filters": [4]}, head={"options": {"units": [4]}})


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> EventStore:
    return toy_store(tmp_path_factory.mktemp("store") / "toy.store.h5", 100, camera=geometry())


@pytest.fixture(scope="session")
def trained(store, tmp_path_factory) -> "TrainedModel":
    # tests of tables need no Keras
    from tests.untrained import untrained

    return untrained(store, "energy", MODEL, INPUTS, tmp_path_factory.mktemp("states"))


@pytest.fixture(scope="session")
def events() -> list[ToyEvent]:
    """23 events, some seen by one telescope only."""
    return [
        ToyEvent(event_id=100 - 3 * number, seed=number, tel_ids=((1, 2), (1,), (2,))[number % 3])
        for number in range(23)
    ]


@pytest.fixture(scope="session")
def dl1_file(tmp_path_factory, events) -> Path:
    path = tmp_path_factory.mktemp("dl1") / "gamma.dl1.h5"
    return write_dl1(path, subarray({1: camera(), 2: camera()}), events)


@pytest.fixture(scope="session")
def shuffled_file(tmp_path_factory, events) -> Path:
    """The same events, the pixels in another order."""
    order = np.random.default_rng(0).permutation(geometry().n_pixels)
    path = tmp_path_factory.mktemp("dl1") / "shuffled.dl1.h5"
    return write_dl1(path, subarray({1: camera(order=order), 2: camera(order=order)}), events)


@pytest.fixture(scope="session")
def mixed_file(tmp_path_factory, events) -> Path:
    """Telescope 2 has another camera."""
    path = tmp_path_factory.mktemp("dl1") / "mixed.dl1.h5"
    return write_dl1(path, subarray({1: camera(), 2: camera(rings=8, name="OtherCam")}), events)


@pytest.fixture(scope="session")
def other_file(tmp_path_factory, events) -> Path:
    """Another camera altogether."""
    path = tmp_path_factory.mktemp("dl1") / "other.dl1.h5"
    other = camera(rings=8, name="OtherCam")
    return write_dl1(path, subarray({1: other, 2: other}), events)
