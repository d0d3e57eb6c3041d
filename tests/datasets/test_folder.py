"""A folder to work in."""

import pytest
from kedro.io import DatasetError

from cherenkov_pipeline.datasets.folder import FolderDataset


def test_folder_is_created_when_asked_for(tmp_path):
    dataset = FolderDataset(filepath=str(tmp_path / "a" / "b"))
    assert not dataset.exists()
    assert dataset.load().is_dir()
    assert dataset.exists()


def test_saving_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="not an output"):
        FolderDataset(filepath=str(tmp_path)).save("anything")
