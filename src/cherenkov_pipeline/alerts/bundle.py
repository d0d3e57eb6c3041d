"""The deployed ensemble as a folder: networks as ONNX files, anomaly detectors, training images, and what they are.

``bundle.json`` names every file with its SHA-256. Nothing in it is unpickled, and neither TensorFlow nor Keras is
needed to read it.
"""

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from cherenkov_pipeline.alerts.guarantee import Threshold
from cherenkov_pipeline.alerts.isolation_forest import IsolationForest, read_isolation_forest
from cherenkov_pipeline.alerts.preparation import PreparationParameters
from cherenkov_pipeline.config import Parameters, first_problem
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FORMAT = 1
CARD = "bundle.json"

LOGIT, CAM, EMBEDDING, RECONSTRUCTION = "logit", "cam", "embedding", "reconstruction"
"""Names of the networks' outputs."""

FileName = Annotated[str, Field(pattern=r"^[\w][\w.-]*$", max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class BundleFile(Parameters):
    """One file of a bundle."""

    file: FileName
    sha256: Sha256 = Field("", description="Filled in by write_bundle.")


class Member(BundleFile):
    """One network of the ensemble: inputs as `PreparationParameters.shapes`; outputs ``logit`` (n,) and ``cam``."""

    name: str
    preparation: PreparationParameters
    n_training: int = Field(ge=0, description="Images that it was trained on.")


class Autoencoder(BundleFile):
    """A network that gives images back as they would be if they were like its training images."""

    preparation: PreparationParameters
    limit: float = Field(description="Reconstruction error above which an image is an anomaly.")


class Forest(BundleFile):
    """An isolation forest on the features by hand."""

    limit: float = Field(description="Score above which an image is an anomaly.")


class Anomaly(Parameters):
    """The anomaly detectors; null: not used."""

    autoencoder: Autoencoder | None = None
    isolation_forest: Forest | None = None


class TrainingImages(BundleFile):
    """Training images among which the nearest ones are looked for."""

    member: str = Field(description="Whose output `embedding` says what is near.")


class BundleCard(Parameters):
    """What a bundle holds and what it is good for: the content of ``bundle.json``."""

    format: Literal[1] = FORMAT
    created: str
    versions: dict[str, str]
    simulated: bool = Field(description="Trained on simulated images, not on flight data.")
    mask_patterns: tuple[int, ...] = Field(description="Of the simulated training images.")
    data_fingerprint: str
    label_map: dict[str, bool] = Field(description="Cause -> whether it counts as a true source.")
    members: tuple[Member, ...] = Field(min_length=1)
    temperature: float = Field(gt=0, description="Divisor of the mean logit.")
    thresholds: dict[Literal["real", "false"], Threshold]
    largest_disagreement: float = Field(
        ge=0, le=1, description="Range of the members' probabilities above which they disagree."
    )
    smallest_valid_fraction: float = Field(ge=0, le=1, description="Share of usable pixels below which there are few.")
    largest_mismatch: float = Field(
        1.5, ge=1, description="Factor between snr_max and the trigger's pixel above which they do not belong together."
    )
    anomaly: Anomaly = Anomaly()
    neighbours: TrainingImages | None = None

    @property
    def files(self) -> tuple[BundleFile, ...]:
        """All files."""
        others = (self.anomaly.autoencoder, self.anomaly.isolation_forest, self.neighbours)
        return (*self.members, *(file for file in others if file is not None))


@dataclass(frozen=True)
class Neighbours:
    """Training images to compare with.

    Attributes
    ----------
    embeddings : ndarray
        (n, k) float32, outputs ``embedding`` of a member.
    thumbnails : ndarray
        (n, rows, columns) float16, signal to noise; NaN where there are no data.
    image_id, cause : ndarray of str
        (n,).
    is_real : ndarray of bool
        (n,), labels.
    """

    embeddings: np.ndarray
    thumbnails: np.ndarray
    image_id: np.ndarray
    cause: np.ndarray
    is_real: np.ndarray

    def __post_init__(self):
        shapes = {name: getattr(self, name).shape for name in self.__dataclass_fields__}
        if len({shape[:1] for shape in shapes.values()}) != 1 or len(shapes["embeddings"]) != 2:
            raise ValueError(f"all arrays have one row an image. Received: {shapes}")

    def write(self, path: str | os.PathLike) -> None:
        """Write as an ``.npz`` file."""
        arrays = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays |= {name: np.asarray(arrays[name]).astype(str) for name in ("image_id", "cause")}
        arrays["thumbnails"] = arrays["thumbnails"].astype(np.float16)
        with atomic_path(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Neighbours":
        """Read what `write` has written."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**{name: arrays[name] for name in cls.__dataclass_fields__})


class Bundle:
    """A bundle that was read: `read_bundle` makes it.

    Parameters
    ----------
    folder : pathlib.Path
        Whose files have been checked.
    card : BundleCard
    n_threads : int
        Threads of one network's computation.
    """

    def __init__(self, folder: Path, card: BundleCard, n_threads: int = 2):
        self.folder, self.card, self.n_threads = folder, card, n_threads
        self.sha256 = _sha256(folder / CARD)
        self.members = {member.name: self._session(member, (LOGIT, CAM)) for member in card.members}
        autoencoder, near = card.anomaly.autoencoder, card.neighbours
        self.autoencoder = self._session(autoencoder, (RECONSTRUCTION,)) if autoencoder else None
        if near is not None and EMBEDDING not in self._outputs(self.members.get(near.member)):
            raise UserError(f"{folder}: the member {near.member}, of the nearest images, has no output {EMBEDDING}.")

    @cached_property
    def isolation_forest(self) -> IsolationForest | None:
        """The forest, if there is one."""
        forest = self.card.anomaly.isolation_forest
        return read_isolation_forest(self.folder / forest.file) if forest else None

    @cached_property
    def neighbours(self) -> Neighbours | None:
        """The training images, if there are any."""
        near = self.card.neighbours
        return Neighbours.read(self.folder / near.file) if near else None

    def _session(self, network: Member | Autoencoder, outputs: tuple[str, ...]) -> "InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.n_threads, 1
        options.log_severity_level = 3
        # threads that wait while they turn take the time of whatever else runs
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = self.folder / network.file
        try:
            session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes, which it does not document
            raise UserError(f"{path} is no network that onnxruntime can run: export it again.") from error
        if missing := set(outputs) - self._outputs(session):
            raise UserError(f"{path} has no output {', '.join(sorted(missing))}: export it again.")
        inputs = {tensor.name for tensor in session.get_inputs()}
        if unknown := inputs - network.preparation.shapes.keys():
            raise UserError(f"{path} reads {', '.join(sorted(unknown))}, which its preparation does not make.")
        return session

    @staticmethod
    def _outputs(session: "InferenceSession | None") -> set[str]:
        return {tensor.name for tensor in session.get_outputs()} if session is not None else set()


def write_bundle(card: BundleCard, files: Mapping[str, str | os.PathLike], path: str | os.PathLike) -> Bundle:
    """Write a bundle, and read it once.

    Parameters
    ----------
    card : BundleCard
        Its hashes are filled in.
    files : mapping of str to path-like
        Name in the bundle -> file to copy.
    path : path-like
        Folder to make; an existing one is refused.

    Raises
    ------
    UserError
        If the folder is there already, a file that the card names is missing, or a network cannot be run.
    """
    path = Path(path)
    if path.exists():
        raise UserError(f"{path} exists already: remove it, or choose another folder.")
    with atomic_path(path) as part:
        part.mkdir()
        for file in card.files:
            if file.file not in files:
                raise UserError(f"The bundle lacks {file.file}.")
            shutil.copyfile(files[file.file], part / file.file)
        content = _with_hashes(card.model_dump(mode="json"), part)
        (part / CARD).write_text(BundleCard.model_validate(content).model_dump_json(indent=1) + "\n")
        read_bundle(part)
    return read_bundle(path)


def read_bundle(path: str | os.PathLike, n_threads: int = 2) -> Bundle:
    """Read a bundle and check all of its files.

    Parameters
    ----------
    path : path-like
        The folder with ``bundle.json``.
    n_threads : int
        Threads of one network's computation.

    Raises
    ------
    UserError
        If a file is missing, is not the one that the bundle was written with, or cannot be read; if onnxruntime is
        not installed.
    """
    path = Path(path)
    try:
        card = BundleCard.model_validate_json((path / CARD).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"There is no bundle in {path}: kedro run --pipeline=grb_alerts makes one.") from None
    except ValidationError as error:
        raise UserError(f"Cannot read {path / CARD}: {first_problem(error)}.") from error
    if importlib.util.find_spec("onnxruntime") is None:
        raise UserError("Verdicts need onnxruntime: pip install 'cherenkov-pipeline[alerts]'.")
    for file in card.files:
        place = path / file.file
        if not place.is_file():
            raise UserError(f"{place} is gone: copy the bundle again, with all of its files.")
        if _sha256(place) != file.sha256:
            raise UserError(f"{place} is not the file that the bundle was written with: copy the bundle again.")
    return Bundle(path, card, n_threads)


def newest_bundle(path: str | os.PathLike) -> Path:
    """Find the bundle: the folder itself, or in the newest of the versions that Kedro keeps in it."""
    path = Path(path)
    versions = sorted(path.glob(f"*/{path.name}/{CARD}"))
    return versions[-1].parent if versions and not (path / CARD).exists() else path


def _with_hashes(content: object, folder: Path) -> object:
    """Give the card's content the hash of every file that it names."""
    if isinstance(content, dict):
        content = {key: _with_hashes(value, folder) for key, value in content.items()}
        return content | {"sha256": _sha256(folder / content["file"])} if "sha256" in content else content
    return [_with_hashes(value, folder) for value in content] if isinstance(content, list) else content


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
