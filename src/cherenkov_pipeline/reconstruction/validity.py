"""Events that a model's training data do not cover."""

from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Table

if TYPE_CHECKING:
    from cherenkov_pipeline.models.card import Validity

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
