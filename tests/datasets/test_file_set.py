"""File sets: versions by fingerprint, nothing made twice, nothing lost."""

import functools
from pathlib import Path

import pytest
from kedro.io import DatasetError, Version

from cherenkov_pipeline.datasets.file_set import FileSetDataset
from cherenkov_pipeline.file_plans import FileJob, FilePlan


def write_text(path: Path, text: str) -> dict:
    path.write_text(text)
    return {"n_letters": len(text)}


def fail(path: Path) -> dict:
    raise RuntimeError("this file was to be kept, not made again")


def plan(fingerprint: str, **texts: str) -> FilePlan:
    jobs = [FileJob(f"{name}.txt", functools.partial(write_text, text=text)) for name, text in texts.items()]
    return FilePlan(fingerprint, jobs)


def test_save_makes_files_and_load_returns_their_records(tmp_path):
    dataset = FileSetDataset(filepath=str(tmp_path))
    assert not dataset.exists()
    dataset.save(plan("f1", a="one", b="three"))

    loaded = dataset.load()
    assert dataset.exists()
    assert loaded.fingerprint == "f1"
    assert [path.read_text() for path in loaded.paths] == ["one", "three"]
    assert [record["n_letters"] for record in loaded.records] == [3, 5]


def test_same_plan_makes_nothing_again(tmp_path):
    dataset = FileSetDataset(filepath=str(tmp_path))
    dataset.save(plan("f1", a="one"))
    dataset.save(FilePlan("f1", [FileJob("a.txt", fail)]))
    assert dataset.load().paths[0].read_text() == "one"


def test_grown_plan_takes_over_what_earlier_versions_hold(tmp_path):
    def jobs(*names: str, function) -> list[FileJob]:
        return [FileJob(f"{name}.txt", function, f"of {name}") for name in names]

    dataset = FileSetDataset(filepath=str(tmp_path))
    write = functools.partial(write_text, text="same")
    dataset.save(FilePlan("f1", jobs("a", "b", function=write)))
    first = dataset.load()
    dataset.save(FilePlan("f2", [*jobs("a", "b", function=fail), *jobs("c", function=write)]))

    grown = dataset.load()
    assert len(grown) == 3
    assert all(new.samefile(old) for new, old in zip(grown.paths, first.paths, strict=False))
    assert [record["fingerprint"] for record in grown.records] == ["of a", "of b", "of c"]


def test_latest_plan_is_loaded_and_earlier_ones_by_fingerprint(tmp_path):
    dataset = FileSetDataset(filepath=str(tmp_path))
    for fingerprint in ("f2", "f1"):
        dataset.save(plan(fingerprint, a=fingerprint))

    assert dataset.load().fingerprint == "f1"
    earlier = FileSetDataset(filepath=str(tmp_path), version=Version("f2", None))
    assert earlier.load().paths[0].read_text() == "f2"
    assert dataset.list_versions() == ["f1", "f2"]


def test_going_back_to_an_earlier_plan_makes_it_the_latest(tmp_path):
    dataset = FileSetDataset(filepath=str(tmp_path))
    for fingerprint in ("f1", "f2", "f1"):
        dataset.save(plan(fingerprint, a=fingerprint))
    assert dataset.load().fingerprint == "f1"


def test_a_run_goes_on_with_what_it_saved(tmp_path):
    """Whatever another run saves in between."""
    mine, other = (FileSetDataset(filepath=str(tmp_path)) for _ in range(2))
    mine.save(plan("f1", a="mine"))
    other.save(plan("f2", a="other"))
    assert mine.load().paths[0].read_text() == "mine"
    assert mine.resolve_load_version() == "f1"
    assert FileSetDataset(filepath=str(tmp_path)).load().fingerprint == "f2"


def test_failed_plan_leaves_the_earlier_one(tmp_path):
    dataset = FileSetDataset(filepath=str(tmp_path))
    dataset.save(plan("f1", a="one"))
    with pytest.raises(DatasetError):
        dataset.save(FilePlan("f2", [FileJob("a.txt", fail)]))
    assert dataset.load().fingerprint == "f1"


def test_folder_can_be_moved(tmp_path):
    FileSetDataset(filepath=str(tmp_path / "here")).save(plan("f1", a="one"))
    (tmp_path / "here").rename(tmp_path / "there")
    assert FileSetDataset(filepath=str(tmp_path / "there")).load().paths[0].read_text() == "one"


def test_preview_lists_the_files(tmp_path):
    dataset = FileSetDataset(filepath=str(tmp_path))
    dataset.save(plan("f1", a="one", b="three"))
    assert [row[0] for row in dataset.preview(nrows=1)["data"]] == ["a.txt"]


def test_missing_file_is_told_when_loading(tmp_path):
    dataset = FileSetDataset(filepath=str(tmp_path))
    dataset.save(plan("f1", a="one"))
    dataset.load().paths[0].unlink()
    with pytest.raises(DatasetError, match="is gone"):
        dataset.load()
