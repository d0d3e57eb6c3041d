"""Parameters of the evaluation (bins, smallest samples, bootstrap; DL2 files) and of the comparison (which models)."""

from typing import Literal, Self

import astropy.units as u
import numpy as np
from pydantic import Field, field_validator, model_validator

from cherenkov_pipeline.config import Parameters, quantity
from cherenkov_pipeline.dl1.contents import PARTICLES
from cherenkov_pipeline.spectra import Spectrum
from cherenkov_pipeline.tasks import TASKS


class EvaluationParameters(Parameters):
    """How models are evaluated. The defaults are the conventions of the SST-1M collaboration."""

    energy_min: quantity("TeV", minimum=1e-3) = Field(0.1 * u.TeV, description="lower edge of the first energy bin")
    energy_max: quantity("TeV", minimum=1e-3) = Field(1000 * u.TeV, description="upper edge of the last energy bin")
    bins_per_decade: int = Field(5, ge=1, le=50, description="energy bins a decade, curves per energy")
    migration_bins_per_decade: int = Field(10, ge=1, le=50, description="energy bins a decade, migration matrix")
    minimum_events: int = Field(
        20, ge=1, description="bins with fewer events (of the particle type: of either class) are listed, but not drawn"
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="bootstrap resamples behind every interval")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="confidence level of the bootstrap intervals")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
    spectra: dict[Literal[tuple(PARTICLES)], Spectrum | None] | None = Field(
        {"gamma": "CRAB_HEGRA", "proton": "DAMPE_P_He_SPECTRUM"},
        description="particle -> spectrum that metrics are weighted to as well: a power of dN/dE, or the name of a "
        "spectrum of pyirf.spectral; null, for a particle or for all: not weighted",
    )
    published_curve: Literal["mono_tel1", "mono_tel2", "stereo"] | None = Field(
        "mono_tel1", description="published SST-1M random-forest curve drawn as a reference; null draws none"
    )

    @field_validator("spectra")
    @classmethod
    def _without_null(cls, spectra: dict[str, Spectrum | None] | None) -> dict[str, Spectrum]:
        return {name: spectrum for name, spectrum in (spectra or {}).items() if spectrum is not None}

    @model_validator(mode="after")
    def _energy_range(self) -> Self:
        if not self.energy_min < self.energy_max:
            raise ValueError(f"energy_min must be below energy_max. Received: {self.energy_min}, {self.energy_max}")
        fewest = min(self.bins_per_decade, self.migration_bins_per_decade)
        # the upper edge of the last bin may lie a little beyond energy_max, as in pyirf
        if np.log10((self.energy_max / self.energy_min).to_value(u.one)) * fewest < 1 - 1e-5:
            raise ValueError(
                f"energy_min to energy_max holds no whole bin: {fewest} a decade need a factor {10 ** (1 / fewest):.3g}"
                f" between them. Received: {self.energy_min}, {self.energy_max}"
            )
        return self


class DL2Parameters(Parameters):
    """Which DL2 files of others are evaluated."""

    path: str | None = Field(None, description="one file, a folder or a glob")
    prefix: str | None = Field(None, min_length=1, description="of the columns; null: the only one there is")
    level: Literal["telescope", "subarray"] | None = Field(
        None, description="each image by itself, or whole events; null: images where they were predicted"
    )
    name: str | None = Field(None, min_length=1, description="in the report; null: the prefix")


class ComparisonParameters(Parameters):
    """Which models are compared."""

    task: str | None = Field(None, description="task of the models; null: the one that all of them do")
    models: dict[str, str] = Field(
        {},
        description="label -> energy_model:<version>, identifier of an MLflow run, path of a model or of DL2 files; or "
        "all: all saved models of the task, as where there are none here",
    )

    @field_validator("models")
    @classmethod
    def _drawable_labels(cls, models: dict[str, str]) -> dict[str, str]:
        for label in models:
            # what matplotlib would take for a hidden entry or a formula
            if not label.strip() or label.startswith("_") or "$" in label:
                raise ValueError(f"labels are not empty, begin with no _ and have no $. Received: {label!r}")
        return models

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str | None) -> str | None:
        if task is not None and task not in TASKS:
            raise ValueError(f"must be one of {', '.join(TASKS)}. Received: {task!r}")
        return task
