"""Train a network for one task on an event store."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import fingerprint
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model, measure_scales
from cherenkov_pipeline.models.card import Camera, Data, ModelCard, Validity, now, software_versions
from cherenkov_pipeline.models.cost import model_cost
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.revision import code_fingerprint
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.inputs import UNSCALED
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.tasks import Task, get_task
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.trainer import TrainingResult, train

logger = logging.getLogger(__name__)

SCALE_EVENTS = 4096
"""Events that the scales of the inputs are measured on."""

STATELESS = {"resume", "in_memory"}
"""Training parameters that do not change the result."""

VALIDITY = ("true_energy", "telescope_pointing_altitude")
"""Columns whose ranges stand in the card."""

ROOMS = ("models", "training", "store", "tasks")
"""Code that makes the result."""


def train_task(
    store: EventStore,
    task_name: str,
    model: ModelParameters,
    inputs: InputParameters,
    training: TrainingParameters,
    state_folder: Path,
    run: str | None = None,
) -> TrainedModel:
    """Train a network for one task, or go on with an interrupted training.

    Parameters
    ----------
    store : EventStore
        Its training events are learnt from, its validation events decide when to stop.
    task_name : str
        In `cherenkov_pipeline.tasks.TASKS`.
    model : ModelParameters
    inputs : InputParameters
    training : TrainingParameters
    state_folder : Path
        For the states of trainings; each combination of data, parameters and code has its own folder in there, so
        that a state is never taken for another training's, and a finished training is not done twice.
    run : str, optional
        MLflow's identifier of this run, for the card.

    Returns
    -------
    TrainedModel
        A finished training comes back with the card that it had: date, versions and run are those of its beginning.

    Raises
    ------
    UserError
        If there are no training or validation events, a label is missing, or the model does not take its options:
        before the training starts. Otherwise as `~cherenkov_pipeline.training.trainer.train`.
    """
    task = get_task(task_name)
    rows = {split: store.indices(split, task.particles) for split in ("train", "validation")}
    for split, indices in rows.items():
        _check_events(store, task, split, indices)
    batches = {
        split: Batches(
            store,
            indices,
            inputs,
            task.to_target,
            training.batch_size,
            seed=training.seed,
            shuffle=split == "train",
            in_memory=training.in_memory,
            label_columns=task.labels,
        )
        for split, indices in rows.items()
    }
    scales = _measure_scales(batches["train"])

    def build() -> keras.Model:
        return build_model(model, task, batches["train"].shapes, scales, batches["train"].maker.mapping)

    mark = fingerprint(
        build().to_json(),
        store.fingerprint,
        task_name,
        inputs,
        _result_parameters(training),
        code_fingerprint(*ROOMS),
        keras.__version__,
        keras.backend.backend(),
    )
    logger.info(
        "Training %s for %s: %d training and %d validation events of %s.",
        model.name, task_name, len(rows["train"]), len(rows["validation"]), store.telescope_type,
    )  # fmt: skip
    result = train(
        build,
        LIKELIHOODS[task.likelihood],
        batches["train"],
        batches["validation"],
        training,
        Path(state_folder) / mark,
        n_events=len(rows["train"]),
        origin={"created": now().isoformat(), "versions": software_versions(), "mlflow_run": run},
    )
    card = _make_card(store, task, model, inputs, training, rows, result)
    return TrainedModel(result.model, card, result.history, store.camera)


def _check_events(store: EventStore, task: Task, split: str, rows: np.ndarray) -> None:
    """Refuse an empty or unlabelled set."""
    particles = " or ".join(task.particles)
    if not len(rows):
        raise UserError(
            f"{store.path} has no {split} events of {particles}: add such files, loosen the cuts or change the split."
        )
    missing = [name for name in task.labels if name not in store.colnames]
    if missing:
        raise UserError(
            f"{store.path} has no column {missing[0]}, which {task.name} is learnt from: use simulated files."
        )
    unlabelled = ~np.isfinite(task.to_target(store.columns(task.labels)[rows])).all(axis=1)
    if unlabelled.any():
        raise UserError(
            f"{unlabelled.sum()} of {len(rows)} {split} events in {store.path} have no usable "
            f"{', '.join(task.labels)}: leave their files or events out."
        )


def _measure_scales(batches: Batches) -> Scales:
    n_batches = min(len(batches), -(-SCALE_EVENTS // batches.batch_size))
    inputs = [batches[number][0] for number in range(n_batches)]
    scaled = [name for name in batches.shapes if name not in UNSCALED]
    return measure_scales({name: np.concatenate([batch[name] for batch in inputs]) for name in scaled}, batches.targets)


def _make_card(
    store: EventStore,
    task: Task,
    model: ModelParameters,
    inputs: InputParameters,
    training: TrainingParameters,
    rows: Mapping[str, np.ndarray],
    result: TrainingResult,
) -> ModelCard:
    best = result.history[result.best_epoch - 1]
    return ModelCard(
        name=model.name.rpartition(":")[2],
        task=task.name,
        model=model,
        inputs=inputs.model_dump(mode="json"),
        camera=Camera(
            telescope_type=store.telescope_type,
            name=store.camera.name,
            n_pixels=store.n_pixels,
            fingerprint=store.camera_fingerprint,
        ),
        data=Data(
            fingerprint=store.fingerprint,
            n_train=len(rows["train"]),
            n_validation=len(rows["validation"]),
            split=store.provenance["split"],
        ),
        dl1_settings=store.provenance.get("dl1_settings"),
        validity=_validity(store.columns(VALIDITY)[rows["train"]], task),
        training=_summary(training, result),
        metrics={name: float(best[name]) for name in best.colnames if name not in ("epoch", "seconds")},
        cost=model_cost(result.model),
        versions=result.origin["versions"],
        created=result.origin["created"],
    )


def _summary(training: TrainingParameters, result: TrainingResult) -> dict[str, Any]:
    return {
        "parameters": _result_parameters(training),
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "seconds": float(np.sum(result.history["seconds"])),
        "mlflow_run": result.origin["mlflow_run"],
    }


def _result_parameters(training: TrainingParameters) -> dict[str, Any]:
    return training.model_dump(mode="json", exclude=STATELESS)


def _validity(events: Table, task: Task) -> Validity:
    energy = u.Quantity(events["true_energy"], "TeV").value
    altitude = u.Quantity(events["telescope_pointing_altitude"], "rad").to_value("deg")
    zenith = 90 - altitude[np.isfinite(altitude)]
    return Validity(
        particles=task.particles,
        energy=(float(np.min(energy)), float(np.max(energy))),
        zenith=(float(np.min(zenith)), float(np.max(zenith))) if len(zenith) else None,
    )
