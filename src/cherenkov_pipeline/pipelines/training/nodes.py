"""Nodes of the training, the same for every task."""

from collections.abc import Callable
from pathlib import Path

from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.pipelines.flow import EventStores, QTable, TrainedModel
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.training.parameters import TrainingParameters


def training_of(task: str) -> Callable[..., TrainedModel]:
    """Make the node function that trains a model for ``task``."""

    def train_model(
        stores: EventStores,
        model: ModelParameters,
        inputs: InputParameters,
        training: TrainingParameters,
        checkpoints: Path,
        mlflow_run: str | None,
    ) -> TrainedModel:
        from cherenkov_pipeline.store import only_store
        from cherenkov_pipeline.training.task import train_task

        return train_task(only_store(stores), task, model, inputs, training, checkpoints, run=mlflow_run)

    return train_model


def take_history(model: TrainedModel) -> QTable:
    """Take the table of epochs from a trained model."""
    return model.history
