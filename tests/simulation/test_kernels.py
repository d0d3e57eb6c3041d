import importlib.util
from pathlib import Path

import numba
import pytest

from cherenkov_pipeline.simulation.kernels import drop_stale_kernels

KERNEL = """
import numba

@numba.njit(cache=True)
def kernel():
    return 1
"""


@pytest.fixture
def room(tmp_path, monkeypatch) -> Path:
    """Folder of sources; numba caches beside them."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    folder = tmp_path / "room"
    folder.mkdir()
    (folder / "a.py").write_text("WIDTH = 1")
    (folder / "b.py").write_text(KERNEL)
    return folder


def load_kernel(room: Path):
    """Import a room anew, as a new process does."""
    spec = importlib.util.spec_from_file_location("b", room / "b.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.kernel


def in_the_tree(room: Path, monkeypatch) -> Path:
    return room / "__pycache__"


def where_the_environment_says(room: Path, monkeypatch) -> Path:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(room.parent / "chosen"))
    return room.parent / "chosen"


def with_the_user(room: Path, monkeypatch) -> Path:
    (room / "__pycache__").touch()  # no folder, whoever the user is
    return room.parent / "user"


@pytest.mark.parametrize("cached", [in_the_tree, where_the_environment_says, with_the_user])
def test_kernels_go_when_any_source_changes(cached, room, monkeypatch):
    cache = cached(room, monkeypatch)
    kernel = load_kernel(room)
    assert drop_stale_kernels(kernel)
    kernel()
    assert len(list(cache.rglob("*.nbc"))) == 1
    assert not drop_stale_kernels(load_kernel(room))
    assert len(list(cache.rglob("*.nbc"))) == 1
    (room / "a.py").write_text("WIDTH = 2")
    assert drop_stale_kernels(load_kernel(room))
    assert not list(cache.rglob("*.nb*"))
