"""The revision that results are marked with."""

import subprocess

import pytest

from cherenkov_pipeline import revision
from cherenkov_pipeline.revision import code_fingerprint, git_revision


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_change_of_a_tracked_file_is_told(tmp_path):
    (tmp_path / "file").write_text("one")
    git(tmp_path, "init")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    clean = git_revision(tmp_path)
    (tmp_path / "file").write_text("two")
    assert git_revision(tmp_path) == f"{clean}-dirty"


def test_no_revision_outside_a_checkout(tmp_path):
    assert git_revision(tmp_path) == "unknown"


@pytest.mark.parametrize("room", ["no_such_room", "empty"])
def test_a_room_without_code_is_a_mistake(room, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(revision, "PACKAGE", tmp_path)
    with pytest.raises(ValueError, match=room):
        code_fingerprint(room)


def test_code_of_other_rooms_does_not_count(tmp_path, monkeypatch):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("a")
    (tmp_path / "other.py").write_text("b")
    monkeypatch.setattr(revision, "PACKAGE", tmp_path)

    def fingerprints():
        code_fingerprint.cache_clear()
        return code_fingerprint("room"), code_fingerprint("other"), code_fingerprint("room", "other")

    before = fingerprints()
    (tmp_path / "other.py").write_text("c")
    after = fingerprints()
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert before[2] != after[2]
    code_fingerprint.cache_clear()
