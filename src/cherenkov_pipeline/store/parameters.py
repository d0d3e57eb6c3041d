"""Parameters of the event store, of the split and of the networks' inputs."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cherenkov_pipeline.config import Parameters

Channel = Literal[
    "image",
    "log_image",
    "peak_time",
    "relative_peak_time",
    "cleaned_image",
    "cleaned_log_image",
    "cleaned_peak_time",
    "cleaned_relative_peak_time",
]
InMemory = Literal["auto"] | bool
MappingName = Literal["axial", "shifting", "oversampling", "nearest_neighbor", "bilinear", "bicubic", "square"]

RESIZABLE: tuple[MappingName, ...] = ("nearest_neighbor", "bilinear", "bicubic")
"""Mappings whose image size can be chosen."""


class SplitParameters(Parameters):
    """Which showers are for training, validation and test. One shower is never on both sides."""

    train: float = Field(0.7, ge=0, le=1, description="Fraction of the showers for training.")
    validation: float = Field(0.1, ge=0, le=1, description="Fraction for early stopping and calibration.")
    test: float = Field(0.2, ge=0, le=1, description="Fraction that no training or tuning sees.")
    by: Literal["shower", "run"] = Field(
        "shower", description="What is never divided; run: all events of one obs_id, whatever their file."
    )
    seed: int = Field(0, ge=0, description="Another seed is another split.")

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test must sum to 1. Received: {total:g}")
        return self


class StoreParameters(Parameters):
    """How DL1 files become an event store."""

    split: SplitParameters = SplitParameters()
    chunk_size: int = Field(2048, ge=1, le=100_000, description="Images in memory while they are packed.")
    n_workers: int = Field(2, ge=1, description="Files of the store made side by side.")


class AugmentationParameters(Parameters):
    """Changes of the training images that leave the physics what it is; validation images stay as they are.

    Made on the pixels, before a network's inputs are; labels and image parameters that have a direction are changed
    alike. The image parameters otherwise stay those of the recorded image.
    """

    mirror: bool = Field(
        False,
        description="Half of the images are mirrored, where the camera's pixels fall on themselves, all but a few at "
        "the edge.",
    )
    rotation: bool = Field(
        False,
        description="Images are turned about the camera's centre by the angles with which the pixels fall on "
        "themselves. Far from the zenith, the directions in a field of view are not quite alike.",
    )
    night_sky: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Photo-electrons of additional night-sky light per pixel and readout window, at most: each image "
        "gets an amount between 0 and this as Poisson noise around its mean. The cleaning mask stays.",
    )

    @property
    def active(self) -> bool:
        """Whether anything is changed."""
        return self.mirror or self.rotation or self.night_sky > 0


class InputParameters(Parameters):
    """What a network sees of an image. Part of the model card: reconstruction uses the same."""

    mode: Literal["mono", "stereo"] = Field(
        "mono", description="Stereo: all images of an event together, with a place for each telescope."
    )
    min_telescopes: int = Field(
        1, ge=1, description="Stereo: events with fewer images are neither learnt from nor predicted."
    )
    channels: tuple[Channel, ...] = Field(
        ("cleaned_image", "cleaned_relative_peak_time"),
        description="Channels of the image; log_: sign(q) log10(1 + |q|/p.e.), cleaned_: 0 outside the cleaning mask.",
    )
    mapping: MappingName | None = Field(
        "axial", description="Pixels to a square image, by dl1-data-handler's table of this name; null: pixel vectors."
    )
    size: int | None = Field(
        None, ge=8, le=512, description="Rows and columns; only where the mapping interpolates. Null: the camera's own."
    )
    map_in: Literal["batch", "network"] = Field(
        "batch",
        description="Where pixels become images: while a batch is made, or as the network's first layer. The network "
        "is sent the pixels alone, a seventh of a 96x96 image: for GPUs that wait for data; on a CPU it maps ten to "
        "thirty times slower than the batches do.",
    )
    brightest: int | None = Field(
        None, ge=8, le=512, description="So many brightest pixels as further input, in the shower's frame; null: none."
    )
    shower_frame: bool = Field(
        False,
        description="The shower's centre and axis as further input; comes with the brightest pixels, and with tasks "
        "whose output layer needs it.",
    )
    parameters: tuple[str, ...] = Field(
        (), description="Image parameters (DL1 columns) as further input; log_NAME is the logarithm to base 10 of NAME."
    )

    @field_validator("parameters", "channels")
    @classmethod
    def _no_repetition(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"names must differ. Received: {value}")
        return value

    @field_validator("parameters")
    @classmethod
    def _no_truth(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        truth = [name for name in value if re.match(r"(log_)?true_", name)]
        if truth:
            raise ValueError(f"true values are not inputs. Received: {truth}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.channels or self.parameters or self.brightest):
            raise ValueError("name at least one channel or one image parameter, or ask for the brightest pixels")
        if self.size is not None and self.mapping not in RESIZABLE:
            raise ValueError(f"size can only be chosen for {', '.join(RESIZABLE)}. Received: mapping={self.mapping!r}")
        if self.min_telescopes > 1 and self.mode == "mono":
            raise ValueError("min_telescopes has no effect with mode mono: leave it out, or set mode to stereo")
        if self.map_in == "network" and self.mapping is None:
            raise ValueError("map_in='network' needs a mapping. Received: mapping=None")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """DL1 columns that the inputs are made from."""
        return tuple(dict.fromkeys(name.removeprefix("log_") for name in self.parameters))


class GivenInputs(InputParameters):
    """Fields of `InputParameters` that were chosen: whether they go together shows when the model completes them."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        return self
