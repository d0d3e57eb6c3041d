"""Ensembles: one training repeated with other seeds, and all of its models as one.

The seed decides the first weights, the order of the events, dropout and augmentation; the data stay the same. Mixing
the predictions lowers what is random in one training, and the members' disagreement enters the predicted error. See
`cherenkov_pipeline.models.combine` for what becomes of the predictions.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import jit_compile, keras
from cherenkov_pipeline.models.combine import mix_models
from cherenkov_pipeline.models.cost import model_cost
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, Likelihood, calibrate_model, predict_events
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.tasks import get_task
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.task import train_task, weighted_batches, with_loss_weights


def train_ensemble(
    store: EventStore | JoinedStores,
    task_name: str,
    model: ModelParameters,
    inputs: InputParameters,
    training: TrainingParameters,
    state_folder: Path,
    n_members: int,
    run: str | None = None,
) -> TrainedModel:
    """Train members with seeds that follow each other, and make one model of them.

    Parameters
    ----------
    store, task_name, model, inputs, training, state_folder, run
        See `~cherenkov_pipeline.training.task.train_task`. Members that were trained before, alone or in another
        ensemble, are not trained again.
    n_members : int
        The first has the seed of ``training``.

    Returns
    -------
    TrainedModel
        One Keras model, calibrated on the validation events, saved and used as any other.

    Raises
    ------
    UserError
        As `~cherenkov_pipeline.training.task.train_task`; if there are less than two members.
    """
    if n_members < 2:
        raise UserError(f"An ensemble has two members or more. Received: {n_members}")
    seeds = [(training.seed + number) % 2**32 for number in range(n_members)]
    members = [
        train_task(store, task_name, model, inputs, training.model_copy(update={"seed": seed}), state_folder, run)
        for seed in seeds
    ]
    return combine(members, store, training)


def combine(
    members: Sequence[TrainedModel], store: EventStore | JoinedStores, training: TrainingParameters
) -> TrainedModel:
    """Make one model of several that were trained for one task on the same inputs.

    Parameters
    ----------
    members : sequence of TrainedModel
    store : EventStore or JoinedStores
        Its validation events calibrate the ensemble.
    training : TrainingParameters
        Of the members; batch size, weights, loss weights and ``calibrate`` count.

    Returns
    -------
    TrainedModel
        Its card is that of the first member, with the members' summaries and the ensemble's own metrics; its history
        is the mean of the members that trained so long.

    Raises
    ------
    UserError
        If the members differ in task, inputs, cameras or split of the data.
    """
    first = members[0].card
    for card in (trained.card for trained in members[1:]):
        for name in ("task", "inputs", "cameras", "dl1_settings"):
            if getattr(card, name) != getattr(first, name):
                raise UserError(f"The members of an ensemble must have the same {name}: train them alike.")
        if card.data.split != first.data.split:
            raise UserError("The members of an ensemble must have the same split of the data: train them alike.")
    task, inputs = get_task(first.task), InputParameters.model_validate(first.inputs)
    if task.parts:
        task = with_loss_weights(task, training)
    likelihood = task.likelihood_of(inputs.mode)
    model = mix_models([trained.model for trained in members], likelihood, task.n_targets, f"ensemble_{first.name}")
    if jit_compile() is False:
        model.jit_compile = False
    # read in windows: of the training events, which tell the weights, no image is needed
    validation = weighted_batches(store, task, inputs, training.model_copy(update={"in_memory": False}))["validation"]
    constants = calibrate_model(model, LIKELIHOODS[likelihood], validation) if training.calibrate else {}
    history = _mean_history([trained.history for trained in members])
    card = first.model_copy(
        update={
            "training": {
                **first.training,
                "members": [trained.card.training for trained in members],
                "epochs": len(history),
                "best_epoch": int(np.argmin(history["val_loss"])) + 1,
                "seconds": sum(trained.card.training["seconds"] for trained in members),
                "calibration": {name: np.asarray(values).tolist() for name, values in constants.items()},
            },
            "metrics": _metrics(model, LIKELIHOODS[likelihood], validation),
            "cost": model_cost(model),
            "file_fingerprint": None,
        }
    )
    return replace(members[0], model=model, card=card, history=history)


def _metrics(model: keras.Model, likelihood: Likelihood, validation: Batches) -> dict[str, float]:
    """Loss of the task and metrics of the mixture."""
    outputs, targets, weights = predict_events(model, validation)
    given = keras.Input(outputs.shape[1:])
    judged = keras.Model(given, given)
    judged.compile(
        loss=likelihood.loss(),
        metrics=likelihood.metrics,
        weighted_metrics=[likelihood.task_loss],
        jit_compile=jit_compile(),
    )
    values = judged.evaluate(outputs, targets, sample_weight=weights, verbose=0, return_dict=True)
    # what the members call loss may count auxiliary tasks and penalties, of which a mixture has none
    del values["loss"]
    return {f"val_{name}": float(value) for name, value in values.items()}


def _mean_history(histories: Sequence[QTable]) -> QTable:
    """Mean over the members in each epoch, of those that trained so long."""
    names = [name for name in histories[0].colnames if all(name in history.colnames for history in histories)]
    n_epochs = max(len(history) for history in histories)
    table = QTable()
    for name in names:
        values = np.full((len(histories), n_epochs), np.nan)
        for row, history in zip(values, histories, strict=True):
            row[: len(history)] = history[name]
        table[name] = np.nanmean(values, axis=0)
    table["epoch"] = np.arange(1, n_epochs + 1)
    return table
