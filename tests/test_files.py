"""Files are written whole or not at all."""

import errno
import json
import os
import platform
import stat
from pathlib import Path
from threading import Thread

import pytest

from cherenkov_pipeline.errors import TemporaryError
from cherenkov_pipeline.files import atomic_path, locked, write_durably, write_json


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".part-")]


def replace(path: Path, error: BaseException | type[BaseException]) -> None:
    """Begin to replace a file, and fail."""
    with atomic_path(path) as part:
        part.write_text("half")
        raise error


def make_folder(path: Path, content: str) -> None:
    with atomic_path(path) as part:
        part.mkdir()
        (part / "file").write_text(content)


class TestAtomicPath:
    def test_file_appears_at_the_end(self, tmp_path):
        with atomic_path(tmp_path / "deep" / "a.dl1.h5") as part:
            part.write_text("new")
            assert part.name.endswith("a.dl1.h5")
            assert not (tmp_path / "deep" / "a.dl1.h5").exists()
        assert (tmp_path / "deep" / "a.dl1.h5").read_text() == "new"
        assert not leftovers(tmp_path)

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_existing_file_survives_a_failure(self, tmp_path, error):
        target = tmp_path / "a.txt"
        target.write_text("old")
        with pytest.raises(error):
            replace(target, error)
        assert target.read_text() == "old"
        assert not leftovers(tmp_path)

    def test_folder(self, tmp_path):
        make_folder(tmp_path / "folder", "x")
        assert (tmp_path / "folder" / "file").read_text() == "x"
        with pytest.raises(OSError, match="not empty"):
            make_folder(tmp_path / "folder", "y")
        assert (tmp_path / "folder" / "file").read_text() == "x"

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_full_disk(self, tmp_path, number):
        target = tmp_path / "a.txt"
        target.write_text("old")
        with pytest.raises(TemporaryError, match="No space left") as caught:
            replace(target, OSError(number, os.strerror(number)))
        assert target.read_text() == "old"
        assert not leftovers(tmp_path)
        assert str(caught.value).endswith("set CHERENKOV_DATA to another disk.")
        assert "\n" not in str(caught.value)

    def test_other_system_errors_stay_what_they_are(self, tmp_path):
        with pytest.raises(PermissionError), atomic_path(tmp_path / "a.txt"):
            raise PermissionError

    def test_equal_names_and_pids_of_two_machines_do_not_meet(self, tmp_path):
        target = tmp_path / "a.txt"
        with atomic_path(target) as ours:
            ours.write_text("ours")
            with atomic_path(target) as theirs:
                theirs.write_text("theirs")
            assert target.read_text() == "theirs"
            assert ours.name.startswith(f".part-{platform.node()[:16]}-{os.getpid()}-")
        assert target.read_text() == "ours"
        assert not leftovers(tmp_path)


@pytest.mark.parametrize("syncs", [True, False])
def test_write_durably(tmp_path, monkeypatch, syncs):
    """Also on a disk that syncs no folders."""
    synced, fsync = [], os.fsync

    def noted(descriptor):
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        if synced[-1] and not syncs:
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    files = {tmp_path / "a.txt": b"a", tmp_path / "b.txt": b"b"}
    write_durably(files)
    assert {path: path.read_bytes() for path in files} == files
    assert synced == [False, False, True]
    assert not leftovers(tmp_path)


def test_write_json(tmp_path):
    write_json(tmp_path / "a.json", {"b": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1, None]}


def test_waiting_for_another_process_takes_until_it_is_gone(tmp_path):
    order = []

    def second() -> None:
        with locked(tmp_path, wait=True):
            order.append("second")

    with locked(tmp_path):
        thread = Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
