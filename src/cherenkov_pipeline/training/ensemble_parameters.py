"""Parameters of an ensemble."""

from pydantic import Field

from cherenkov_pipeline.config import Parameters


class EnsembleParameters(Parameters):
    """Trainings that differ in their seeds, as one model."""

    members: int = Field(1, ge=1, le=100, description="Trainings; 1: one model, no ensemble.")
