"""All saved models, by the names that --load-versions takes."""

import pytest
from kedro.io import DatasetError

from cherenkov_pipeline.datasets.saved_models import SavedModelsDataset


def test_models_are_listed_by_task_and_version(tmp_path):
    places = [tmp_path / "energy" / "model.keras" / version / "model.keras" for version in ("v2", "v1")]
    places.append(tmp_path / "joint" / "model.keras" / "v1" / "model.keras")
    for path in (*places, tmp_path / "energy" / "checkpoints" / "x" / "model.keras"):
        path.parent.mkdir(parents=True)
        path.touch()
    found = SavedModelsDataset(filepath=str(tmp_path)).load()
    assert list(found) == ["energy_model:v1", "energy_model:v2", "joint_model:v1"]
    assert found["energy_model:v2"] == places[0]


def test_nothing_was_saved_yet(tmp_path):
    dataset = SavedModelsDataset(filepath=str(tmp_path / "none"))
    assert not dataset.exists()
    assert dataset.load() == {}
    with pytest.raises(DatasetError, match="looked through"):
        dataset.save("anything")
