"""Predictions of stereo models: one row an event, whatever number of telescopes saw it.

Every event that has an image has its row; where its images do not suffice, the predictions are NaN with the reason. The
tables are those of `cherenkov_pipeline.reconstruction.predict` without ``tel_id`` and what belongs to one image, and
with

- ``n_telescopes``: images that the prediction is made from;
- ``telescopes``: which those are, a mask of the telescopes in ``meta["tel_ids"]``, as ctapipe's subarray tables of DL2
  have it;
- ``hillas_intensity``: sum over these images, or over all of them where none is used.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack

from cherenkov_pipeline.directions import POINTING
from cherenkov_pipeline.dl1.contents import EVENT, IMAGE, PRODUCTION_EVENT, production_of
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.dl1.selection import select
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.ground import TELESCOPE
from cherenkov_pipeline.models.saved import TrainedModel, fitting_camera
from cherenkov_pipeline.reconstruction.predict import (
    BATCH_SIZE,
    CHUNK_SIZE,
    COPIED,
    NO_SIGNAL,
    NOT_FINITE,
    NOT_SELECTED,
    OTHER_CAMERA,
    VALID,
    Observer,
    Predictor,
    check_split,
    make_predictor,
    match_models,
    of_task,
    physical_table,
    rows_to_predict,
    task_names,
    thrown_of,
    unpredicted,
)
from cherenkov_pipeline.reconstruction.validity import compare_settings
from cherenkov_pipeline.spectra import THROWN
from cherenkov_pipeline.store import EventChunk, EventStore, JoinedStores
from cherenkov_pipeline.store.chunks import iter_array_chunks, telescopes
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.store.stereo import (
    group_events,
    places_by_id,
    pointing_positions,
    telescope_records,
    type_inputs,
)

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

TOO_FEW, NO_POINTING = "fewer images than the model needs", "no pointing"
"""Further values of the column ``reason``."""

REASON = f"U{max(map(len, (NO_SIGNAL, NOT_FINITE, NOT_SELECTED, OTHER_CAMERA, TOO_FEW, NO_POINTING)))}"

OF_IMAGES = ("tel_id", "hillas_fov_lon", "hillas_fov_lat", "hillas_psi")
"""Columns that events do not have."""

PLACE_TOLERANCE = 5.0
"""m, by which a telescope may stand elsewhere than in the training data: its images would differ by 0.05 deg."""


@dataclass(frozen=True)
class StereoPredictor:
    """A trained stereo model, ready for the events of the telescope types of a file or store.

    Attributes
    ----------
    trained : TrainedModel
    images : mapping
        Telescope type -> the model with what images of its camera need.
    telescopes : ndarray
        Records of `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`, one a place of the model.
    """

    trained: TrainedModel
    images: Mapping[str, Predictor]
    telescopes: np.ndarray

    def predict(self, chunks: Mapping[str, EventChunk], selected: np.ndarray) -> QTable:
        """Predict the events of some images.

        Parameters
        ----------
        chunks : mapping
            Telescope type -> its images: all of these events, in any order, of one production where ``production`` is
            no column.
        selected : ndarray of bool
            (n,) images that may be used, those of one type after those of the other.

        Returns
        -------
        QTable
            A row an event, in the order of their first images; see `cherenkov_pipeline.reconstruction.stereo`.
        """
        images = _joined_table(chunks)
        found = _events(images, self.telescopes["tel_id"])
        has_signal = np.concatenate([chunk.image_mask.any(axis=1) for chunk in chunks.values()])
        used = np.where((found >= 0) & (has_signal & selected)[found], found, -1)
        n_used = (used >= 0).sum(axis=1)
        events = _event_table(images, found, used)
        reason = np.full(len(found), VALID, dtype=REASON)
        reason[n_used < self.parameters.min_telescopes] = TOO_FEW
        reason[n_used == 0] = NO_SIGNAL
        reason[~_any(selected, found)] = NOT_SELECTED
        pointing = np.stack([u.Quantity(events[name], "rad").value for name in POINTING])
        reason[(reason == VALID) & ~np.isfinite(pointing).all(axis=0)] = NO_POINTING
        model = self.trained.model
        outputs = np.full((len(found), *model.output_shape[1:]), np.nan, dtype=np.float32)
        rows = np.flatnonzero(reason == VALID)
        for start in range(0, len(rows), BATCH_SIZE):
            batch = rows[start : start + BATCH_SIZE]
            outputs[batch] = model.predict_on_batch(self._inputs(chunks, used[batch], pointing[:, batch]))
        table = physical_table(self.trained, events, outputs, reason)
        table.add_column(n_used, name="n_telescopes", index=table.colnames.index("is_valid"))
        table.add_column(used >= 0, name="telescopes", index=table.colnames.index("is_valid"))
        return table

    def _inputs(
        self, chunks: Mapping[str, EventChunk], items: np.ndarray, pointing: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Make the inputs that `~cherenkov_pipeline.store.stereo.StereoBatches` makes of the same events."""
        inputs = {"telescopes": (items >= 0).astype(np.float32)}
        first = 0
        for telescope_type, chunk in chunks.items():
            predictor = self.images[telescope_type]
            own = (items >= first) & (items < first + len(chunk))
            images = chunk[items[own] - first]
            first += len(chunk)
            if not len(images):
                continue
            order = predictor.order
            made = predictor.maker.from_chunk(images if order is None else images.reorder_pixels(order))
            for name, values in made.items():
                inputs.setdefault(name, np.zeros((*items.shape, *values.shape[1:]), dtype=np.float32))[own] = values
        card = self.trained.card
        if card.telescope_types:
            types = [camera.telescope_type for camera in card.cameras]
            inputs["telescope_types"] = type_inputs(card.telescope_types, types, len(items))
        return {**inputs, "positions": pointing_positions(self.telescopes, *pointing)}

    @property
    def parameters(self) -> InputParameters:
        """What the model reads."""
        return InputParameters.model_validate(self.trained.card.inputs)


def make_stereo_predictor(
    trained: TrainedModel,
    cameras: "Mapping[str, CameraGeometry]",
    found: Mapping[str, np.ndarray],
    path: str | os.PathLike,
) -> StereoPredictor:
    """Prepare a stereo model for the telescopes of a file or store.

    Parameters
    ----------
    trained : TrainedModel
    cameras : mapping
        Telescope type -> its camera.
    found : mapping
        Telescope type -> records of `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`, of these types at least.
    path : path-like
        Where they are found, for the message.

    Raises
    ------
    UserError
        If the model was trained on other cameras; if a telescope is not one that the model was trained with, stands
        elsewhere or has another camera than there.
    """
    card = trained.card
    marks = {camera.telescope_type: camera.fingerprint for camera in card.cameras}
    for telescope_type, camera in cameras.items():
        mark = card.cameras[fitting_camera(trained, camera)[0]].fingerprint
        for tel_id, place in places_by_id(found[telescope_type]).items():
            if tel_id not in card.telescopes:
                problem = "is not among those of its training"
            elif (shift := math.dist(place, card.telescopes[tel_id])) > PLACE_TOLERANCE:
                problem = f"stands {shift:.0f} m from its place in the training"
            elif card.telescope_types and marks[card.telescope_types[tel_id]] != mark:
                problem = f"is a {telescope_type} and was a {card.telescope_types[tel_id]} in the training"
            else:
                continue
            raise UserError(
                f"The stereo model {card.name} ({card.task}) does not fit {path}, telescope {tel_id} {problem}: train a"
                " model on this array, or take models of single telescopes."
            )
    images = {name: make_predictor(trained, camera) for name, camera in cameras.items()}
    return StereoPredictor(trained, images, telescope_records(card.telescopes))


def is_stereo(trained: TrainedModel) -> bool:
    """Whether a model reads all images of an event together."""
    return trained.card.mode == "stereo"


def predict_stereo_store(trained: TrainedModel, store: EventStore | JoinedStores, split: str | None = "test") -> QTable:
    """Predict the events of one side of a store's split.

    Parameters
    ----------
    trained : TrainedModel
        Stereo.
    store : EventStore or JoinedStores
    split : str, optional
        ``train``, ``validation`` or ``test``; None: all.

    Returns
    -------
    QTable
        One row an event, all particles, by ``production`` (name), ``obs_id`` and ``event_id``.

    Raises
    ------
    UserError
        As `~cherenkov_pipeline.reconstruction.predict.predict_store`, or if the telescopes are not those of the
        training.
    """
    if split == "test":
        check_split(trained.card, store)
    compare_settings(trained.card, store.provenance["dl1_settings"], store.path)
    predictor = predictor_of_store(trained, store)
    rows = rows_to_predict(store, split)
    items = _events(store.columns(("production", *IMAGE))[rows], store.telescopes["tel_id"])
    tables = []
    for start in range(0, len(items), CHUNK_SIZE):
        events = items[start : start + CHUNK_SIZE]
        images = rows[np.sort(events[events >= 0])]
        tables.append(predictor.predict(read_images(predictor, store, images), np.ones(len(images), dtype=bool)))
    predictions = vstack(tables, metadata_conflicts="silent")
    production = np.asarray(store.columns(["production"])["production"])[rows[_first(items)]]
    predictions.add_column(np.array(store.productions)[production], name="production", index=0)
    predictions.meta |= {"tel_ids": predictor.telescopes["tel_id"].tolist(), THROWN: thrown_of(store)}
    return predictions


def predictor_of_store(trained: TrainedModel, store: EventStore | JoinedStores) -> StereoPredictor:
    """Prepare a stereo model for the telescopes of a store; see `make_stereo_predictor`."""
    cameras = {one.telescope_type: one.camera for one in store.stores}
    places = {one.telescope_type: one.telescopes for one in store.stores}
    return make_stereo_predictor(trained, cameras, places, store.path)


def read_images(
    predictor: StereoPredictor, store: EventStore | JoinedStores, rows: np.ndarray
) -> dict[str, EventChunk]:
    """Read images of a store, rows in increasing order: telescope type -> its images, with the columns that count."""
    wanted = dict.fromkeys((*PRODUCTION_EVENT, *COPIED, *predictor.parameters.columns))
    found = store.read(rows, [name for name in wanted if name in store.colnames])
    return found if isinstance(store, JoinedStores) else {store.telescope_type: found}


def predict_stereo_dl1(
    models: Sequence[TrainedModel],
    path: str | os.PathLike,
    selection: SelectionParameters,
    chunk_size: int = CHUNK_SIZE,
    observe: Observer | None = None,
) -> dict[str, QTable]:
    """Predict all events of a DL1 file with all stereo models.

    The file is read once for each telescope type, or for each set of types whose images a model reads together.

    Parameters
    ----------
    models : sequence of TrainedModel
        Those that are stereo are used. Where several of one task fit a camera, that of the most telescope types is
        taken, of these the first.
    path : path-like
    selection : SelectionParameters
        Images that are used; conditions on true values do not count.
    chunk_size : int
        Images in memory at a time.
    observe : callable, optional
        Looks at all images, each once.

    Returns
    -------
    dict
        Task -> predictions table of every event in the file that has an image, in the order of ``obs_id`` and
        ``event_id``; ``meta["tel_ids"]`` are all telescopes of the file. Where several models, of one telescope type
        each, predict an event, the one with the most images is taken. Empty without stereo models.

    Raises
    ------
    UserError
        If a task has no model for any camera of the file, or the telescopes are not those of the training.
    """
    path, models = Path(path), [trained for trained in models if is_stereo(trained)]
    if not models:
        return {}
    by_type = telescopes(path)
    tel_ids = np.sort(np.concatenate([found["tel_id"] for found in by_type.values()]))
    tables: dict[str, list[QTable]] = {task: [] for task in task_names(models)}
    matched = match_models(models, path)
    seen: set[str] = set()
    for types, by_task in _read_together(matched, tables).items():
        cameras = {name: matched[name][0] for name in types}
        unseen, seen = set(types) - seen, seen | set(types)
        predictors = {
            id(trained): make_stereo_predictor(trained, cameras, by_type, path)
            for trained in by_task.values()
            if trained is not None
        }
        for chunks in iter_array_chunks(path, types, chunk_size):
            # the cuts of an event store are made type by type as well
            by_type_selected = {
                name: select(chunk.table, selection, use_truth=False)[0] for name, chunk in chunks.items()
            }
            selected = np.concatenate(list(by_type_selected.values()))
            if observe:
                for name in unseen.intersection(chunks):
                    observe(name, cameras[name], chunks[name], by_type_selected[name])
            found = {number: predictor.predict(chunks, selected) for number, predictor in predictors.items()}
            for task, trained in by_task.items():
                if trained is not None:
                    places = predictors[id(trained)].telescopes["tel_id"]
                    table = of_task(found[id(trained)], task)
                else:
                    (telescope_type,) = types
                    places = by_type[telescope_type]["tel_id"]
                    table = _without_model(chunks[telescope_type], task, places, cameras[telescope_type])
                tables[task].append(_with_mask_of(table, places, tel_ids))
    production = production_of(path)
    return {task: _one_row_an_event(parts, production, tel_ids) for task, parts in tables.items()}


def _read_together(
    matched: "Mapping[str, tuple[CameraGeometry, Mapping[str, TrainedModel]]]", tasks: Iterable[str]
) -> dict[tuple[str, ...], dict[str, TrainedModel | None]]:
    """Tell which images are read together: telescope types -> task -> its model.

    A model of several types reads those that it is the model of; any other reads each by itself. A type without a
    model of some task is read for the rows of its events: None.
    """
    groups: dict[tuple[str, ...], dict[str, TrainedModel | None]] = {}
    for task in tasks:
        for name, (_, by_task) in matched.items():
            trained, types = by_task.get(task), (name,)
            if trained is not None and trained.further_cameras:
                types = tuple(other for other, (_, known) in matched.items() if known.get(task) is trained)
            groups.setdefault(types, {})[task] = trained
    return groups


def _joined_table(chunks: Mapping[str, EventChunk]) -> Table:
    """Table of the images of all types, one type after the other, with the columns that all have."""
    tables = [chunk.table for chunk in chunks.values()]
    return tables[0] if len(tables) == 1 else vstack(tables, join_type="inner", metadata_conflicts="silent")


def _events(images: Table, tel_ids: np.ndarray) -> np.ndarray:
    """Group images by event, in the order of their first images: (n_events, n_telescopes), -1 where there is none."""
    items = group_events(images, tel_ids)
    return items[np.argsort(_first(items), kind="stable")]


def _first(items: np.ndarray) -> np.ndarray:
    """First image of each event."""
    return np.where(items < 0, np.iinfo(items.dtype).max, items).min(axis=1)


def _any(values: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Whether something holds for any image of each event."""
    return ((items >= 0) & values[items]).any(axis=1)


def _event_table(images: Table, found: np.ndarray, used: np.ndarray) -> Table:
    """Take what the images of an event share, and the sum of their light."""
    events = images[_first(found)]
    events.remove_columns([name for name in OF_IMAGES if name in events.colnames])
    for name in TELESCOPE:
        events[name] = 0.0
    if "hillas_intensity" in events.colnames:
        counted = np.where((used >= 0).any(axis=1, keepdims=True), used, found)
        values = np.nan_to_num(np.asarray(images["hillas_intensity"], dtype=float))[counted]
        events["hillas_intensity"] = np.where(counted >= 0, values, 0).sum(axis=1)
    return events


def _without_model(chunk: EventChunk, task: str, places: np.ndarray, camera: object) -> QTable:
    """Rows of a telescope type without a model."""
    found = _events(chunk.table, places)
    nothing = np.full_like(found, -1)
    table = unpredicted(_event_table(chunk.table, found, nothing), task, camera)
    table["n_telescopes"], table["telescopes"] = 0, nothing >= 0
    return table


def _with_mask_of(table: QTable, places: np.ndarray, tel_ids: np.ndarray) -> QTable:
    """Mask of telescopes of one type as one of all."""
    mask = np.zeros((len(table), len(tel_ids)), dtype=bool)
    # the array of the training may be larger than that of the file
    present = np.isin(places, tel_ids)
    mask[:, np.searchsorted(tel_ids, places[present])] = table["telescopes"][:, present]
    table.replace_column("telescopes", mask)
    return table


def _one_row_an_event(tables: Sequence[QTable], production: str, tel_ids: np.ndarray) -> QTable:
    """Of each event the valid row with the most images, or else the first."""
    if not tables:
        return QTable()
    joined = vstack(list(tables), metadata_conflicts="silent")
    keys = [np.asarray(joined[name], dtype=np.int64) for name in EVENT]
    order = np.lexsort((-np.asarray(joined["n_telescopes"]), ~np.asarray(joined["is_valid"]), *reversed(keys)))
    ordered = np.stack(keys, axis=1)[order]
    best = np.append(True, (np.diff(ordered, axis=0) != 0).any(axis=1))
    joined = joined[order[best]]
    joined.add_column(np.full(len(joined), production), name="production", index=0)
    joined.meta["tel_ids"] = tel_ids.tolist()
    return joined
