"""Trained models as files: one ``.keras`` file, with its card, its history and its camera beside it.

A model with layers of a user's own file needs that file: it is run when the model is loaded. Load only models that you
trust where their card names one.
"""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from astropy.table import QTable

# register the layers and losses that a saved model may name
import cherenkov_pipeline.models.combine
import cherenkov_pipeline.models.decision_forest
import cherenkov_pipeline.models.layers
import cherenkov_pipeline.models.likelihoods
import cherenkov_pipeline.models.set_network
import cherenkov_pipeline.models.stereo_geometry
import cherenkov_pipeline.models.telescopes  # noqa: F401
from cherenkov_pipeline.dl1.cameras import camera_fingerprint, pixel_order
from cherenkov_pipeline.errors import UserError, reason
from cherenkov_pipeline.files import atomic_path
from cherenkov_pipeline.fingerprints import fingerprint, fingerprint_file
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.card import ModelCard, card_path
from cherenkov_pipeline.models.on_disk import (
    HISTORY_SUFFIX,
    camera_paths,
    check_files,
    model_path,
    read_card,
    read_history,
    read_table,
)
from cherenkov_pipeline.models.registry import HEADS, REGISTRY, ModelEntry, resolve
from cherenkov_pipeline.models.structure import structure

if TYPE_CHECKING:
    from astropy.table import Table
    from ctapipe.instrument import CameraGeometry

logger = logging.getLogger(__name__)

Builder = tuple[str, Mapping[str, ModelEntry], Mapping[str, Any]]
"""Arguments of `resolve`."""


@dataclass(frozen=True)
class TrainedModel:
    """A network ready for predictions.

    Attributes
    ----------
    model : keras.Model
        From a dict of named inputs to outputs in the task's units; not compiled.
    card : ModelCard
    history : QTable
        One row an epoch: ``epoch``, ``loss``, ``val_loss``, metrics, ``learning_rate``, ``seconds``.
    camera : ctapipe.instrument.CameraGeometry
        Of the training data, in the camera frame: its pixel order is the model's.
    further_cameras : tuple of ctapipe.instrument.CameraGeometry
        Of a stereo model of several telescope types, in the order of the card.
    """

    model: keras.Model
    card: ModelCard
    history: QTable
    camera: "CameraGeometry"
    further_cameras: "tuple[CameraGeometry, ...]" = ()

    @property
    def cameras(self) -> "tuple[CameraGeometry, ...]":
        """All cameras of the training data, in the order of the card."""
        return (self.camera, *self.further_cameras)

    @property
    def fingerprint(self) -> str:
        """Of what the predictions depend on: network, weights, inputs, camera, task; not of the time of the training.

        The same before and after saving, unlike that of the ``.keras`` file, which carries the time of its making.
        """
        weights = hashlib.blake2b(digest_size=8)
        for values in self.model.get_weights():
            weights.update(np.ascontiguousarray(values))
        card = self.card
        return fingerprint(
            structure(self.model),
            weights.hexdigest(),
            card.task,
            card.name,
            card.inputs,
            *card.cameras,
            card.validity,
        )


def save_model(trained: TrainedModel, path: str | os.PathLike) -> TrainedModel:
    """Write a model with its card, history and camera.

    Parameters
    ----------
    trained : TrainedModel
    path : path-like
        Ends in ``.keras``, or a folder for ``model.keras``.

    Returns
    -------
    TrainedModel
        With the card as written: it names the file's fingerprint.

    Raises
    ------
    UserError
        If the disk is full.
    """
    path = model_path(path)
    with atomic_path(path) as part:
        trained.model.save(part)
        card = trained.card.model_copy(update={"file_fingerprint": fingerprint_file(part)})
        # the model last: a model that exists is complete
        with atomic_path(path.with_suffix(HISTORY_SUFFIX)) as history:
            trained.history.write(history, format="ascii.ecsv")
        for geometry, place in zip(trained.cameras, camera_paths(path, card), strict=True):
            with atomic_path(place) as camera:
                _camera_table(geometry).write(camera, format="ascii.ecsv")
        with atomic_path(card_path(path)) as text:
            text.write_text(card.model_dump_json(indent=1) + "\n")
    return TrainedModel(trained.model, card, trained.history, trained.camera, trained.further_cameras)


def load_model(path: str | os.PathLike) -> TrainedModel:
    """Read a model with its card, history and camera; nothing is unpickled, and code is run as by `load_network`.

    Parameters
    ----------
    path : path-like
        The ``.keras`` file, or the folder that holds ``model.keras``.

    Raises
    ------
    UserError
        If a file is missing or cut off, or they do not belong together.
    """
    path = model_path(path)
    card = check_files(path)
    _, model = load_network(path)
    history = read_history(path)
    places = zip(camera_paths(path, card), card.cameras, strict=True)
    camera, *further = (_read_camera(place, known.fingerprint) for place, known in places)
    return TrainedModel(model, card, history, camera, tuple(further))


def load_network(path: str | os.PathLike) -> tuple[Path, keras.Model]:
    """Read a network alone, not compiled; its card need not be there.

    Where the network has layers that neither Keras nor this package knows, the module or file that its card names is
    run, which is logged: load only models that you trust.

    Parameters
    ----------
    path : path-like
        The ``.keras`` file, or the folder that holds ``model.keras``.

    Returns
    -------
    path : Path
        Of the file.
    model : keras.Model

    Raises
    ------
    UserError
        If there is no such file or it cannot be read.
    """
    path = model_path(path)
    if not path.is_file():
        raise UserError(f"There is no model {path}: train it first, or correct the path.")
    builders: list[Builder] = []
    if card_path(path).is_file():
        model = read_card(path).model
        builders = [(model.name, REGISTRY, model.options), (model.head.name, HEADS, model.head.options)]
    # importing a builder registers its layers
    for name, entries, options in builders:
        if name in entries:
            resolve(name, entries, options)
    try:
        return path, _load(path, [builder for builder in builders if builder[0] not in builder[1]])
    except (OSError, ValueError, TypeError, KeyError, BadZipFile) as error:
        raise UserError(
            f"Cannot load {path} ({reason(error)}): train the model again with the installed versions."
        ) from error


def _load(path: Path, others: Sequence[Builder]) -> keras.Model:
    """Load a network, with the code of others only as far as it is needed."""
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except TypeError:  # a layer that Keras does not know
        if not others:
            raise
        builder, *rest = others
        logger.warning("%s has layers of its own: %s is run, which its card names.", path, builder[0])
        resolve(*builder)
        return _load(path, rest)


def check_fit(trained: TrainedModel, camera: "CameraGeometry") -> np.ndarray | None:
    """Check that images of a camera may be given to the model.

    Parameters
    ----------
    trained : TrainedModel
    camera : ctapipe.instrument.CameraGeometry
        Of the images, in the camera frame.

    Returns
    -------
    ndarray or None
        ``image[:, order]`` has the model's pixel order; None where the orders are the same.

    Raises
    ------
    UserError
        If it is another camera: says why.
    """
    return fitting_camera(trained, camera)[1]


def fitting_camera(trained: TrainedModel, camera: "CameraGeometry") -> tuple[int, np.ndarray | None]:
    """Find the one of the model's cameras that a camera is.

    Parameters
    ----------
    trained, camera
        See `check_fit`.

    Returns
    -------
    number : int
        Position in ``trained.cameras``.
    order : ndarray or None
        What `check_fit` returns.

    Raises
    ------
    UserError
        As `check_fit`.
    """
    card, mark, reasons = trained.card, camera_fingerprint(camera), []
    for number, known in enumerate(card.cameras):
        if mark == known.fingerprint:
            return number, None
    for number, known in enumerate(trained.cameras):
        try:
            return number, pixel_order(known, camera)
        except UserError as error:
            reasons.append(str(error))
    types = " and ".join(known.telescope_type for known in card.cameras)
    raise UserError(
        f"The model {card.name} ({card.task}) was trained on {types} and does not fit the camera {camera.name}: take a"
        f" model of this camera. {' '.join(dict.fromkeys(reasons))}"
    )


def _camera_table(camera: "CameraGeometry") -> "Table":
    table = camera.to_table()
    table.meta["focal_length"] = float(camera.frame.focal_length.to_value("m"))
    return table


def _read_camera(path: Path, known: str) -> "CameraGeometry":
    import astropy.units as u
    from ctapipe.coordinates import CameraFrame
    from ctapipe.instrument import CameraGeometry

    table = read_table(path)
    camera = CameraGeometry.from_table(table)
    camera.frame = CameraFrame(focal_length=table.meta["focal_length"] * u.m, rotation=camera.cam_rotation)
    if camera_fingerprint(camera) != known:
        raise UserError(f"{path} is not the camera that the model's card describes: copy it from where it was saved.")
    return camera
