"""Train any Keras network so that it can be killed at any moment and ends with the same result.

What Keras has is used as it is (`fit`, `EarlyStopping`, `ReduceLROnPlateau`); its `BackupAndRestore` is not, as it
forgets the callbacks' states, the random generators' states and the history.
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path, locked
from cherenkov_pipeline.models.backend import jit_compile, keras, make_reproducible
from cherenkov_pipeline.models.likelihoods import Likelihood, calibrate_model, output_layer
from cherenkov_pipeline.training.callbacks import Progress, StateKeeper, Watch, all_variables
from cherenkov_pipeline.training.devices import WholeBatches, check_devices, distributed, precision
from cherenkov_pipeline.training.optimizers import learning_rate, make_optimizer, plateau_callback
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.state import State, discard_states, read_origin, read_state, write_origin

logger = logging.getLogger(__name__)

CALIBRATION = "calibration.npz"
TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class TrainingResult:
    """A trained network.

    Attributes
    ----------
    model : keras.Model
        With the weights of the epoch of lowest validation loss, in single precision, calibrated; not compiled.
    history : QTable
        One row an epoch: ``epoch`` (from 1), ``loss``, ``val_loss``, ``task_loss`` and ``val_task_loss`` (without
        auxiliary tasks and penalties), metrics, ``learning_rate`` (after the epoch's last step), ``seconds``.
    best_epoch : int
        From 1.
    origin : dict
        Of the call that began the training.
    calibration : dict
        Constants that the validation events gave the output layer; empty without calibration.
    """

    model: keras.Model
    history: QTable
    best_epoch: int
    origin: Mapping[str, Any]
    calibration: Mapping[str, np.ndarray]


def train(
    build: Callable[[], keras.Model],
    likelihood: Likelihood,
    training: keras.utils.PyDataset,
    validation: keras.utils.PyDataset,
    parameters: TrainingParameters,
    folder: Path,
    n_events: int,
    origin: Mapping[str, Any],
    factors: Callable[[keras.Model], Sequence[float]] | None = None,
    watch: Watch | None = None,
    wait: bool = False,
) -> TrainingResult:
    """Train a network, going on from an interrupted training in ``folder``.

    Parameters
    ----------
    build : callable
        Makes the network with random weights.
    likelihood : Likelihood
        Loss and metrics.
    training, validation : keras.utils.PyDataset
        Batches of (inputs, targets) or (inputs, targets, weights). What ``training`` gives must depend on the last
        ``set_epoch`` alone.
    parameters : TrainingParameters
    folder : Path
        For the states of this training: the caller gives another folder to other data or parameters.
    n_events : int
        In an epoch of ``training``, for the progress bar.
    origin : mapping
        Where and when the training is made, in plain values: kept with the states if it begins here.
    factors : callable, optional
        ``model -> factor of the learning rate of each trainable variable``. Default: 1.
    watch : callable, optional
        Called with the row of the history of every epoch, when its state is written; may raise to stop here. Epochs
        of an earlier, interrupted call come first, those of a finished training do not come.
    wait : bool
        For another process that trains the same, whose result then is taken; otherwise that is an error.

    Returns
    -------
    TrainingResult
        A finished training is returned as it is, with its own origin and without another epoch.

    Raises
    ------
    UserError
        If there is nothing to train or to validate with, the loss is not a number, another process trains in
        ``folder``, a state there cannot be read, the disk is full, or devices or packages are missing.
    """
    for batches, split in ((training, "training"), (validation, "validation")):
        if len(batches) == 0:
            raise UserError(f"There are no {split} events: check cuts, particles and the split.")
    check_devices(parameters)
    with locked(folder, wait=wait):
        if not parameters.resume:
            discard_states(folder)
            shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
        state = read_state(folder)
        known = read_origin(folder) if state else None
        if known is None:
            write_origin(origin, folder)
        if state and state.finished:
            logger.info("This training was finished before: its result is taken from %s.", folder)
        else:
            (folder / CALIBRATION).unlink(missing_ok=True)
            fit = _Fit(build, likelihood, training, validation, parameters, folder, n_events, factors, watch)
            state = fit.run(state)
        model = build()
        model.set_weights(state.best)
        calibration = _calibrate(model, likelihood, validation, folder) if parameters.calibrate else {}
    best_epoch = state.callbacks["early_stopping"]["best_epoch"] + 1
    return TrainingResult(model, _history_table(state), best_epoch, dict(known or origin), calibration)


@dataclass(frozen=True)
class _Fit:
    """What `train` was given."""

    build: Callable[[], keras.Model]
    likelihood: Likelihood
    training: keras.utils.PyDataset
    validation: keras.utils.PyDataset
    parameters: TrainingParameters
    folder: Path
    n_events: int
    factors: Callable[[keras.Model], Sequence[float]] | None
    watch: Watch | None

    def run(self, start: State | None) -> State:
        """Train from a state to the end."""
        parameters = self.parameters
        make_reproducible(parameters.seed, parameters.deterministic)
        with distributed(parameters.devices) as divisor:
            batches = [self.training, self.validation]
            if divisor > 1:
                batches = [WholeBatches(one, divisor) for one in batches]
            model = self._compiled()
            if start:
                logger.info("The training goes on after epoch %d, from %s.", start.epoch, self.folder)
                for variable, value in zip(all_variables(model), start.variables, strict=True):
                    variable.assign(value)
            model.fit(
                batches[0],
                validation_data=batches[1],
                epochs=parameters.epochs,
                initial_epoch=start.epoch if start else 0,
                callbacks=self._callbacks(start),
                # Keras would shuffle the batches by Python's global generator, which no state remembers
                shuffle=False,
                verbose=0,
            )
        return read_state(self.folder)

    def _compiled(self) -> keras.Model:
        parameters = self.parameters
        with precision(parameters.precision):
            model = self.build()
        optimizer = make_optimizer(
            parameters.optimizer,
            learning_rate(parameters, len(self.training)),
            self.factors(model) if self.factors else (),
        )
        if parameters.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        model.compile(
            optimizer,
            self.likelihood.loss(),
            metrics=self.likelihood.metrics,
            weighted_metrics=[self.likelihood.task_loss],
            jit_compile=jit_compile(model, parameters.epochs * len(self.training), parameters.deterministic),
            auto_scale_loss=False,
        )
        return model

    def _callbacks(self, start: State | None) -> list[keras.callbacks.Callback]:
        parameters = self.parameters
        # early stopping is always there, for it knows the best weights
        patience = parameters.early_stopping_patience or parameters.epochs
        remembered: dict[str, keras.callbacks.Callback] = {
            "early_stopping": keras.callbacks.EarlyStopping(
                "val_loss", mode="min", patience=patience, restore_best_weights=True
            )
        }
        if plateau := plateau_callback(parameters):
            remembered["plateau"] = plateau
        callbacks = [
            Progress(self.n_events, parameters.batch_size, parameters.epochs, start.epoch if start else 0),
            *remembered.values(),
        ]
        if parameters.tensorboard:
            logger.info("TensorBoard's logs: %s", self.folder / TENSORBOARD)
            callbacks.append(keras.callbacks.TensorBoard(str(self.folder / TENSORBOARD), write_graph=False))
        return [
            *callbacks,
            StateKeeper(self.folder, self.training, remembered, parameters.epochs, start, self.watch),
        ]


def _calibrate(
    model: keras.Model, likelihood: Likelihood, validation: keras.utils.PyDataset, folder: Path
) -> dict[str, np.ndarray]:
    """Calibrate a model, by what an earlier call found where there was one."""
    path = folder / CALIBRATION
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            constants = dict(archive)
        output_layer(model).set_constants(constants)
    except (FileNotFoundError, EOFError, ValueError, BadZipFile):
        if jit_compile() is False:
            model.jit_compile = False
        constants = calibrate_model(model, likelihood, validation)
        with atomic_path(path) as part:
            np.savez(part, **constants)
    return constants


def _history_table(state: State) -> QTable:
    columns = {name: np.array([row[name] for row in state.history]) for name in state.history[0]}
    return QTable({**columns, "epoch": columns["epoch"].astype(int)})
