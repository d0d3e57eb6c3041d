"""Parameters of a training."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, PositiveFloat, PositiveInt, Tag, model_validator

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.dl1.contents import PARTICLES
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import complete_input
from cherenkov_pipeline.spectra import Spectrum
from cherenkov_pipeline.store.parameters import AugmentationParameters, InMemory, InputParameters

WITHOUT_EFFECT = {
    "momentum": ("adam", "adamw", "muon"),
    "nesterov": ("adam", "adamw", "muon", "rmsprop"),
}
"""Optimizers that do not know an option."""


class OptimizerParameters(Parameters):
    """How the weights are moved: Keras' optimizers."""

    name: Literal["adam", "adamw", "muon", "sgd", "rmsprop"] = Field(
        "adamw",
        description="Adam and AdamW differ in their default weight decay alone; Muon makes the steps of matrices "
        "orthogonal, and those of all else, convolutions and the last layer too, are Adam's with a third of the rate.",
    )
    learning_rate: float = Field(1e-3, gt=0, le=10, description="The largest one of the schedule.")
    weight_decay: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Fraction by which weights shrink per step, times the learning rate, apart from the gradient; "
        "null: 1e-4 with adamw and muon, otherwise none.",
    )
    clip_norm: float | None = Field(1.0, gt=0, description="Largest norm of the gradient of all weights; null: none.")
    clip_value: float | None = Field(None, gt=0, description="Largest element of a gradient; instead of clip_norm.")
    momentum: float = Field(0.0, ge=0, lt=1, description="Of sgd and rmsprop.")
    nesterov: bool = Field(False, description="Nesterov's momentum, of sgd.")

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        for option, names in WITHOUT_EFFECT.items():
            if getattr(self, option) and self.name in names:
                raise ValueError(f"{option} has no effect on {self.name}: leave it out")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov has no effect without momentum")
        if self.clip_norm and self.clip_value:
            raise ValueError("clip_norm and clip_value exclude each other: set one of them to null")
        return self

    @property
    def decay(self) -> float | None:
        """Weight decay as Keras takes it."""
        if self.weight_decay is None:
            return 1e-4 if self.name in ("adamw", "muon") else None
        return self.weight_decay or None


class ConstantSchedule(Parameters):
    """The same learning rate always."""

    name: Literal["constant"] = "constant"


class PlateauSchedule(Parameters):
    """Lowers the learning rate when the validation loss stops falling (Keras' ReduceLROnPlateau)."""

    name: Literal["plateau"] = "plateau"
    factor: float = Field(0.5, gt=0, lt=1, description="The learning rate is multiplied by this.")
    patience: int = Field(3, ge=1, description="Epochs without improvement before that.")
    min_delta: float = Field(1e-4, ge=0, description="A smaller change of the loss is no improvement.")
    cooldown: int = Field(0, ge=0, description="Epochs to wait after it.")
    min_learning_rate: float = Field(1e-6, ge=0, description="It is not lowered below this.")


class CosineSchedule(Parameters):
    """Raises the learning rate in a straight line, then lowers it along a cosine until the last epoch."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: float = Field(1.0, ge=0, description="Epochs, or parts of one, in which it rises from a hundredth.")
    final_fraction: float = Field(0.01, ge=0, lt=1, description="Of the learning rate, at the end.")


class StepsSchedule(Parameters):
    """Multiplies the learning rate by a factor after given epochs."""

    name: Literal["steps"] = "steps"
    epochs: tuple[PositiveFloat, ...] = Field(min_length=1, description="Epochs after which it is lowered, rising.")
    factor: float = Field(0.1, gt=0, lt=1, description="The learning rate is multiplied by this.")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.epochs) != sorted(set(self.epochs)):
            raise ValueError(f"epochs must rise. Received: {self.epochs}")
        return self


def _schedule_name(value: Any) -> str:
    return value.get("name", "plateau") if isinstance(value, Mapping) else getattr(value, "name", "plateau")


Schedule = Annotated[
    Annotated[ConstantSchedule, Tag("constant")]
    | Annotated[PlateauSchedule, Tag("plateau")]
    | Annotated[CosineSchedule, Tag("cosine")]
    | Annotated[StepsSchedule, Tag("steps")],
    Discriminator(
        _schedule_name,
        custom_error_type="schedule",
        custom_error_message="name of a schedule: choose one of constant, plateau, cosine, steps",
    ),
]


class SpectrumParameters(Parameters):
    """Weights that turn the simulated energy spectrum of a particle into another one."""

    target: Spectrum = Field(
        description="Power of dN/dE, such as -2.6 (-1: each decade counts the same), or the name of a spectrum of "
        "pyirf.spectral. Only the shape counts: the weights of a particle's training events have a mean of 1."
    )
    simulated: float | None = Field(
        None, ge=-5, le=0, description="Power of the simulated dN/dE; null: as the DL1 files of the store tell it."
    )
    largest: float = Field(
        20.0,
        gt=1,
        description="Weights are cut at so many times the mean that they have before: rare events would make the "
        "training noisy.",
    )


class WeightParameters(Parameters):
    """How much events count in the loss; both factors are multiplied."""

    classes: Literal["balanced"] | dict[Literal[tuple(PARTICLES)], PositiveFloat] | None = Field(
        None,
        description="balanced: gammas count as much as all other particles together; or a weight for each particle, "
        "1 for those not named. The gammaness then is that of a sample with these weights.",
    )
    spectra: dict[Literal[tuple(PARTICLES)], SpectrumParameters] = Field(
        {}, description="Particle -> spectrum that its events are weighted to."
    )


class TrainingParameters(Parameters):
    """How a network is trained."""

    epochs: int = Field(30, ge=1, description="At most.")
    batch_size: int = Field(64, ge=1, le=65536, description="Events in a batch; the last of an epoch may be smaller.")
    fraction: float = Field(
        1.0, gt=0, le=1, description="Part of the training events that an epoch takes, others in each epoch."
    )
    optimizer: OptimizerParameters = OptimizerParameters()
    schedule: Schedule = Field(PlateauSchedule(), description="How the learning rate changes; see its name.")
    early_stopping_patience: int | None = Field(
        8, ge=1, description="Stop after so many epochs without a lower validation loss; null: never."
    )
    weights: WeightParameters = WeightParameters()
    loss_weights: dict[str, PositiveFloat] | None = Field(
        None,
        description="Several tasks in one network: task -> weight of its loss, 1 for those not named; null: learned, "
        "as the variances of homoscedastic noise.",
    )
    auxiliary: tuple[str, ...] = Field(
        (),
        description="Tasks that the network of one task learns beside it, for better features; the finished model is "
        "without them. Those whose labels the data do not have are left out.",
    )
    augmentation: AugmentationParameters = AugmentationParameters()
    calibrate: bool = Field(
        True, description="After the training, set predicted errors and probabilities right on the validation events."
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        "float32",
        description="Of the network's arithmetic in the training; weights, outputs and the finished model are float32. "
        "Mixed precision is for GPUs with tensor cores.",
    )
    devices: PositiveInt | Literal["all"] = Field(
        1, description="GPUs (without one: CPUs) among which a batch is divided; TensorFlow and JAX."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of weights, dropout, order of the events and augmentation.")
    deterministic: bool = Field(
        False, description="Only operations whose result never varies: the same numbers in every run, but slower."
    )
    in_memory: InMemory = Field(
        "auto",
        description="Whether the sample's packed pixels are loaded at once; auto: where they take less than 40 % of "
        "the free memory. Otherwise they are read in windows, in the same order.",
    )
    tensorboard: bool = Field(False, description="Write TensorBoard's logs beside the states of the training.")
    resume: bool = Field(
        True, description="Go on with an interrupted training of the same data and parameters; false: start anew."
    )

    @model_validator(mode="after")
    def _within_the_training(self) -> Self:
        schedule = self.schedule
        if isinstance(schedule, CosineSchedule) and schedule.warmup_epochs >= self.epochs:
            raise ValueError(
                f"a warm-up of {schedule.warmup_epochs:g} epochs leaves none of {self.epochs} for the cosine"
            )
        if isinstance(schedule, StepsSchedule) and schedule.epochs[-1] >= self.epochs:
            raise ValueError(
                f"a step after {schedule.epochs[-1]:g} epochs has no effect in a training of {self.epochs}"
            )
        return self


def input_parameters(
    model: ModelParameters, given: Mapping[str, Any] | InputParameters | None = None
) -> InputParameters:
    """Complete a task's input with what its model needs.

    Parameters
    ----------
    model : ModelParameters
    given : mapping or InputParameters, optional
        Fields that were chosen; they are taken as they are, null included. What is left out is as the registry says
        of the model.

    Raises
    ------
    pydantic.ValidationError
        If the fields do not go together.
    """
    if isinstance(given, InputParameters):
        given = given.model_dump(exclude_unset=True)
    return complete_input(model.name, given)
