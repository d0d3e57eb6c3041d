"""Parameters of the reconstruction."""

from typing import Annotated, Literal

from pydantic import Field

from cherenkov_pipeline.config import Parameters


class DriftParameters(Parameters):
    """When images count as different from a model's training data."""

    limit: float = Field(
        0.2, gt=0, lt=1, description="Distance of two distributions (Kolmogorov-Smirnov) from which it is told."
    )
    minimum_events: int = Field(100, ge=10, description="Fewer events are not judged.")


class ReconstructionParameters(Parameters):
    """DL1 files to DL2 files."""

    prefix: str | None = Field(
        None, pattern=r"^[A-Za-z]\w*$", description="First part of the DL2 columns' names; null: name of the model."
    )
    models: dict[Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")], str] = Field(
        {},
        description="Further models, of any tasks: first part of their columns' names -> energy_model:<version>, "
        "core_model (the newest), identifier of an MLflow run, or path.",
    )
    combination: Literal["predicted_error", "intensity", "none"] = Field(
        "predicted_error", description="Weights of an event's telescopes: by predicted error, charge, or none."
    )
    keep_images: bool = Field(False, description="Copy the images to the DL2 files as well.")
    chunk_size: int = Field(2048, ge=1, le=100_000, description="Images in memory at a time.")
    drift: DriftParameters = Field(DriftParameters(), description="Comparison with the models' training data.")
