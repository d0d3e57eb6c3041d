import json
from types import SimpleNamespace

import pytest
from tests.training.toy_forest import forest_store

from benchmarks import models
from cherenkov_pipeline.training.parameters import TrainingParameters


@pytest.fixture
def measured(monkeypatch):
    """Measurements in the place of real ones."""
    made = []

    def measure(prepare, name, paths, training, seconds):
        made.append(training)
        return SimpleNamespace(result={"device": "toy", "train_events_per_s": 1000.0}, peak_mb=10)

    monkeypatch.setattr(models, "measure", measure)
    return made


@pytest.mark.parametrize(("options", "batch_size"), [([], 128), (["--batch-size", "8"], 8)])
def test_models_are_measured_as_the_project_trains_them(measured, monkeypatch, capsys, options, batch_size):
    monkeypatch.setattr("sys.argv", ["models", "--models", "set_network", "resnet", "--store", "toy.h5", *options])
    models.main()
    assert {(one.optimizer.name, one.optimizer.learning_rate, one.batch_size) for one in measured} == {
        ("muon", 0.006, batch_size)
    }
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["resnet_thesis_training_hours"] == pytest.approx(12 * 523_415 / 1000 / 3600, abs=0.01)


@pytest.mark.parametrize("name", ["random_forest", pytest.param("set_network", marks=pytest.mark.slow)])
def test_a_model_is_measured(tmp_path, name):
    trees = name == "random_forest"
    paths = [forest_store(tmp_path / "toy.store.h5", 400).path] if trees else models.simulated_store(tmp_path, 0.01)
    figures = models.prepare(name, paths, TrainingParameters(batch_size=16), seconds=0.01)()
    assert figures["train_events_per_s"] > 0
    assert figures["inference_events_per_s"] > 0
    assert 0 <= figures["waits"] < 1
    assert figures["parameters"] > 100
    assert ("device_memory_mb" in figures) == (" cores" not in figures["device"])
