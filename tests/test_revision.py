"""The revision that results are marked with."""

import subprocess

from cherenkov_pipeline.revision import git_revision


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
