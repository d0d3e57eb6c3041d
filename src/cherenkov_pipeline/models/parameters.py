"""Parameters of a network: which backbone, which head, with which options, from which weights."""

from typing import Any

from pydantic import Field, PositiveFloat, ValidationInfo, field_validator, model_validator

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.models.registry import HEADS, REGISTRY, check_options


class HeadParameters(Parameters):
    """Head of the network: from the backbone's features to the layer that the task's output layer reads."""

    name: str = Field("dense", description="Name in the table of heads, or package.module:function, file.py:function.")
    options: dict[str, Any] = Field({}, description="Options of this head; see the table.", validate_default=True)

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return check_options(info.data["name"], options, HEADS) if "name" in info.data else options


class PretrainedParameters(Parameters):
    """Weights of another training, from which this one starts.

    Layers are meant by the beginning of their names: ``backbone_`` is the backbone, ``backbone_stack_1`` the first
    stack of a `resnet`, ``head_`` the head.
    """

    path: str = Field(description="The trained model's .keras file, or the folder that holds it.")
    prefixes: tuple[str, ...] = Field(
        ("backbone_",), min_length=1, description="Layers whose weights are taken; the others begin at random."
    )
    freeze: tuple[str, ...] = Field((), description="Layers whose weights stay as they are.")
    learning_rate_factors: dict[str, PositiveFloat] = Field(
        {}, description="Layers -> factor of their learning rate; of several that fit, the longest counts."
    )


class ModelParameters(Parameters):
    """Backbone and head of a network."""

    name: str = Field(
        "single_tel", description="Name in the registry of models, or package.module:function, file.py:function."
    )
    options: dict[str, Any] = Field({}, description="Options of this model; see the registry.", validate_default=True)
    head: HeadParameters = Field(HeadParameters(), description="Default: that of the model.")
    pretrained: PretrainedParameters | None = Field(None, description="Null: all weights begin at random.")

    @model_validator(mode="before")
    @classmethod
    def _head_of_model(cls, values: Any) -> Any:
        """Fill in the head that the model has where none is named."""
        if not isinstance(values, dict):
            return values
        entry = REGISTRY.get(values.get("name", cls.model_fields["name"].default))
        given = values.get("head") or {}
        if entry is None or not entry.head or not isinstance(given, dict) or "name" in given:
            return values
        own = {**entry.head.get("options", {}), **given.get("options", {})}
        return {**values, "head": {**entry.head, **given, "options": own}}

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return check_options(info.data["name"], options, REGISTRY) if "name" in info.data else options
