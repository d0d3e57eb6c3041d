"""Events, and files, that a model's training data do not cover."""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.settings import differences, make_settings, read_settings
from cherenkov_pipeline.errors import UserError

if TYPE_CHECKING:
    from cherenkov_pipeline.models.card import ModelCard, Validity

logger = logging.getLogger(__name__)

ZENITH_TOLERANCE = 1.0
"""Degrees beyond the training data's zenith angles that still count as covered."""


def outside_zenith(events: Table, validity: "Validity") -> np.ndarray:
    """Tell which images were taken at zenith angles that the training data do not cover.

    Parameters
    ----------
    events : astropy.table.Table
        n rows with ``telescope_pointing_altitude`` (rad where it has no unit).
    validity : Validity
        Of the model.

    Returns
    -------
    ndarray of bool
        (n,); False where the pointing, or the range of the training data, is not known.
    """
    if validity.zenith is None:
        return np.zeros(len(events), dtype=bool)
    zenith = 90 - u.Quantity(events["telescope_pointing_altitude"], "rad").to_value("deg")
    low, high = validity.zenith
    return (zenith < low - ZENITH_TOLERANCE) | (zenith > high + ZENITH_TOLERANCE)


def check_conversion(card: "ModelCard", parameters: DL1Parameters) -> None:
    """Check, before simtel files are converted, that they will be cleaned and calibrated as a model's training data.

    Raises
    ------
    UserError
        If a setting differs: says which.
    """
    settings = make_settings(parameters, calibrated=True)
    if card.dl1_settings and (changed := differences(settings, card.dl1_settings)):
        raise UserError(
            f"The dl1 parameters are not those of the training data of {card.name} ({', '.join(changed)}): take those, "
            "or a model that was trained on such data."
        )


def check_dl1_settings(card: "ModelCard", path: str | os.PathLike) -> None:
    """Check that a DL1 file was cleaned and calibrated as the training data of a model.

    Masks, image parameters and cuts mean something else after another cleaning, and nothing in the images would show
    it: a difference is an error. Where the file or the model does not tell, there is a warning.

    Parameters
    ----------
    card : ModelCard
    path : path-like
        DL1 file.

    Raises
    ------
    UserError
        If a setting differs: says which.
    """
    compare_settings(card, read_settings(path), path)


def compare_settings(card: "ModelCard", found: Mapping[str, Any] | None, path: str | os.PathLike) -> None:
    """Compare the settings of DL1 data in ``path`` with those of a model, as `check_dl1_settings` does."""
    expected = card.dl1_settings
    if expected is None or found is None:
        logger.warning(
            "%s does not tell how images were cleaned and calibrated: the %s model %s may not fit %s.",
            path if found is None else "The model's card", card.task, card.name, path,
        )  # fmt: skip
    elif changed := differences(found, expected):
        raise UserError(
            f"{path} was not made like the training data of {card.name} ({', '.join(changed)}): make it again with the "
            "model's dl1 parameters, or take a model that was trained on such data."
        )
