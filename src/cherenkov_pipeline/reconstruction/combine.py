"""One prediction an event from those of its telescopes."""

from typing import Literal

import astropy.units as u
import numpy as np
from astropy.table import Table
from ctapipe.reco.reconstructor import ReconstructionProperty
from ctapipe.reco.stereo_combination import StereoMeanCombiner
from ctapipe.reco.telescope_event_handling import get_subarray_index


class PredictedErrorCombiner(StereoMeanCombiner):
    """Mean of log(E), each telescope weighted by its predicted error.

    The telescopes' errors are taken as independent: the event's relative error is 1 / sqrt(sum of 1 / error^2), where
    ctapipe's own combiner gives the scatter of the telescopes, which is zero for a single one.
    """

    def __init__(self, **options: object):
        super().__init__(log_target=True, **options)

    def predict_table(self, mono_predictions: Table) -> Table:
        """Combine; see `~ctapipe.reco.stereo_combination.StereoMeanCombiner`.

        Parameters
        ----------
        mono_predictions : Table
            Telescope rows, those of an event side by side.

        Returns
        -------
        Table
            One row an event, in the same order.
        """
        combined = super().predict_table(mono_predictions)
        valid = np.asarray(mono_predictions[f"{self.prefix}_tel_is_valid"])
        event = get_subarray_index(mono_predictions)[3].astype(int)
        weights = np.zeros(len(mono_predictions))
        weights[valid] = self._calculate_weights(mono_predictions[valid])
        total = np.bincount(event, weights, minlength=len(combined))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(total > 0, 1 / np.sqrt(total), np.nan)
        combined[f"{self.prefix}_energy_uncert"][:] = np.asarray(combined[f"{self.prefix}_energy"]) * error
        return combined

    def _calculate_weights(self, data: Table) -> np.ndarray:
        energy, error = (
            data[f"{self.prefix}_tel_{name}"].quantity.to_value(u.TeV) for name in ("energy", "energy_uncert")
        )
        return (energy / error) ** 2


def make_combiner(name: Literal["predicted_error", "intensity", "none"], group: str, prefix: str) -> StereoMeanCombiner:
    """Make the combiner that the parameters name.

    Parameters
    ----------
    name : str
        See `~cherenkov_pipeline.reconstruction.parameters.ReconstructionParameters`.
    group : str
        ctapipe's name of the property, such as ``energy``.
    prefix : str
        Of the columns.
    """
    options = {"prefix": prefix, "property": ReconstructionProperty[group.upper()]}
    if name == "predicted_error":
        return PredictedErrorCombiner(**options)
    return StereoMeanCombiner(weights=name, **options)
