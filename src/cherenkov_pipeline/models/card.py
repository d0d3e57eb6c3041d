"""The model card: what a model is, what it was made from, and which data it may be applied to."""

import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

import cherenkov_pipeline
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.revision import git_revision

SUFFIX = ".card.json"

Numbers = Annotated[
    tuple[float, ...],
    BeforeValidator(lambda value: value.split() if isinstance(value, str) else value),
    PlainSerializer(lambda value: " ".join(f"{number:.4g}" for number in value), return_type=str),
]
"""Numbers on one line of the card."""


class _Section(BaseModel):
    # a figure that could not be computed is NaN also in the file
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class Camera(_Section):
    """The camera that the model was trained for."""

    telescope_type: str
    name: str = Field(description="ctapipe's name of the camera.")
    n_pixels: int
    fingerprint: str = Field(description="Of the pixels' positions in the order of the training data.")


class Data(_Section):
    """The training data."""

    fingerprint: str
    n_train: int
    n_validation: int
    split: dict[str, int | float | str] = Field(
        description="Fractions, seed and what is not divided: they tell which showers were seen."
    )


class Validity(_Section):
    """Ranges that the training data cover; outside them the model extrapolates."""

    particles: tuple[str, ...]
    energy: tuple[float, float] = Field(description="TeV.")
    zenith: tuple[float, float] | None = Field(description="Of the telescopes' pointing, deg; null: not known.")


class Reference(_Section):
    """How quantities of the training images are distributed, given intensity and time gradient: `models.reference`."""

    telescope_type: str
    particle: str
    n_images: int
    limits: Numbers = Field(description="Least and greatest log10(hillas_intensity / p.e.).")
    nodes: Numbers = Field(description="log10(hillas_intensity / p.e.) at which the deciles are given.")
    expected: dict[str, Numbers] = Field(description="Of each quantity: coefficients of what is expected of an image.")
    deciles: dict[str, tuple[Numbers, ...]] = Field(description="Of the deviations from that, at each node.")
    shares: dict[str, Numbers] = Field(description="Of these images themselves between the deciles of each quantity.")


class Cost(_Section):
    """What one prediction costs."""

    parameters: int
    layers: int
    gflops: float = Field(description="Of one forward pass, one event; a multiplication and an addition count as two.")


class ModelCard(_Section):
    """What a model is, what it was made from, and which data it may be applied to."""

    name: str = Field(description="Prefix of the columns in DL2 files.")
    task: str
    target_versions: dict[str, int] = Field({}, description="Which meaning of each task's target it learnt; none: 1.")
    model: ModelParameters
    inputs: dict[str, Any] = Field(description="Input parameters: channels, mapping.")
    camera: Camera
    further_cameras: tuple[Camera, ...] = Field((), description="Of a stereo model of several telescope types.")
    telescopes: dict[int, tuple[float, float, float]] | None = Field(
        None, description="Of a stereo model: x, y, z of each telescope, ground frame, m; null: one telescope."
    )
    telescope_types: dict[int, str] | None = Field(
        None, description="Of a stereo model of several telescope types: that of each telescope; null: one type."
    )
    data: Data
    validity: Validity
    references: tuple[Reference, ...] = Field(
        (), description="What the training images look like, of each telescope type and particle; none: not known."
    )
    dl1_settings: dict[str, Any] | None = Field(
        None, description="How the DL1 files of the training data were cleaned and calibrated; null: not known."
    )
    training: dict[str, Any] = Field(description="Training parameters, epochs done, best epoch, duration, MLflow run.")
    metrics: dict[str, float] = Field(description="At the best epoch.")
    cost: Cost
    versions: dict[str, str] = Field(description="When the training began.")
    created: datetime = Field(description="When the training began.")
    file_fingerprint: str | None = Field(None, description="Of the .keras file that this card describes.")

    @property
    def mode(self) -> str:
        """``mono`` or ``stereo``: the model takes single images, or whole events."""
        return self.inputs.get("mode", "mono")

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """All cameras that the model was trained for."""
        return (self.camera, *self.further_cameras)


def card_path(path: str | os.PathLike) -> Path:
    """Path of the card that belongs to a ``.keras`` file."""
    return Path(path).with_suffix(SUFFIX)


def now() -> datetime:
    """Time for `ModelCard.created`, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def software_versions() -> dict[str, str]:
    """Versions of what a model's numbers depend on, and the git revision where the package stands in a repository."""
    import keras

    backend = keras.backend.backend()
    return {
        "cherenkov_pipeline": cherenkov_pipeline.__version__,
        "git_revision": git_revision(),
        "keras": keras.__version__,
        "backend": backend,
        backend: version(backend),
        "ctapipe": version("ctapipe"),
    }
