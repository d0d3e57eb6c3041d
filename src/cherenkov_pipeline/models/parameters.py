"""Parameters of a network: which backbone, which head, their options."""

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.models.registry import HEADS, REGISTRY, check_options


class HeadParameters(Parameters):
    """Head of the network: from the backbone's features to the layer that the task's output layer reads."""

    name: str = Field("dense", description="Name in the table of heads, or package.module:function.")
    options: dict[str, Any] = Field({}, description="Options of this head; see the table.", validate_default=True)

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return check_options(info.data["name"], options, HEADS)


class ModelParameters(Parameters):
    """Backbone and head of a network."""

    name: str = Field("single_tel", description="Name in the registry of models, or package.module:function.")
    options: dict[str, Any] = Field({}, description="Options of this model; see the registry.", validate_default=True)
    head: HeadParameters = HeadParameters()

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return check_options(info.data["name"], options, REGISTRY)
