"""The models that can be chosen by name: light descriptions, built only when asked for.

A builder is named by its dotted path ``package.module:function``; parameters may name one directly, which is how a
user's own backbone or head is plugged in:

- backbone: ``function(inputs, **options) -> features``, ``inputs`` a dict of Keras tensors by name;
- head: ``function(features, **options) -> features`` that the task's output layer reads.

Layers are named with the prefix ``backbone_`` or ``head_``.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import UserError


class SingleTelOptions(Parameters):
    """Options of `single_tel`; the defaults are CTLearn's."""

    filters: tuple[PositiveInt, ...] = Field(
        (32, 32, 64, 128), min_length=1, description="Filters of each convolution."
    )
    kernel_size: int = Field(3, ge=1, description="Cells along a side of the kernels.")
    convolution: Literal["square", "hexagonal"] = Field(
        "square", description="Hexagonal: kernels of the pixels' own lattice, for the mapping 'axial'; odd kernel_size."
    )
    pooling: Literal["flatten", "average"] = Field(
        "flatten", description="What the head reads: all cells of the last map, or their average."
    )
    batch_normalization: bool = Field(False, description="Normalise each convolution's output over the batch.")

    @model_validator(mode="after")
    def _odd_hexagons(self) -> Self:
        if self.convolution == "hexagonal" and self.kernel_size % 2 == 0:
            raise ValueError(f"hexagonal kernels have an odd kernel_size. Received: {self.kernel_size}")
        return self


class DenseOptions(Parameters):
    """Options of the dense head."""

    units: tuple[PositiveInt, ...] = Field((128,), description="Units of each dense layer.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of units dropped after each layer in training.")


@dataclass(frozen=True)
class ModelEntry:
    """One backbone or head.

    Attributes
    ----------
    builder : str
        ``package.module:function``.
    options : type
        Model of the builder's options.
    description : str
        One line.
    """

    builder: str
    options: type[Parameters]
    description: str


REGISTRY: dict[str, ModelEntry] = {
    "single_tel": ModelEntry(
        "cherenkov_pipeline.models.single_tel:single_tel",
        SingleTelOptions,
        "Convolutions with pooling on the image of one telescope (CTLearn's SingleCNN).",
    ),
}

HEADS: dict[str, ModelEntry] = {
    "dense": ModelEntry("cherenkov_pipeline.models.heads:dense", DenseOptions, "Dense layers."),
}


def check_options(name: str, options: Mapping[str, Any], entries: Mapping[str, ModelEntry]) -> dict[str, Any]:
    """Check the options of a named entry and fill in its defaults; a dotted path's are checked when it is built.

    Raises
    ------
    ValueError
        If the name is unknown or an option is wrong.
    """
    if ":" in name:
        return dict(options)
    if name not in entries:
        raise ValueError(f"choose one of {', '.join(entries)}, or your own package.module:function. Received: {name!r}")
    return entries[name].options.model_validate(dict(options)).model_dump(mode="json")


def resolve(name: str, entries: Mapping[str, ModelEntry], options: Mapping[str, Any]) -> Callable[..., Any]:
    """Import the builder of an entry or dotted path.

    Raises
    ------
    UserError
        If it cannot be imported or does not take the options.
    """
    path = entries[name].builder if name in entries else name
    module, _, function = path.partition(":")
    try:
        builder = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UserError(f"Cannot import {path} ({error}): install its package, or correct the name.") from error
    try:
        inspect.signature(builder).bind(None, **options)
    except TypeError as error:
        raise UserError(f"{path} does not take the options {dict(options)}: {error}.") from error
    return builder
