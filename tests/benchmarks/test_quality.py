"""The benchmark of the quality, on toy images: models are those of the registry, and both are judged alike."""

import pytest
from benchmarks._report import Clock
from tests.training.toy_forest import forest_store

from benchmarks import quality
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.training.parameters import input_parameters
from cherenkov_pipeline.training.task import train_task

SMALL = ModelParameters(name="random_forest", options={"n_trees_regression": 20, "n_trees_classification": 20})


@pytest.mark.filterwarnings("ignore:invalid value")  # ratios where no proton is kept
def test_a_model_is_as_good_as_itself(tmp_path, monkeypatch):
    asked, grown = [], {}

    def train_small(store, task, model, inputs, training, states):
        asked.append((model.name, task))
        if task not in grown:
            grown[task] = train_task(store, task, SMALL, input_parameters(SMALL), training, states)
        return grown[task]

    monkeypatch.setattr(quality, "train_task", train_small)
    clock = Clock()
    trained = quality.train(forest_store(tmp_path / "toy.store.h5", 800), 1, 2, tmp_path, clock)
    assert asked == [(name, task) for name in ("set_network", "random_forest") for task in quality.TASKS]
    assert len(trained.minutes) == len(trained.cpu_minutes) == len(quality.TASKS)
    figures = quality.compare([trained.predictions] * 2, clock)
    found = {name: bins["all"].value for name, bins in figures.items()}
    assert found["direction_ratio"] == pytest.approx(1)
    assert found["energy_ratio"] == pytest.approx(1)
    assert found["auc_gain"] == pytest.approx(0)
    assert found["direction_68"] < 0.2
    assert found["auc"] > 0.95
    assert found["energy_coverage"] == pytest.approx(0.68, abs=0.2)
