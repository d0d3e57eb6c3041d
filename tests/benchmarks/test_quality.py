"""The benchmark of the quality, on toy images: models are those of the registry, and both are judged alike."""

import astropy.units as u
import numpy as np
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
    assert len(trained.minutes) == len(quality.TASKS)
    figures = quality.compare([trained.predictions] * 2, clock)
    found = {name: bins["all"].value for name, bins in figures.items()}
    assert found["direction_ratio"] == pytest.approx(1)
    assert found["energy_ratio"] == pytest.approx(1)
    assert found["auc_gain"] == pytest.approx(0)
    assert found["direction_68"] < 0.2
    assert found["auc"] > 0.95
    assert found["energy_coverage"] == pytest.approx(0.68, abs=0.2)

    for task, worse in (("energy", "reco_energy"), ("skydirection", "reco_fov_lon"), ("type", "gammaness")):
        table = trained.predictions["random_forest"][task] = trained.predictions["random_forest"][task].copy()
        noise = np.random.default_rng(0).normal(size=len(table))
        if task == "energy":
            table[worse] *= np.exp(noise)
        else:
            table[worse] += noise * (0.3 * u.deg if task == "skydirection" else 1)
    ratios = {name: bins["all"].value for name, bins in quality.compare([trained.predictions], clock).items()}
    assert ratios["direction_ratio"] < 0.8
    assert ratios["energy_ratio"] < 0.8
    assert ratios["auc_gain"] > 0.1
    assert ratios["auc_gain"] == pytest.approx(ratios["auc"] - ratios["forest_auc"])
    assert ratios["proton_efficiency"] < ratios["forest_proton_efficiency"]
    assert (ratios["direction_68"], ratios["energy_68"]) == (found["direction_68"], found["energy_68"])
