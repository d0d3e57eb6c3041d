"""Saving deletes nothing: neither earlier versions, nor what the user put into the folder."""

import functools
from pathlib import Path

import pytest
from astropy.table import QTable
from kedro.io import DatasetError

from cherenkov_pipeline.datasets.astropy_table import AstropyTableDataset
from cherenkov_pipeline.datasets.file_set import FileSetDataset
from cherenkov_pipeline.file_plans import FileJob, FilePlan


def write_text(path: Path, text: str) -> dict:
    path.write_text(text)
    return {}


def fail(path: Path) -> dict:
    path.write_text("half")
    raise RuntimeError


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A dataset's folder with a version, a user's notes and a user's folder named like nothing of ours."""
    FileSetDataset(filepath=str(tmp_path)).save(
        FilePlan("f1", [FileJob("a.txt", functools.partial(write_text, text="one"))])
    )
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "old_results").mkdir()
    (tmp_path / "old_results" / "a.txt").write_text("mine too")
    (tmp_path / "f1" / "beside.txt").write_text("mine as well")
    return tmp_path


@pytest.mark.parametrize("fingerprint", ["f1", "f2"])
@pytest.mark.parametrize("function", [functools.partial(write_text, text="two"), fail], ids=["well", "failing"])
def test_files_of_others_and_earlier_versions_stay(folder, fingerprint, function):
    before = content(folder)
    try:
        FileSetDataset(filepath=str(folder)).save(FilePlan(fingerprint, [FileJob("b.txt", function)]))
    except DatasetError:
        assert function is fail
    after = content(folder)

    kept = {name for name in before if not name.endswith(".json")}  # manifests tell the latest plan
    assert {name: before[name] for name in kept} == {name: after.get(name) for name in kept}
    assert "half" not in after.values()


def test_table_that_cannot_be_written_leaves_the_earlier_one(tmp_path):
    dataset = AstropyTableDataset(filepath=str(tmp_path / "table.ecsv"))
    dataset.save(QTable({"a": [1, 2]}))
    with pytest.raises(DatasetError):
        dataset.save(QTable({"a": [object()]}))
    assert list(dataset.load()["a"]) == [1, 2]
