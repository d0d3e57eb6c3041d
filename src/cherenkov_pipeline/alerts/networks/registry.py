"""The networks that can be chosen by name, and their options; light to import.

As in `cherenkov_pipeline.models.registry`, a user's own one is named by its path ``package.module:function`` or
``file.py:function``: ``function(inputs, **options) -> map``, from a dict of Keras tensors, of which it reads ``image``
(rows, columns, channels), to a map (rows, columns, features) that is averaged, joined with the side inputs and judged
by one dense layer.
"""

from typing import Any

from pydantic import Field, PositiveInt, model_validator

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.models.registry import ModelEntry, check_options


class CnnOptions(Parameters):
    """A stack of convolutions, each followed by a pooling that halves rows and columns."""

    filters: tuple[PositiveInt, ...] = Field((16, 32, 64), min_length=1, description="Filters of each convolution.")
    kernel_size: int = Field(3, ge=1, le=15, description="Cells along a side of the kernels.")
    batch_normalization: bool = Field(True, description="Normalise each convolution's output over the batch.")
    l2: float = Field(0.0, ge=0, description="Factor of the squared weights in the loss.")


class AutoencoderOptions(Parameters):
    """Convolutions that halve rows and columns, a few numbers, and the way back."""

    filters: tuple[PositiveInt, ...] = Field((16, 32, 32), min_length=1, description="Filters of each convolution.")
    latent: int = Field(24, ge=1, le=4096, description="Numbers that a sub-image is squeezed into.")


class NoOptions(Parameters):
    """There is nothing to choose."""


NETWORKS: dict[str, ModelEntry] = {
    "cnn_scratch": ModelEntry(
        "cherenkov_pipeline.alerts.networks.cnn:cnn",
        CnnOptions,
        "A small convolutional network.",
    ),
    "cnn_scratch_mask": ModelEntry(
        "cherenkov_pipeline.alerts.networks.cnn:cnn",
        CnnOptions,
        "The same, which also sees what every pixel is.",
        {"mask": "codes"},
    ),
    "resnet18": ModelEntry(
        "cherenkov_pipeline.alerts.networks.resnet18:resnet18",
        NoOptions,
        "ResNet18, for weights that were learnt elsewhere.",
        {"size": 112},
    ),
}


class NetworkParameters(Parameters):
    """A network and its options."""

    name: str = Field("resnet18", description="One of the registry, or a path to your own.")
    options: dict[str, Any] = Field({}, description="Of this network; those left out have the registry's defaults.")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name = values.get("name", cls.model_fields["name"].default)
        return {**values, "options": check_options(name, values.get("options") or {}, NETWORKS)}
