"""Train any Keras network so that it can be killed at any moment and ends with the same result.

What Keras has is used as it is (`fit`, `EarlyStopping`, `ReduceLROnPlateau`); its `BackupAndRestore` is not, as it
forgets the callbacks' states, the random generators' states and the history.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import locked
from cherenkov_pipeline.models.backend import jit_compile, keras, make_reproducible
from cherenkov_pipeline.models.likelihoods import Likelihood
from cherenkov_pipeline.training.callbacks import Progress, StateKeeper, all_variables
from cherenkov_pipeline.training.parameters import OptimizerParameters, TrainingParameters
from cherenkov_pipeline.training.state import State, discard_states, read_origin, read_state, write_origin

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A trained network.

    Attributes
    ----------
    model : keras.Model
        With the weights of the epoch of lowest validation loss; not compiled.
    history : QTable
        One row an epoch: ``epoch`` (from 1), ``loss``, ``val_loss``, metrics, ``learning_rate`` (during the epoch),
        ``seconds``.
    best_epoch : int
        From 1.
    origin : dict
        Of the call that began the training.
    """

    model: keras.Model
    history: QTable
    best_epoch: int
    origin: Mapping[str, Any]


def train(
    build: Callable[[], keras.Model],
    likelihood: Likelihood,
    training: keras.utils.PyDataset,
    validation: keras.utils.PyDataset,
    parameters: TrainingParameters,
    folder: Path,
    n_events: int,
    origin: Mapping[str, Any],
) -> TrainingResult:
    """Train a network, going on from an interrupted training in ``folder``.

    Parameters
    ----------
    build : callable
        Makes the network with random weights.
    likelihood : Likelihood
        Loss and metrics.
    training, validation : keras.utils.PyDataset
        Batches of (inputs, targets). The order of ``training`` must depend on the last ``set_epoch`` alone.
    parameters : TrainingParameters
    folder : Path
        For the states of this training: the caller gives another folder to other data or parameters.
    n_events : int
        In ``training``, for the progress bar.
    origin : mapping
        Where and when the training is made, in plain values: kept with the states if it begins here.

    Returns
    -------
    TrainingResult
        A finished training is returned as it is, with its own origin and without another epoch.

    Raises
    ------
    UserError
        If there is nothing to train or to validate with, the loss is not a number, another process trains in
        ``folder``, a state there cannot be read, or the disk is full.
    """
    for batches, split in ((training, "training"), (validation, "validation")):
        if len(batches) == 0:
            raise UserError(f"There are no {split} events: check cuts, particles and the split.")
    with locked(folder):
        if not parameters.resume:
            discard_states(folder)
        state = read_state(folder)
        known = read_origin(folder) if state else None
        if known is None:
            write_origin(origin, folder)
        if state and state.finished:
            logger.info("This training was finished before: its result is taken from %s.", folder)
        else:
            state = _fit(build, likelihood, training, validation, parameters, folder, n_events, state)
    model = build()
    model.set_weights(state.best)
    best_epoch = state.callbacks["early_stopping"]["best_epoch"] + 1
    return TrainingResult(model, _history_table(state), best_epoch, dict(known or origin))


def _fit(
    build: Callable[[], keras.Model],
    likelihood: Likelihood,
    training: keras.utils.PyDataset,
    validation: keras.utils.PyDataset,
    parameters: TrainingParameters,
    folder: Path,
    n_events: int,
    start: State | None,
) -> State:
    make_reproducible(parameters.seed, parameters.deterministic)
    model = build()
    optimizer = make_optimizer(parameters.optimizer)
    model.compile(optimizer, likelihood.loss(), metrics=list(likelihood.metrics), jit_compile=jit_compile())
    optimizer.build(model.trainable_variables)
    first = start.epoch if start else 0
    if start:
        logger.info("The training goes on after epoch %d, from %s.", start.epoch, folder)
        for variable, value in zip(all_variables(model), start.variables, strict=True):
            variable.assign(value)
    remembered = _callbacks(parameters)
    model.fit(
        training,
        validation_data=validation,
        epochs=parameters.epochs,
        initial_epoch=first,
        callbacks=[
            Progress(n_events, parameters.batch_size, parameters.epochs, first),
            *remembered.values(),
            StateKeeper(folder, training, remembered, parameters.epochs, start),
        ],
        # Keras would shuffle the batches by Python's global generator, which no state remembers
        shuffle=False,
        verbose=0,
    )
    return read_state(folder)


def make_optimizer(parameters: OptimizerParameters) -> keras.optimizers.Optimizer:
    """Make the optimizer that the parameters name."""
    options = {"learning_rate": parameters.learning_rate, "global_clipnorm": parameters.clip_norm}
    match parameters.name:
        case "adam":
            return keras.optimizers.Adam(**options)
        case "adamw":
            return keras.optimizers.AdamW(weight_decay=parameters.weight_decay, **options)


def _callbacks(parameters: TrainingParameters) -> dict[str, keras.callbacks.Callback]:
    # early stopping is always there, for it knows the best weights
    patience = parameters.early_stopping_patience or parameters.epochs
    callbacks: dict[str, keras.callbacks.Callback] = {
        "early_stopping": keras.callbacks.EarlyStopping(
            "val_loss", mode="min", patience=patience, restore_best_weights=True
        )
    }
    if plateau := parameters.plateau:
        callbacks["plateau"] = keras.callbacks.ReduceLROnPlateau(
            "val_loss",
            mode="min",
            factor=plateau.factor,
            patience=plateau.patience,
            min_delta=plateau.min_delta,
            cooldown=plateau.cooldown,
            min_lr=plateau.min_learning_rate,
        )
    return callbacks


def _history_table(state: State) -> QTable:
    columns = {name: np.array([row[name] for row in state.history]) for name in state.history[0]}
    return QTable({**columns, "epoch": columns["epoch"].astype(int)})
