"""Saved models without Keras: where their files are, the card, and the rest when it is asked for.

To know what a model is, such as its task, its name or its cleaning, the card is enough: Keras need not be imported, and
no network built.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cherenkov_pipeline.config import first_problem
from cherenkov_pipeline.errors import UserError, reason
from cherenkov_pipeline.fingerprints import fingerprint_file
from cherenkov_pipeline.models.card import ModelCard, card_path
from cherenkov_pipeline.tasks import get_task

if TYPE_CHECKING:
    from astropy.table import QTable, Table
    from ctapipe.instrument import CameraGeometry

    from cherenkov_pipeline.models.backend import keras
    from cherenkov_pipeline.models.saved import TrainedModel

MODEL_FILE = "model.keras"
HISTORY_SUFFIX = ".history.ecsv"
CAMERA_SUFFIX = ".camera.ecsv"
FURTHER_SUFFIX = ".camera-{}.ecsv"
"""Of the second camera and so on."""


class SavedModel:
    """A trained model in its file: its card is read at once, the rest when it is first asked for.

    It has all that a `~cherenkov_pipeline.models.saved.TrainedModel` has.

    Parameters
    ----------
    path : path-like
        The ``.keras`` file, or the folder that holds `MODEL_FILE`.

    Raises
    ------
    UserError
        If a file is missing or cut off, or they do not belong together.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = model_path(path)
        self.card = check_files(self.path)
        self._loaded: TrainedModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        # another process reads the network from its file
        return {**self.__dict__, "_loaded": None}

    def load(self) -> "TrainedModel":
        """Read all of it, once.

        Raises
        ------
        UserError
            If the network cannot be built.
        """
        if self._loaded is None:
            from cherenkov_pipeline.models.saved import load_model

            self._loaded = load_model(self.path)
        return self._loaded

    @property
    def model(self) -> "keras.Model":
        """The network."""
        return self.load().model

    @property
    def history(self) -> "QTable":
        """One row an epoch."""
        return read_history(self.path)

    @property
    def camera(self) -> "CameraGeometry":
        """Of the training data."""
        return self.load().camera

    @property
    def further_cameras(self) -> "tuple[CameraGeometry, ...]":
        """Of a stereo model of several telescope types."""
        return self.load().further_cameras

    @property
    def cameras(self) -> "tuple[CameraGeometry, ...]":
        """All cameras of the training data."""
        return self.load().cameras

    @property
    def fingerprint(self) -> str:
        """Of what the predictions depend on."""
        return self.load().fingerprint


def read_card(path: str | os.PathLike) -> ModelCard:
    """Read the card of a saved model.

    Raises
    ------
    UserError
        If the model or its card is missing or the card cannot be read.
    """
    path = model_path(path)
    if not path.is_file():
        raise UserError(f"There is no model {path}: train it first, or correct the path.")
    try:
        return ModelCard.model_validate_json(card_path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path} has no card: copy {card_path(path).name} beside it.") from None
    except ValidationError as error:
        raise UserError(f"Cannot read {card_path(path)}: {first_problem(error)}.") from error


def read_history(path: Path) -> "QTable":
    """Read the history beside a model's file; raises as `read_table`."""
    from astropy.table import QTable

    return QTable(read_table(path.with_suffix(HISTORY_SUFFIX)))


def read_table(path: Path) -> "Table":
    """Read a table beside a model's file.

    Raises
    ------
    UserError
        If it is cut off or changed, so that it cannot be read.
    """
    from astropy.table import Table

    try:
        return Table.read(path, format="ascii.ecsv")
    except ValueError as error:
        raise UserError(f"Cannot read {path} ({reason(error)}): copy it from where the model was saved.") from error


def check_files(path: Path) -> ModelCard:
    """Check that all files of a model are there and belong together; return its card.

    Raises
    ------
    UserError
        If not.
    """
    card = read_card(path)
    if card.file_fingerprint != fingerprint_file(path):
        raise UserError(f"{path} is not the file that {card_path(path).name} describes: take both from one training.")
    for task in get_task(card.task).members:
        if card.target_versions.get(task.name, 1) != task.version:
            raise UserError(f"{path} has learnt another {task.name} than this program means by it: train it again.")
    for place in (path.with_suffix(HISTORY_SUFFIX), *camera_paths(path, card)):
        if not place.is_file():
            raise UserError(f"{place} is gone: copy it beside {path.name}, from where the model was saved.")
    return card


def model_path(path: str | os.PathLike) -> Path:
    """Path of the ``.keras`` file: the path itself, or of `MODEL_FILE` in the folder.

    Raises
    ------
    UserError
        If it is neither.
    """
    path = Path(path)
    if path.is_dir():
        return path / MODEL_FILE
    if path.suffix != ".keras":
        raise UserError(f"A model's file ends in .keras. Received: {path}")
    return path


def camera_paths(path: Path, card: ModelCard) -> list[Path]:
    """Files of the cameras beside a model."""
    further = (FURTHER_SUFFIX.format(number) for number in range(2, len(card.cameras) + 1))
    return [path.with_suffix(suffix) for suffix in (CAMERA_SUFFIX, *further)]
