"""Models for tests of what is done with a model, not of how it has learnt."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import QTable

from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.training import task as training_task
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.task import train_task
from cherenkov_pipeline.training.trainer import TrainingResult


def untrained(
    store: Any, task: str, model: ModelParameters, inputs: InputParameters, folder: Path, seed: int = 0
) -> TrainedModel:
    """Make a model as `train_task` does, but for the training: its weights are drawn.

    Every prediction depends on all of its inputs, which is not so of the first epochs of a training.
    """

    def drawn(build, *_, origin, **__) -> TrainingResult:
        network, rng = build(), np.random.default_rng(seed)
        for variable in network.trainable_variables:
            variable.assign(rng.normal(0, 0.3, variable.shape))
        row = {"epoch": [1], "loss": [1.0], "val_loss": [1.0], "learning_rate": [0.001], "seconds": [0.0]}
        return TrainingResult(network, QTable(row), 1, origin, {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_task, "train", drawn)
        return train_task(store, task, model, inputs, TrainingParameters(epochs=1, seed=seed), folder)
