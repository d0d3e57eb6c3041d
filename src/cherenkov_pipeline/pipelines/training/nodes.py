"""Nodes of the training, the same for every task."""

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from cherenkov_pipeline.config import first_problem
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.pipelines.flow import EventStores, QTable, TrainedModel
from cherenkov_pipeline.store.parameters import GivenInputs
from cherenkov_pipeline.training.ensemble_parameters import EnsembleParameters
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters


def training_of(task: str) -> Callable[..., TrainedModel]:
    """Make the node function that trains a model for ``task``, one or several joined by ``+``."""

    def train_model(
        stores: EventStores,
        model: ModelParameters,
        inputs: GivenInputs | None,
        training: TrainingParameters,
        ensemble: EnsembleParameters,
        checkpoints: Path,
        mlflow_run: str | None,
    ) -> TrainedModel:
        from cherenkov_pipeline.store import store_for
        from cherenkov_pipeline.training.ensemble import train_ensemble
        from cherenkov_pipeline.training.task import train_task

        try:
            completed = input_parameters(model, inputs)
        except ValidationError as error:
            raise UserError(f"The input of {task} does not go with {model.name}: {first_problem(error)}.") from error
        arguments = (store_for(completed.mode, stores), task, model, completed, training, checkpoints)
        if ensemble.members == 1:
            return train_task(*arguments, run=mlflow_run)
        return train_ensemble(*arguments, n_members=ensemble.members, run=mlflow_run)

    return train_model


def take_history(model: TrainedModel) -> QTable:
    """Take the table of epochs from a trained model."""
    return model.history
