import errno
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import tables

from cherenkov_pipeline.dl1 import written
from cherenkov_pipeline.dl1.convert import plan_dl1
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.written import written_completely
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import run_plan
from cherenkov_pipeline.files import LOCK

Usage = namedtuple("Usage", "free")


@pytest.fixture
def full_disk(monkeypatch):
    monkeypatch.setattr(written.shutil, "disk_usage", lambda path: Usage(free=4096))


@pytest.fixture
def good(records, tmp_path) -> Path:
    return Path(shutil.copy(records["sst1m"]["path"], tmp_path / "good.h5"))


def damage(path: Path) -> None:
    """Lose one page of the images, as a full disk does."""
    with tables.open_file(str(path)) as file:
        offset = file.root.dl1.event.telescope.images.tel_001.chunk_info((0,)).offset
    with path.open("r+b") as stream:
        stream.seek(offset + 1000)
        stream.write(bytes(4096))


def test_complete_file_passes(good):
    with written_completely(good):
        pass


def test_lost_page_is_found(good):
    damage(good)
    with pytest.raises(UserError, match="not written completely"), written_completely(good):
        pass


def test_lost_page_on_a_full_disk(good, full_disk):
    damage(good)
    with pytest.raises(OSError, match="No space left") as caught, written_completely(good):
        pass
    assert caught.value.errno == errno.ENOSPC


def test_hole_counts_on_a_full_disk_only(good, monkeypatch):
    monkeypatch.setattr(written, "_has_hole", lambda path: True)
    with written_completely(good):
        pass
    monkeypatch.setattr(written.shutil, "disk_usage", lambda path: Usage(free=0))
    with pytest.raises(OSError, match="No space left"), written_completely(good):
        pass


def test_hole(tmp_path, good):
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as stream:
        stream.seek(1_000_000)
        stream.write(b"end")
    assert written._has_hole(sparse)
    assert not written._has_hole(good)


def test_other_errors_go_through(good):
    with pytest.raises(KeyError), written_completely(good):
        raise KeyError("a fault of ours")


def test_conversion_on_a_full_disk(raw, tmp_path, serial, monkeypatch, full_disk):
    """PyTables loses what does not fit without a word; nothing that existed is lost, and nothing incomplete is left."""
    flush = written._read_back

    def lose_a_page(path):
        damage(path)
        flush(path)

    monkeypatch.setattr(written, "_read_back", lose_a_page)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="No space left") as caught:
        run_plan(plan_dl1(find_inputs(raw["sst1m"]), serial), tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.name != LOCK] == ["notes.txt"]
