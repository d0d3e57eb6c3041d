"""DL1 files with a few toy events, written by ctapipe."""

from pathlib import Path

import pytest
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1


@pytest.fixture(scope="session")
def toy_gammas() -> list[ToyEvent]:
    return [ToyEvent(event_id=100 * number, seed=number) for number in range(1, 31)]


@pytest.fixture(scope="session")
def gamma_file(tmp_path_factory, toy_gammas) -> Path:
    """60 images of two telescopes of one type."""
    path = tmp_path_factory.mktemp("dl1") / "gamma.dl1.h5"
    return write_dl1(path, subarray({1: camera(), 2: camera()}), toy_gammas)


@pytest.fixture(scope="session")
def proton_file(tmp_path_factory) -> Path:
    """40 images with the obs_id and event_ids of the gammas."""
    path = tmp_path_factory.mktemp("dl1") / "proton.dl1.h5"
    events = [ToyEvent(event_id=100 * number, seed=1000 + number, primary=101) for number in range(1, 21)]
    return write_dl1(path, subarray({1: camera(), 2: camera()}), events)
