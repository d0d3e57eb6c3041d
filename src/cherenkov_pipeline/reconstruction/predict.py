"""Predictions, event by event: every event has its row, and what cannot be predicted is NaN with the reason."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack

from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.selection import select
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import jit_compile
from cherenkov_pipeline.models.saved import TrainedModel, check_fit
from cherenkov_pipeline.reconstruction.validity import check_dl1_settings, compare_settings, outside_zenith
from cherenkov_pipeline.store import EventChunk, EventStore
from cherenkov_pipeline.store.chunks import cameras, iter_chunks
from cherenkov_pipeline.store.inputs import InputMaker, input_maker
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.tasks import get_task

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

BATCH_SIZE = 256
"""Images in a forward pass: larger ones are not faster on a CPU and take gigabytes in wide networks."""

COPIED = (
    "obs_id",
    "event_id",
    "tel_id",
    "shower",
    "true_energy",
    "true_alt",
    "true_az",
    "true_shower_primary_id",
    "telescope_pointing_altitude",
    "telescope_pointing_azimuth",
    "hillas_intensity",
)
"""Columns of the events that the predictions carry along, where there are any."""

VALID, NOT_SELECTED, NO_SIGNAL, NOT_FINITE, OTHER_CAMERA = (
    "",
    "not selected",
    "no pixel survives the cleaning",
    "prediction is not finite",
    "no model for this camera",
)
"""Column ``reason`` of the predictions."""


@dataclass(frozen=True)
class Predictor:
    """A trained model, ready for the images of one camera.

    Attributes
    ----------
    trained : TrainedModel
    maker : InputMaker
        For the model's pixel order.
    order : ndarray or None
        Brings images to the model's pixel order; None where they have it.
    """

    trained: TrainedModel
    maker: InputMaker
    order: np.ndarray | None

    def predict(self, chunk: EventChunk, selected: np.ndarray) -> QTable:
        """Predict the selected images.

        Parameters
        ----------
        chunk : EventChunk
            n images.
        selected : ndarray of bool
            (n,)

        Returns
        -------
        QTable
            n rows: `COPIED` columns, the task's physical columns, ``is_valid``, ``reason``, ``outside_validity``
            (pointing that the training data do not cover).
        """
        task = get_task(self.trained.card.task)
        reason = np.full(len(chunk), VALID, dtype=f"U{max(map(len, (NO_SIGNAL, NOT_FINITE, OTHER_CAMERA)))}")
        reason[~chunk.image_mask.any(axis=1)] = NO_SIGNAL
        reason[~selected] = NOT_SELECTED
        usable = reason == VALID
        outputs = np.full((len(chunk), *self.trained.model.output_shape[1:]), np.nan, dtype=np.float32)
        if usable.any():
            outputs[usable] = self._outputs(chunk[usable])
        columns = task.to_physical(outputs, chunk.table)
        finite = np.all([np.isfinite(values) for values in columns.values()], axis=0)
        reason[usable & ~finite] = NOT_FINITE
        for values in columns.values():
            values[reason != VALID] = np.nan
        outside = outside_zenith(chunk.table, self.trained.card.validity)
        return _with_keys(chunk.table, columns, reason, outside)

    def _outputs(self, chunk: EventChunk) -> np.ndarray:
        if self.order is not None:
            chunk = chunk.reorder_pixels(self.order)
        outputs = [
            self.trained.model.predict_on_batch(self.maker.from_chunk(chunk[start : start + BATCH_SIZE]))
            for start in range(0, len(chunk), BATCH_SIZE)
        ]
        return np.concatenate(outputs)


def make_predictor(trained: TrainedModel, camera: "CameraGeometry") -> Predictor:
    """Prepare a model for the images of a camera.

    Raises
    ------
    UserError
        If the model was trained on another camera.
    """
    order = check_fit(trained, camera)
    inputs = InputParameters.model_validate(trained.card.inputs)
    if jit_compile() is False:
        trained.model.jit_compile = False
    return Predictor(trained, input_maker(trained.camera, inputs), order)


def predict_store(
    trained: TrainedModel, store: EventStore, split: str | None = "test", chunk_size: int = 2048
) -> QTable:
    """Predict the images of one side of a store's split.

    Parameters
    ----------
    trained : TrainedModel
    store : EventStore
    split : str, optional
        ``train``, ``validation`` or ``test``; None: all.
    chunk_size : int
        Images in memory at a time.

    Returns
    -------
    QTable
        One row an image, all particles, in the order of the store: ``production`` (name), keys, true values,
        ``hillas_intensity``, the task's physical columns, ``is_valid``, ``reason``, ``outside_validity``.

    Raises
    ------
    UserError
        If the model was trained on another camera, there are no events, or test events are asked for of a store with
        another split than the training data had: the model may have been trained on them. If the store's DL1 files
        were cleaned or calibrated otherwise than the training data.
    """
    if split == "test":
        _check_split(trained, store)
    compare_settings(trained.card, store.provenance["dl1_settings"], store.path)
    predictor = make_predictor(trained, store.camera)
    rows = store.indices(split)
    if not len(rows):
        raise UserError(f"{store.path} has no {split or 'events'} events to predict: add files or change the split.")
    tables = []
    for start in range(0, len(rows), chunk_size):
        chunk = store.read(rows[start : start + chunk_size])
        tables.append(predictor.predict(chunk, np.ones(len(chunk), dtype=bool)))
    predictions = vstack(tables, metadata_conflicts="silent")
    predictions.add_column(np.array(store.productions)[store.table["production"][rows]], name="production", index=0)
    return predictions


def _check_split(trained: TrainedModel, store: EventStore) -> None:
    # the split is a hash of the shower: with the same parameters no shower changes sides, whatever else is in the store
    learnt, found = trained.card.data.split, store.provenance["split"]
    if learnt != found:
        changed = ", ".join(f"{name} {found[name]} instead of {learnt.get(name)}" for name in found)
        raise UserError(
            f"{store.path} is split otherwise than the training data of {trained.card.name} ({changed}): its test "
            "events may be among those; make the store with the same split, or train again."
        )


def predict_dl1(
    models: Sequence[TrainedModel],
    path: str | os.PathLike,
    selection: SelectionParameters,
    chunk_size: int = 2048,
) -> dict[str, QTable]:
    """Predict all images of a DL1 file with all models, in one pass over its images.

    Parameters
    ----------
    models : sequence of TrainedModel
        Of one or more tasks and cameras. Where several of one task fit a camera, the first is taken.
    path : path-like
    selection : SelectionParameters
        Images that are predicted; conditions on true values do not count.
    chunk_size : int
        Images in memory at a time.

    Returns
    -------
    dict
        Task -> predictions table, as `predict_store` gives it, of every image in the file. Images of a camera that no
        model of the task fits are invalid.

    Raises
    ------
    UserError
        If no model fits any camera of the file.
    """
    path = Path(path)
    matched = match_models(models, path)
    tasks = list(dict.fromkeys(trained.card.task for trained in models))
    tables: dict[str, list[QTable]] = {task: [] for task in tasks}
    for telescope_type, (camera, by_task) in matched.items():
        predictors = {task: make_predictor(trained, camera) for task, trained in by_task.items()}
        for chunk in iter_chunks(path, telescope_type, chunk_size):
            selected, _ = select(chunk.table, selection, use_truth=False)
            for task in tasks:
                predictor = predictors.get(task)
                tables[task].append(predictor.predict(chunk, selected) if predictor else _unpredicted(chunk, task))
    production = path.name.removesuffix(".h5").removesuffix(".dl1")
    return {task: _joined(parts, production) for task, parts in tables.items()}


def match_models(
    models: Sequence[TrainedModel], path: Path
) -> "dict[str, tuple[CameraGeometry, dict[str, TrainedModel]]]":
    """Find the models for the cameras of a DL1 file.

    Returns
    -------
    dict
        Telescope type -> its camera, and task -> model; a task without a fitting model is absent.

    Raises
    ------
    UserError
        If no model fits any camera: the first reason. If the file was cleaned or calibrated otherwise than a model's
        training data.
    """
    found: dict[str, tuple[CameraGeometry, dict[str, TrainedModel]]] = {}
    reasons: list[str] = []
    for telescope_type, camera in cameras(path).items():
        by_task: dict[str, TrainedModel] = {}
        for trained in models:
            try:
                check_fit(trained, camera)
            except UserError as error:
                reasons.append(str(error))
                continue
            check_dl1_settings(trained.card, path)
            by_task.setdefault(trained.card.task, trained)
        found[telescope_type] = (camera, by_task)
    if not any(by_task for _, by_task in found.values()):
        raise UserError(f"{path} cannot be reconstructed. {reasons[0] if reasons else 'There is no model: train one.'}")
    return found


def _unpredicted(chunk: EventChunk, task: str) -> QTable:
    """Rows of a camera without a model."""
    columns = {name: np.full(len(chunk), np.nan) * unit for name, unit in get_task(task).units.items()}
    return _with_keys(chunk.table, columns, np.full(len(chunk), OTHER_CAMERA), np.zeros(len(chunk), dtype=bool))


def _with_keys(events: Table, columns: Mapping[str, u.Quantity], reason: np.ndarray, outside: np.ndarray) -> QTable:
    copied = {name: events[name] for name in COPIED if name in events.colnames}
    return QTable({**copied, **columns, "is_valid": reason == VALID, "reason": reason, "outside_validity": outside})


def _joined(tables: Sequence[QTable], production: str) -> QTable:
    if not tables:
        return QTable()
    joined = vstack(list(tables), metadata_conflicts="silent")
    joined.add_column(np.full(len(joined), production), name="production", index=0)
    return joined
