"""Nodes of the training, the same for every task."""

from collections.abc import Callable
from pathlib import Path

from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.pipelines.flow import EventStores, QTable, TrainedModel
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.training.ensemble_parameters import EnsembleParameters
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters


def training_of(task: str) -> Callable[..., TrainedModel]:
    """Make the node function that trains a model for ``task``, one or several joined by ``+``."""

    def train_model(
        stores: EventStores,
        model: ModelParameters,
        inputs: InputParameters | None,
        training: TrainingParameters,
        ensemble: EnsembleParameters,
        checkpoints: Path,
        mlflow_run: str | None,
    ) -> TrainedModel:
        from cherenkov_pipeline.store import only_store
        from cherenkov_pipeline.training.ensemble import train_ensemble
        from cherenkov_pipeline.training.task import train_task

        arguments = (only_store(stores), task, model, input_parameters(model, inputs), training, checkpoints)
        if ensemble.members == 1:
            return train_task(*arguments, run=mlflow_run)
        return train_ensemble(*arguments, n_members=ensemble.members, run=mlflow_run)

    return train_model


def take_history(model: TrainedModel) -> QTable:
    """Take the table of epochs from a trained model."""
    return model.history
