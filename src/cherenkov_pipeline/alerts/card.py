"""The card of a network that judges sub-images: what it is and what it was made from."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cherenkov_pipeline.alerts.preparation import PreparationParameters


class AlertData(BaseModel):
    """The images that a network was trained with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str = Field(description="Of images, labels and their split.")
    n_train: int
    n_validation: int
    n_real: int = Field(description="Labelled as true sources, of the training images.")
    simulated: bool = Field(description="Whether simulated images are among them.")
    mask_patterns: tuple[str, ...] = Field(description="Of the simulated ones.")


class AlertCard(BaseModel):
    """What a network is, what it was made from, and how good it was on its validation images."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    name: str
    method: dict[str, Any] = Field(description="All parameters of the method.")
    preparation: PreparationParameters = Field(description="Complete, as it was fitted to the training images.")
    weights: str = Field(description="What the training began with.")
    data: AlertData
    epochs: int
    best_epoch: int
    seconds: float = Field(description="Of all epochs; the features of frozen layers not counted.")
    metrics: dict[str, float] = Field(description="At the best epoch.")
    versions: dict[str, str]
    created: datetime = Field(description="When the training began.")
    file_fingerprint: str | None = Field(None, description="Of the .keras file that this card describes.")
