"""All parameters of the pipeline ``grb_alerts``, light to import."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cherenkov_pipeline.alerts.ensemble import EnsembleParameters
from cherenkov_pipeline.alerts.images import CAUSES, REAL_CAUSES
from cherenkov_pipeline.alerts.parameters import (
    AutoencoderMethod,
    ForestMethod,
    FrameParameters,
    IsolationForestMethod,
    Method,
    MethodParameters,
    NetworkMethod,
)
from cherenkov_pipeline.alerts.search_parameters import AlertSearchParameters
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.splits import CrossValidationParameters, SplitParameters
from cherenkov_pipeline.config import Parameters

N_PARTS = 4
"""Seeds of the simulation, from its own on: sample, calibration, held-back mask pattern, frames without a source."""


class AlertParameters(Parameters):
    """From labelled sub-images to the ensemble that judges them."""

    path: str | None = Field(
        None, description="Labelled sub-images: HDF5, npz, a folder, or a table of files; null: simulated ones."
    )
    simulation: AlertSimulationParameters = AlertSimulationParameters()
    label_map: dict[Literal[CAUSES], bool] = Field(
        {}, description="Cause -> whether it counts as a true source; images of other causes keep their label."
    )
    n_calibration: int = Field(
        9600,
        ge=20,
        description="Simulated sub-images, rightly labelled, that the thresholds are found on; with a path, these are"
        " the test images.",
    )
    n_held_back: int = Field(540, ge=20, description="Simulated sub-images of the mask pattern that is held back.")
    n_noise: int = Field(20_000, ge=1, description="Simulated frames without a source, for the false-alarm rate.")
    split: SplitParameters = SplitParameters()
    methods: dict[str, MethodParameters] = Field(min_length=1, description="Name -> preset, and what is changed of it.")
    ensemble: EnsembleParameters
    cross_validation: CrossValidationParameters = CrossValidationParameters()
    search: AlertSearchParameters | None = Field(None, description="Of the best configuration of one network.")
    ablation: dict[str, MethodParameters] = Field(
        {}, description="Variants that are cross-validated; the others are compared with the first one."
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="Bootstrap resamples behind every interval.")

    @field_validator("methods", "ablation")
    @classmethod
    def _names_of_files(cls, methods: dict[str, MethodParameters]) -> dict[str, MethodParameters]:
        for name, method in methods.items():
            if not re.fullmatch(r"\w[\w.-]{0,79}", name):
                raise ValueError(f"a method's name has letters, digits and ._- alone. Received: {name!r}")
            if name == "ensemble" or (name == "autoencoder" and not isinstance(method.method, AutoencoderMethod)):
                raise ValueError(f"{name!r} is the name of something else: choose another one")
        return methods

    @model_validator(mode="after")
    def _ensemble_of_methods(self) -> Self:
        anomalies = AutoencoderMethod | IsolationForestMethod
        for names, kind, what in (
            (self.ensemble.members, NetworkMethod, "a network"),
            (self.ensemble.detectors, anomalies, "an autoencoder or isolation forest"),
        ):
            for name in names:
                if name not in self.methods or not isinstance(self.methods[name].method, kind):
                    raise ValueError(f"ensemble: {name!r} must be {what} among the methods {', '.join(self.methods)}")
        kinds = [self.methods[name].method.method for name in self.ensemble.detectors]
        if len(set(kinds)) < len(kinds):
            raise ValueError("ensemble: one detector of each kind at most")
        if self.search and not isinstance(self.chosen.get(self.search.of), NetworkMethod):
            raise ValueError(
                f"search: {self.search.of!r} must be a network among the methods {', '.join(self.methods)}"
            )
        return self

    @model_validator(mode="after")
    def _weights_from_other_masks(self) -> Self:
        known = {*self.simulation.mask_patterns, self.simulation.held_back_pattern}
        for name, method in {**self.chosen, **self.variants}.items():
            frames = _frames_of(method)
            if shared := known & {*(frames.mask_patterns if frames else ())}:
                raise ValueError(
                    f"{name}: the mask patterns {sorted(shared)} of its pre-training are also those of the simulated"
                    " images: take others, which it may know"
                )
        return self

    @model_validator(mode="after")
    def _weights_from_other_events(self) -> Self:
        own = range(self.simulation.seed, self.simulation.seed + N_PARTS)
        for name, method in {**self.chosen, **self.variants}.items():
            if (frames := _frames_of(method)) and frames.seed in own:
                raise ValueError(
                    f"{name}: its pre-training has the seed {frames.seed}, and the simulated images have"
                    f" {own[0]} to {own[-1]}: it would know the same bursts; take another"
                )
        return self

    @property
    def is_real(self) -> dict[str, bool]:
        """Whether each cause counts as a true source."""
        return {cause: cause in REAL_CAUSES for cause in CAUSES} | self.label_map

    @property
    def chosen(self) -> dict[str, Method]:
        """Name -> parameters of each method."""
        return {name: one.method for name, one in self.methods.items()}

    @property
    def variants(self) -> dict[str, Method]:
        """Name -> parameters of each variant of the ablation."""
        return {name: one.method for name, one in self.ablation.items()}


def _frames_of(method: Method) -> FrameParameters | None:
    """Find the simulated frames that a method learns from beside the images."""
    return method.frames if isinstance(method, NetworkMethod | ForestMethod) else None
