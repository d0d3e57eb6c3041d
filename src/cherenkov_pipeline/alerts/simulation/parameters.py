"""Parameters of the simulated alerts: how many, of which causes, under which disturbances, and what triggers."""

import math

from pydantic import Field, field_validator, model_validator

from cherenkov_pipeline.alerts.images import CAUSES
from cherenkov_pipeline.config import Parameters, quantity

TALK_CAUSES = {
    "grb": 0.617 * 72 / 451,
    "known_source": 0.617 * 379 / 451,
    "flickering_modules": 0.383 * 0.30,
    "hot_pixels": 0.383 * 0.15,
    "particle_storm": 0.383 * 0.20,
    "ghost": 0.383 * 0.20,
    "earth_limb": 0.383 * 0.15,
}
"""Share of each cause: 61.7 % real sources, 72 bursts to 379 known sources; how false alerts divide is assumed."""


class BandParameters(Parameters):
    """An energy band of the trigger."""

    background: quantity("1 / s", minimum=1, maximum=1e5) = Field(description="Counts of the background")
    crab: quantity("1 / s", minimum=0.1, maximum=1e4) = Field(description="Counts of the Crab on the axis")


#: 2000 and 540 counts per second in 4-120 keV are published; how they divide among the bands is assumed
BANDS = {
    "5-20 keV": BandParameters(background="1150 / s", crab="370 / s"),
    "8-50 keV": BandParameters(background="1250 / s", crab="330 / s"),
    "8-120 keV": BandParameters(background="1450 / s", crab="350 / s"),
    "20-120 keV": BandParameters(background="600 / s", crab="120 / s"),
}


class TriggerParameters(Parameters):
    """When a sky image triggers."""

    threshold: float = Field(6.5, ge=1, le=100, description="Least signal to noise")
    spread_factor: float = Field(
        5.0, ge=0, le=100, description="Least signal to noise, in standard deviations of the sky image"
    )
    smallest_coding_fraction: float = Field(
        0.09, gt=0, lt=1, description="Sky pixels that a smaller share of the detector sees are not used"
    )


class SourceParameters(Parameters):
    """Real sources: how bright they are."""

    faintest: float = Field(7.6, gt=0, le=100, description="Least signal to noise that is drawn")
    slope: float = Field(1.6, gt=0, le=10, description="Number of sources above a signal to noise goes with its -slope")
    brightest: float = Field(60.0, gt=0, le=1000, description="Largest signal to noise that is drawn")
    others_in_field: float = Field(1.2, ge=0, le=20, description="Mean number of known sources beside the trigger")
    others_cleaned: float = Field(0.6, ge=0, le=1, description="Share of them that is subtracted on board")

    @model_validator(mode="after")
    def _ordered(self) -> "SourceParameters":
        if not self.faintest < self.brightest:
            raise ValueError(f"faintest must lie below brightest. Received: {self.faintest:g}, {self.brightest:g}")
        return self


class DisturbanceParameters(Parameters):
    """What is no source and shows in the sky image."""

    strength: float = Field(1.0, ge=0, le=10, description="Factor of all disturbances")
    share: float = Field(
        0.45, ge=0, le=1, description="Share of real alerts, and of frames without a source, with a disturbance"
    )
    strength_in_real: float = Field(0.35, ge=0, le=10, description="Strength of disturbances in real alerts")


class AlertSimulationParameters(Parameters):
    """Simulated trigger sub-images of ECLAIRs."""

    n_images: int = Field(540, ge=1, le=1_000_000, description="Sub-images; fewer are the first ones of more")
    causes: dict[str, float] = Field(TALK_CAUSES, description="Share of each cause")
    mask_patterns: tuple[int, ...] = Field(
        (0, 1, 2), min_length=1, description="Random mask patterns to draw from, each a seed"
    )
    held_back_pattern: int = Field(3, ge=0, description="Pattern that is kept for a test")
    bands: dict[str, BandParameters] = Field(BANDS, min_length=1, description="Energy bands by name")
    largest_doubling: int = Field(6, ge=0, le=10, description="Time scales are 20.48 s x 2^n, n up to this")
    sequences: tuple[float, ...] = Field(
        (0.6, 0.25, 0.15), min_length=1, description="Shares of events with one, two, three ... alerts"
    )
    trigger: TriggerParameters = Field(TriggerParameters(), description="When a sky image triggers")
    sources: SourceParameters = Field(SourceParameters(), description="Real sources")
    disturbances: DisturbanceParameters = Field(DisturbanceParameters(), description="What is no source")
    label_noise: float = Field(0.025, ge=0, lt=0.5, description="Share of events whose label is wrong")
    seed: int = Field(20260209, ge=0, description="Seed of all random numbers; each event has its own stream")

    @field_validator("causes")
    @classmethod
    def _known_causes(cls, causes: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(causes.keys() - set(CAUSES)):
            raise ValueError(f"unknown: {', '.join(unknown)}; there are {', '.join(CAUSES)}")
        return _shares(causes)

    @field_validator("sequences")
    @classmethod
    def _sequence_shares(cls, sequences: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(_shares(dict(enumerate(sequences))).values())

    @model_validator(mode="after")
    def _pattern_kept(self) -> "AlertSimulationParameters":
        if min(self.mask_patterns) < 0:
            raise ValueError(f"mask_patterns are numbers from 0 on. Received: {self.mask_patterns}")
        if self.held_back_pattern in self.mask_patterns:
            raise ValueError(f"held_back_pattern must not be among mask_patterns. Received: {self.held_back_pattern}")
        return self

    def with_held_back_pattern(self, **changes: object) -> "AlertSimulationParameters":
        """Give the same parameters for other events behind the mask pattern that is held back."""
        return self.model_copy(update={"mask_patterns": (self.held_back_pattern,), "seed": self.seed + 1, **changes})


def _shares[Key](values: dict[Key, float]) -> dict[Key, float]:
    """Scale to a sum of 1."""
    total = sum(values.values())
    if min(values.values(), default=-1) < 0 or not math.isfinite(total) or total <= 0:
        raise ValueError(f"shares are 0 or more and not all 0. Received: {list(values.values())}")
    return {key: value / total for key, value in values.items()}
