"""Parameters of a training."""

from typing import Literal

from pydantic import Field

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.store.parameters import InMemory


class OptimizerParameters(Parameters):
    """How the weights are moved."""

    name: Literal["adam", "adamw"] = Field("adamw", description="AdamW decays the weights apart from the gradient.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="At the start.")
    weight_decay: float = Field(1e-4, ge=0, lt=1, description="Fraction per step, times the learning rate; AdamW only.")
    clip_norm: float | None = Field(1.0, gt=0, description="Largest norm of the gradient of all weights; null: none.")


class PlateauParameters(Parameters):
    """Lowers the learning rate when the validation loss stops falling (Keras' ReduceLROnPlateau)."""

    factor: float = Field(0.5, gt=0, lt=1, description="The learning rate is multiplied by this.")
    patience: int = Field(3, ge=1, description="Epochs without improvement before that.")
    min_delta: float = Field(1e-4, ge=0, description="A smaller change of the loss is no improvement.")
    cooldown: int = Field(0, ge=0, description="Epochs to wait after it.")
    min_learning_rate: float = Field(1e-6, ge=0, description="It is not lowered below this.")


class TrainingParameters(Parameters):
    """How a network is trained."""

    epochs: int = Field(30, ge=1, description="At most.")
    batch_size: int = Field(64, ge=1, le=65536, description="Events in a batch; the last of an epoch may be smaller.")
    optimizer: OptimizerParameters = OptimizerParameters()
    plateau: PlateauParameters | None = Field(PlateauParameters(), description="Null: constant learning rate.")
    early_stopping_patience: int | None = Field(
        8, ge=1, description="Stop after so many epochs without a lower validation loss; null: never."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of the weights, of dropout and of the order of the events.")
    deterministic: bool = Field(
        False, description="Only operations whose result never varies: the same numbers in every run, but slower."
    )
    in_memory: InMemory = Field(
        "auto",
        description="Whether the sample's packed pixels are loaded at once; auto: where they take less than 40 % of "
        "the free memory. Otherwise they are read in windows, in the same order.",
    )
    resume: bool = Field(
        True, description="Go on with an interrupted training of the same data and parameters; false: start anew."
    )
