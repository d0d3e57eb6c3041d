"""What every parameter model shares: strictness, units, bounds.

Parameters come from YAML. A physical quantity is written with its unit (``"0.3 TeV"``) and arrives as
an `astropy.units.Quantity` in the unit that the model declares.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import astropy.units as u
import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, model_validator

NAME = "name"
"""What says of a block which of several things its options are for."""


class Parameters(BaseModel):
    """Base of all parameter models: immutable, numbers are finite, and an unknown key is an error.

    What a block leaves out is that of the block's default where it stands, which may be other than its class's.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _complete_blocks(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        defaults = {
            name: chosen(field.default)
            for name, field in cls.model_fields.items()
            if isinstance(values.get(name), Mapping) and isinstance(field.default, Parameters)
        }
        return {**values, **merge(defaults, {name: values[name] for name in defaults})}


def quantity(unit: str, minimum: float | None = None, maximum: float | None = None) -> Any:
    """Make a field type for a scalar quantity.

    Parameters
    ----------
    unit : str
        Unit that the value is converted to; values without a unit are refused.
    minimum, maximum : float, optional
        Closed bounds, in ``unit``.

    Returns
    -------
    type
        Annotated `~astropy.units.Quantity`, for use as a pydantic field type.
    """

    def parse(value: Any) -> u.Quantity:
        try:
            parsed = u.Quantity(value)
            converted = parsed.to(unit)
        except (TypeError, ValueError) as error:  # UnitConversionError is a TypeError
            raise ValueError(f"expected a value in {unit}, such as '1 {unit}'. Received: {value!r}") from error
        if not (converted.isscalar and np.isfinite(converted)):
            raise ValueError(f"expected one finite value in {unit}. Received: {value!r}")
        if minimum is not None and not converted.value >= minimum:
            raise ValueError(f"must be at least {minimum} {unit}. Received: {value!r}")
        if maximum is not None and not converted.value <= maximum:
            raise ValueError(f"must be at most {maximum} {unit}. Received: {value!r}")
        return converted

    return Annotated[u.Quantity, BeforeValidator(parse), PlainSerializer(str, return_type=str)]


def chosen(block: Parameters) -> dict[str, Any]:
    """Values that were given to a block, and its name."""
    return {
        name: chosen(value) if isinstance(value, Parameters) else value
        for name, value in block
        if name == NAME or name in block.model_fields_set
    }


def first_problem(error: ValidationError) -> str:
    """Tell in one line where parameters are wrong and why: the first problem of several."""
    problem = error.errors()[0]
    place, message = ".".join(str(part) for part in problem["loc"]), problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two blocks, ``own`` first.

    A block that chooses another thing by its ``name`` (a model, a schedule) takes nothing over from the defaults, whose
    options are those of what they name.
    """
    merged = dict(defaults)
    for key, value in own.items():
        default = merged.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            renamed = NAME in value and value[NAME] != default.get(NAME)
            merged[key] = dict(value) if renamed else merge(default, value)
        else:
            merged[key] = value
    return merged
