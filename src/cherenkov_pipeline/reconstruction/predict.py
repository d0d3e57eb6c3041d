"""Predictions, event by event: every event has its row, and what cannot be predicted is NaN with the reason."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, Table, vstack

from cherenkov_pipeline.dl1.contents import production_of
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.selection import select
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import jit_compile
from cherenkov_pipeline.models.card import ModelCard
from cherenkov_pipeline.models.saved import TrainedModel, check_fit, fitting_camera
from cherenkov_pipeline.reconstruction.columns import COPIED
from cherenkov_pipeline.reconstruction.validity import check_dl1_settings, compare_settings, outside_zenith
from cherenkov_pipeline.spectra import THROWN, sum_thrown
from cherenkov_pipeline.store import EventChunk, EventStore, JoinedStores
from cherenkov_pipeline.store.chunks import cameras, iter_chunks
from cherenkov_pipeline.store.inputs import InputMaker, input_maker
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.store.split import split_changes
from cherenkov_pipeline.tasks import TASKS, Columns, Task, get_task

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

CHUNK_SIZE = 2048
"""Images, or events of several telescopes, in memory at a time, where nothing else is asked for."""

BATCH_SIZE = 256
"""Images in a forward pass: larger ones are not faster on a CPU and take gigabytes in wide networks."""

type Observer = Callable[[str, CameraGeometry, EventChunk, np.ndarray], None]
"""Called with the telescope type, the camera, images of whole events, and which of them, (n,) bool, are predicted."""

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

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks that the model does."""
        return get_task(self.trained.card.task).members

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
            n rows: `COPIED` columns, the tasks' physical columns, ``is_valid``, ``reason``, ``outside_validity``
            (pointing that the training data do not cover).
        """
        (table,) = predict_together([self], chunk, selected)
        return table

    def outputs(self, chunk: EventChunk, made: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
        """Give the outputs of the network for a batch of images.

        Parameters
        ----------
        chunk : EventChunk
        made : dict
            Inputs that other models of the same camera made of the same batch, by their parameters; is added to.
        """
        key = f"{self.trained.card.camera.fingerprint} {self.maker.parameters.model_dump_json()}"
        if key not in made:
            made[key] = self.maker.from_chunk(chunk if self.order is None else chunk.reorder_pixels(self.order))
        return self.trained.model.predict_on_batch(made[key])


def predict_together(predictors: Sequence[Predictor], chunk: EventChunk, selected: np.ndarray) -> list[QTable]:
    """Predict the selected images with several models; equal inputs are made once.

    Parameters
    ----------
    predictors : sequence of Predictor
    chunk : EventChunk
        n images.
    selected : ndarray of bool
        (n,)

    Returns
    -------
    list of QTable
        As `Predictor.predict` gives it, for each.
    """
    reason = np.full(len(chunk), VALID, dtype=f"U{max(map(len, (NO_SIGNAL, NOT_FINITE, OTHER_CAMERA)))}")
    reason[~chunk.image_mask.any(axis=1)] = NO_SIGNAL
    reason[~selected] = NOT_SELECTED
    rows = np.flatnonzero(reason == VALID)
    outputs = [
        np.full((len(chunk), *predictor.trained.model.output_shape[1:]), np.nan, dtype=np.float32)
        for predictor in predictors
    ]
    for start in range(0, len(rows), BATCH_SIZE):
        batch = rows[start : start + BATCH_SIZE]
        images, made = chunk[batch], {}
        for predictor, found in zip(predictors, outputs, strict=True):
            found[batch] = predictor.outputs(images, made)
    return [
        physical_table(predictor.trained, chunk.table, found, reason)
        for predictor, found in zip(predictors, outputs, strict=True)
    ]


def physical_table(trained: TrainedModel, events: Table, outputs: np.ndarray, reason: np.ndarray) -> QTable:
    """Make the predictions table of a network's outputs.

    Parameters
    ----------
    trained : TrainedModel
    events : Table
        n rows: keys, true values and pointing, where there are any.
    outputs : ndarray
        (n, n_outputs), NaN where nothing was predicted.
    reason : ndarray of str
        (n,), why nothing was predicted; `VALID` where something was.

    Returns
    -------
    QTable
        As `Predictor.predict` gives it.
    """
    task, reason = get_task(trained.card.task), reason.copy()
    columns = task.to_physical(outputs, events, trained.camera)
    required = [name for member in task.members for name in member.dl2_columns.values()]
    finite = np.all([np.isfinite(columns[name]) for name in required], axis=0)
    reason[(reason == VALID) & ~finite] = NOT_FINITE
    for values in columns.values():
        values[reason != VALID] = np.nan
    for member in task.members:
        if member.to_truth:
            columns |= member.to_truth(events, trained.camera)
    return _with_keys(events, columns, reason, outside_zenith(events, trained.card.validity))


def make_predictor(trained: TrainedModel, camera: "CameraGeometry") -> Predictor:
    """Prepare a model for the images of a camera.

    Raises
    ------
    UserError
        If the model was trained on another camera.
    """
    number, order = fitting_camera(trained, camera)
    inputs = InputParameters.model_validate(trained.card.inputs)
    if jit_compile() is False:
        trained.model.jit_compile = False
    return Predictor(trained, input_maker(trained.cameras[number], inputs), order)


def predict_store(trained: TrainedModel, store: EventStore, split: str | None = "test") -> QTable:
    """Predict the images of one side of a store's split.

    Parameters
    ----------
    trained : TrainedModel
    store : EventStore
    split : str, optional
        ``train``, ``validation`` or ``test``; None: all.

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
        check_split(trained.card, store)
    compare_settings(trained.card, store.provenance["dl1_settings"], store.path)
    predictor = make_predictor(trained, store.camera)
    rows = rows_to_predict(store, split)
    tables = []
    for start in range(0, len(rows), CHUNK_SIZE):
        chunk = store.read(rows[start : start + CHUNK_SIZE])
        tables.append(predictor.predict(chunk, np.ones(len(chunk), dtype=bool)))
    predictions = vstack(tables, metadata_conflicts="silent")
    predictions.add_column(
        np.array(store.productions)[store.columns(["production"])["production"][rows]], name="production", index=0
    )
    predictions.meta[THROWN] = thrown_of(store)
    return predictions


def thrown_of(store: EventStore | JoinedStores) -> list[dict[str, Any]]:
    """With which spectra the showers of a store were thrown; empty where one of its DL1 files does not say."""
    of_files = [item.get(THROWN, []) for item in store.provenance["inputs"]]
    return sum_thrown(chain(*of_files)) if all(of_files) else []


def rows_to_predict(store: EventStore | JoinedStores, split: str | None) -> np.ndarray:
    """Rows of one side of a store's split.

    Raises
    ------
    UserError
        If there are none.
    """
    rows = store.indices(split)
    if not len(rows):
        raise UserError(f"{store.path} has no {split or 'events'} events to predict: add files or change the split.")
    return rows


def check_split(card: ModelCard, store: EventStore | JoinedStores) -> None:
    """Check that the test events of a store are not among the training events of a model.

    Raises
    ------
    UserError
        If the store is split otherwise than the training data.
    """
    if changed := split_changes(card.data.split, store.provenance["split"]):
        raise UserError(
            f"{store.path} is split otherwise than the training data of {card.name} ({changed}): its test "
            "events may be among those; make the store with the same split, or train again."
        )


def predict_dl1(
    models: Sequence[TrainedModel],
    path: str | os.PathLike,
    selection: SelectionParameters,
    chunk_size: int = CHUNK_SIZE,
    observe: Observer | None = None,
) -> dict[str, QTable]:
    """Predict all images of a DL1 file with models of single telescopes, in one pass over its images.

    Parameters
    ----------
    models : sequence of TrainedModel
        Of one or more tasks and cameras. Where several of one task fit a camera, the first is taken.
    path, selection, chunk_size, observe
        As for `predict_sets`.

    Returns
    -------
    dict
        Task -> predictions table, as `predict_store` gives it, of every image in the file. Images of a camera that no
        model of the task fits are invalid.

    Raises
    ------
    UserError
        If a task has no model for any camera of the file.
    """
    return predict_sets({"": models}, path, selection, chunk_size, observe)[""]


def predict_sets(
    sets: Mapping[str, Sequence[TrainedModel]],
    path: str | os.PathLike,
    selection: SelectionParameters,
    chunk_size: int = CHUNK_SIZE,
    observe: Observer | None = None,
) -> dict[str, dict[str, QTable]]:
    """Predict all images of a DL1 file with several sets of models, in one pass over its images.

    Parameters
    ----------
    sets : mapping
        Name -> models, as `predict_dl1` takes them.
    path : path-like
    selection : SelectionParameters
        Images that are predicted; conditions on true values do not count.
    chunk_size : int
        Images in memory at a time.
    observe : callable, optional
        Looks at all images, each once.

    Returns
    -------
    dict
        Name -> what `predict_dl1` gives for its models.

    Raises
    ------
    UserError
        If a task of a set has no model for any camera of the file.
    """
    path = Path(path)
    matched = {name: match_models(models, path) for name, models in sets.items()}
    tables: dict[str, dict[str, list[QTable]]] = {
        name: {task: [] for task in task_names(models)} for name, models in sets.items()
    }
    for telescope_type, (camera, _) in next(iter(matched.values()), {}).items():
        chosen = {name: found[telescope_type][1] for name, found in matched.items()}
        models = {id(trained): trained for by_task in chosen.values() for trained in by_task.values()}
        predictors = [make_predictor(trained, camera) for trained in models.values()]
        for chunk in iter_chunks(path, telescope_type, chunk_size):
            selected, _ = select(chunk.table, selection, use_truth=False)
            if observe:
                observe(telescope_type, camera, chunk, selected)
            found = dict(zip(models, predict_together(predictors, chunk, selected), strict=True))
            for name, by_task in chosen.items():
                for task, parts in tables[name].items():
                    model = by_task.get(task)
                    parts.append(of_task(found[id(model)], task) if model else unpredicted(chunk.table, task, camera))
    production = production_of(path)
    return {
        name: {task: _joined(parts, production) for task, parts in by_task.items()} for name, by_task in tables.items()
    }


def match_models(
    models: Sequence[TrainedModel], path: Path
) -> "dict[str, tuple[CameraGeometry, dict[str, TrainedModel]]]":
    """Find the models for the cameras of a DL1 file.

    Returns
    -------
    dict
        Telescope type -> its camera, and task -> model, of several the first in `widest_first`; a task without a
        fitting model is absent.

    Raises
    ------
    UserError
        If a task has no model for any camera: its first reason. If the file was cleaned or calibrated otherwise than a
        model's training data.
    """
    if not models:
        raise UserError(f"{path} cannot be reconstructed. There is no model: train one.")
    found: dict[str, tuple[CameraGeometry, dict[str, TrainedModel]]] = {}
    reasons: dict[str, str] = {}
    for telescope_type, camera in cameras(path).items():
        by_task: dict[str, TrainedModel] = {}
        for trained in widest_first(models):
            try:
                check_fit(trained, camera)
            except UserError as error:
                reasons |= {name: str(error) for name in task_names([trained]) if name not in reasons}
                continue
            check_dl1_settings(trained.card, path)
            for task in get_task(trained.card.task).members:
                by_task.setdefault(task.name, trained)
        found[telescope_type] = (camera, by_task)
    fitting = {task for _, by_task in found.values() for task in by_task}
    missing = [task for task in task_names(models) if task not in fitting]
    if missing:
        reason = reasons.get(missing[0], "It holds no image: leave it out.")
        raise UserError(f"{path} cannot be reconstructed: {', '.join(missing)}. {reason}")
    return found


def widest_first(models: Sequence[TrainedModel]) -> list[TrainedModel]:
    """Order models by their number of cameras, most first: one of several types needs the images of all of them."""
    return sorted(models, key=lambda trained: -len(trained.card.cameras))


def task_names(models: Sequence[TrainedModel]) -> list[str]:
    """Name the tasks that some models do, each once."""
    return list(dict.fromkeys(task.name for trained in models for task in get_task(trained.card.task).members))


def of_task(table: QTable, task_name: str) -> QTable:
    """Drop the columns of other tasks that the same network does."""
    task = get_task(task_name)
    others = {column for other in TASKS.values() for column in (*other.units, *other.truth)}
    others -= {*task.units, *task.truth}
    return table[[name for name in table.colnames if name not in others]]


def unpredicted(events: Table, task_name: str, camera: "CameraGeometry") -> QTable:
    """Make the predictions table of events of a camera without a model."""
    task = get_task(task_name)
    nothing = np.full(len(events), np.nan)
    columns = {name: nothing * unit if unit else nothing.copy() for name, unit in task.units.items()}
    if task.to_truth:
        columns |= task.to_truth(events, camera)
    return _with_keys(events, columns, np.full(len(events), OTHER_CAMERA), np.zeros(len(events), dtype=bool))


def _with_keys(events: Table, columns: Columns, reason: np.ndarray, outside: np.ndarray) -> QTable:
    copied = {name: events[name] for name in COPIED if name in events.colnames}
    return QTable({**copied, **columns, "is_valid": reason == VALID, "reason": reason, "outside_validity": outside})


def _joined(tables: Sequence[QTable], production: str) -> QTable:
    if not tables:
        return QTable()
    joined = vstack(list(tables), metadata_conflicts="silent")
    joined.add_column(np.full(len(joined), production), name="production", index=0)
    return joined
