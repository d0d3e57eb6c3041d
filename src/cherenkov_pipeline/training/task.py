"""Train a network for one task on an event store."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint, fingerprint_file
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model, measure_scales, network_name
from cherenkov_pipeline.models.card import Camera, Data, ModelCard, Validity, now, software_versions
from cherenkov_pipeline.models.cost import model_cost
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, Likelihood, with_auxiliary_parts
from cherenkov_pipeline.models.on_disk import model_path
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.pretrained import learning_rate_factors
from cherenkov_pipeline.models.registry import HEADS, REGISTRY, own_source
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.models.structure import structure
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.store.stereo import StereoBatches, places_by_id
from cherenkov_pipeline.tasks import Task, get_task
from cherenkov_pipeline.training.auxiliary import own_constants, with_auxiliary, without_auxiliary
from cherenkov_pipeline.training.callbacks import Watch
from cherenkov_pipeline.training.checks import (
    OF_TREES,
    check_effects,
    check_events,
    check_growing,
    check_pretrained,
    check_types,
)
from cherenkov_pipeline.training.devices import check_devices
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.reference import measure_references
from cherenkov_pipeline.training.trainer import train
from cherenkov_pipeline.training.weights import COLUMNS as WEIGHT_COLUMNS
from cherenkov_pipeline.training.weights import fit_weights

logger = logging.getLogger(__name__)

SCALE_EVENTS = 4096
"""Events that the scales of the inputs are measured on."""

STATELESS = {"resume", "in_memory", "tensorboard"}
"""Training parameters that do not change the result."""

VALIDITY = ("true_energy", "telescope_pointing_altitude")
"""Columns whose ranges stand in the card."""

ROOMS = ("models", "training", "store", "tasks", "directions", "ground", "spectra")
"""Code that makes the result."""


def train_task(
    store: EventStore | JoinedStores,
    task_name: str,
    model: ModelParameters,
    inputs: InputParameters,
    training: TrainingParameters,
    state_folder: Path,
    run: str | None = None,
    watch: Watch | None = None,
    wait: bool = False,
) -> TrainedModel:
    """Train a model for one task, or for several in one network, or go on with an interrupted training.

    Parameters
    ----------
    store : EventStore or JoinedStores
        Its training events are learnt from, its validation events decide when to stop and calibrate the model. Joined
        stores are for stereo models that read the brightest pixels or image parameters.
    task_name : str
        In `cherenkov_pipeline.tasks.TASKS`, or several with a plus between them. The loss of a network of several
        tasks counts each event where it has the task's particle.
    model : ModelParameters
    inputs : InputParameters
        See `~cherenkov_pipeline.training.parameters.input_parameters`. The shower's frame is added where the task's
        output layer needs it.
    training : TrainingParameters
        Of a model whose trees are grown (``random_forest``), seed, weights and calibrate count. Auxiliary tasks are
        learnt beside the task, as `~cherenkov_pipeline.training.auxiliary.with_auxiliary` finds them in the data.
    state_folder : Path
        For the states of trainings; each combination of data, parameters and code has its own folder in there, so
        that a state is never taken for another training's, and a finished training is not done twice.
    run : str, optional
        MLflow's identifier of this run, for the card.
    watch, wait
        See `~cherenkov_pipeline.training.trainer.train`.

    Returns
    -------
    TrainedModel
        A finished training comes back with the card that it had: date, versions and run are those of its beginning.

    Raises
    ------
    UserError
        If there are no training or validation events, a label is missing or the same for all, the model does not take
        its options, an option has no effect, the pre-trained weights are of other inputs or may have been learnt from
        test events, or the model or the task is for one telescope type: before the training starts. Otherwise as
        `~cherenkov_pipeline.training.trainer.train`.
    """
    check_devices(training)
    check_effects(model, inputs)
    task = get_task(task_name)
    entry = REGISTRY.get(model.name)
    grows = bool(entry) and entry.trainer == "forest"
    learnt = with_loss_weights(task if grows else with_auxiliary(task, training, store), training)
    if LIKELIHOODS[learnt.likelihood_of(inputs.mode)].needs_frame:
        inputs = inputs.model_copy(update={"shower_frame": True})
    if isinstance(store, JoinedStores):
        check_types(store, learnt, model, inputs)
    if model.pretrained:
        check_pretrained(store, model.pretrained, inputs)
    rows = {split: store.indices(split, task.particles) for split in ("train", "validation")}
    for split, indices in rows.items():
        check_events(store, task, split, indices)
    job = _Training(store, task, learnt, model, inputs, training, rows, run)
    logger.info(
        "Training %s for %s: %d training and %d validation images of %s.",
        model.name, task_name, len(rows["train"]), len(rows["validation"]), store.telescope_type,
    )  # fmt: skip
    if grows:
        return job.grow()
    return job.learn(Path(state_folder), watch, wait)


def task_batches(
    store: EventStore | JoinedStores, task: Task, inputs: InputParameters, training: TrainingParameters, split: str
) -> Batches:
    """Batches of a task: of the training events as they are learnt from, of others as they are.

    Parameters
    ----------
    store, task, inputs, training
        See `train_task`.
    split : str

    Raises
    ------
    UserError
        If there are no such events, or they cannot be augmented as the parameters want.
    """
    learnt = split == "train"
    make = StereoBatches if inputs.mode == "stereo" else Batches
    return make(
        store,
        store.indices(split, task.particles),
        inputs,
        task.to_target,
        training.batch_size,
        seed=training.seed,
        shuffle=learnt,
        in_memory=training.in_memory,
        label_columns=task.labels,
        fraction=training.fraction if learnt else 1.0,
        augmentation=training.augmentation if learnt else None,
        vectors=task.vectors,
    )


def weighted_batches(
    store: EventStore | JoinedStores, task: Task, inputs: InputParameters, training: TrainingParameters
) -> dict[str, Batches]:
    """Batches of the training and of the validation events, by the name of the split, weighted alike.

    See `task_batches`; raises also as `~cherenkov_pipeline.training.weights.fit_weights`.
    """
    batches = {split: task_batches(store, task, inputs, training, split) for split in ("train", "validation")}
    weights = fit_weights(training.weights, batches["train"].events(WEIGHT_COLUMNS), store)
    if weights:
        for one in batches.values():
            one.weigh(weights(one.events(WEIGHT_COLUMNS)))
    return batches


def beside_parameters(model: ModelParameters) -> str:
    """Fingerprint of what makes the result of a training besides data and parameters.

    That is the code, a user's own too, the content of the file with pre-trained weights, Keras and its backend.

    Raises
    ------
    UserError
        If one of the files cannot be read.
    """
    named = ((model, REGISTRY), (model.head, HEADS))
    files = [own_source(part.name, entries, part.options) for part, entries in named]
    if model.pretrained:
        files.append(model_path(model.pretrained.path))
    if missing := [path for path in files if path and not path.is_file()]:
        raise UserError(f"There is no {missing[0]}, which a model names: correct the path.")
    marks = [path and fingerprint_file(path) for path in files]
    return fingerprint(marks, code_fingerprint(*ROOMS), keras.__version__, keras.backend.backend())


@dataclass(frozen=True)
class _Training:
    """One training on the images of ``rows``: of one task, or of several of which the model keeps this one."""

    store: EventStore | JoinedStores
    task: Task
    learnt: Task
    model: ModelParameters
    inputs: InputParameters
    training: TrainingParameters
    rows: Mapping[str, np.ndarray]
    run: str | None

    def learn(self, state_folder: Path, watch: Watch | None, wait: bool) -> TrainedModel:
        """Train a network."""
        batches = weighted_batches(self.store, self.learnt, self.inputs, self.training)
        scales = _measure_scales(batches["train"])
        build = partial(
            build_model, self.model, self.learnt, batches["train"].shapes, scales, batches["train"].maker.mapping
        )
        result = train(
            build,
            self.likelihood,
            batches["train"],
            batches["validation"],
            self.training,
            state_folder / self._mark(build()),
            n_events=batches["train"].n_events,
            origin=self.origin,
            factors=lambda network: learning_rate_factors(network, self.model),
            watch=watch,
            wait=wait,
        )
        network, constants = result.model, result.calibration
        if self._is_assisted:
            name = network_name(self.model, self.task)
            network = without_auxiliary(network, self.task, self.inputs.mode, name)
            constants = own_constants(constants)
        summary = {
            "parameters": self._result_parameters,
            "epochs": len(result.history),
            "best_epoch": result.best_epoch,
            "seconds": float(np.sum(result.history["seconds"])),
            "mlflow_run": result.origin["mlflow_run"],
            "calibration": {name: values.tolist() for name, values in constants.items()},
        }
        n_events = {split: len(one.targets) for split, one in batches.items()}
        return self._trained(network, result.history, summary, result.origin, n_events)

    def grow(self) -> TrainedModel:
        """Grow trees."""
        from cherenkov_pipeline.training.forest import train_forest

        check_growing(self.model, self.inputs, self.training)
        events = self.store.columns(WEIGHT_COLUMNS)[self.rows["train"]]
        weights = fit_weights(self.training.weights, events, self.store)
        network, history = train_forest(self.store, self.task, self.model, self.inputs, self.training, weights)
        summary = {
            "parameters": self.training.model_dump(mode="json", include=set(OF_TREES)),
            "epochs": len(history),
            "best_epoch": 1,
            "seconds": float(np.sum(history["seconds"])),
            "mlflow_run": self.run,
        }
        n_events = {split: len(rows) for split, rows in self.rows.items()}
        return self._trained(network, history, summary, self.origin, n_events)

    @property
    def likelihood(self) -> Likelihood:
        """Of the outputs."""
        name = self.learnt.likelihood_of(self.inputs.mode)
        return with_auxiliary_parts(name) if self._is_assisted else LIKELIHOODS[name]

    @property
    def _is_assisted(self) -> bool:
        return len(self.learnt.members) > len(self.task.members)

    @cached_property
    def origin(self) -> dict[str, Any]:
        """Where and when it is made."""
        return {"created": now().isoformat(), "versions": software_versions(), "mlflow_run": self.run}

    @property
    def _result_parameters(self) -> dict[str, Any]:
        return self.training.model_dump(mode="json", exclude=STATELESS)

    def _mark(self, network: keras.Model) -> str:
        """Fingerprint of all that the result depends on."""
        pretrained = self.model.pretrained
        return fingerprint(
            structure(network),
            pretrained and pretrained.model_dump(mode="json", exclude={"path"}),
            self.store.fingerprint,
            self.learnt.name,
            self.inputs,
            self._result_parameters,
            beside_parameters(self.model),
        )

    def _trained(
        self,
        network: keras.Model,
        history: QTable,
        summary: Mapping[str, Any],
        origin: Mapping[str, Any],
        n_events: Mapping[str, int],
    ) -> TrainedModel:
        store, best = self.store, history[summary["best_epoch"] - 1]
        camera, *further = (
            Camera(
                telescope_type=one.telescope_type,
                name=one.camera.name,
                n_pixels=one.n_pixels,
                fingerprint=one.camera_fingerprint,
            )
            for one in store.stores
        )
        card = ModelCard(
            name=Path(self.model.name).name.rpartition(":")[2],
            task=self.task.name,
            target_versions={member.name: member.version for member in self.task.members},
            model=self.model,
            inputs=self.inputs.model_dump(mode="json"),
            camera=camera,
            further_cameras=tuple(further),
            telescopes=places_by_id(store.telescopes) if self.inputs.mode == "stereo" else None,
            telescope_types=store.telescope_types if further else None,
            data=Data(
                fingerprint=store.fingerprint,
                n_train=n_events["train"],
                n_validation=n_events["validation"],
                split=store.provenance["split"],
            ),
            dl1_settings=store.provenance.get("dl1_settings"),
            validity=_validity(store.columns(VALIDITY)[self.rows["train"]], self.task),
            references=measure_references(store),
            training=dict(summary),
            metrics={name: float(best[name]) for name in best.colnames if name not in ("epoch", "seconds")},
            cost=model_cost(network),
            versions=origin["versions"],
            created=origin["created"],
        )
        geometry, *others = (one.camera for one in store.stores)
        return TrainedModel(network, card, history, geometry, tuple(others))


def with_loss_weights(task: Task, training: TrainingParameters) -> Task:
    """Give a joint task the weights of its parts' losses.

    Raises
    ------
    UserError
        If they name another task than its parts.
    """
    weights = training.loss_weights
    if weights is None:
        return task
    names = [part.name for part in task.parts]
    unknown = [name for name in weights if name not in names]
    if unknown:
        known = f"it has {', '.join(names)}" if names else "it is one task, whose loss is all there is"
        raise UserError(f"training.loss_weights names {unknown[0]}, but of {task.name}, {known}: leave it out.")

    # all digits, and no exponent, which the name of a likelihood has no room for
    texts = [np.format_float_positional(weights.get(name, 1.0), trim="0") for name in names]

    def weighted(mode: str) -> str:
        return "+".join(
            f"{text}*{part.likelihood_of(mode)}({part.n_targets})" for text, part in zip(texts, task.parts, strict=True)
        )

    return replace(task, likelihood=weighted("mono"), stereo_likelihood=weighted("stereo"))


def _measure_scales(batches: Batches) -> Scales:
    n_batches = min(len(batches), -(-SCALE_EVENTS // batches.batch_size))
    return measure_scales((batches[number][0] for number in range(n_batches)), batches.targets)


def _validity(events: Table, task: Task) -> Validity:
    energy = u.Quantity(events["true_energy"], "TeV").value
    altitude = u.Quantity(events["telescope_pointing_altitude"], "rad").to_value("deg")
    zenith = 90 - altitude[np.isfinite(altitude)]
    return Validity(
        particles=task.particles,
        energy=(float(np.min(energy)), float(np.max(energy))),
        zenith=(float(np.min(zenith)), float(np.max(zenith))) if len(zenith) else None,
    )
