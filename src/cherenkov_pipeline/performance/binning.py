"""Energy bins, and the rows that fall into each."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from pyirf.binning import calculate_bin_indices, create_bins_per_decade

from cherenkov_pipeline.performance.parameters import EvaluationParameters


def energy_edges(parameters: EvaluationParameters, bins_per_decade: int | None = None) -> u.Quantity:
    """Edges of the energy bins in TeV, equal in the logarithm.

    Parameters
    ----------
    parameters : EvaluationParameters
    bins_per_decade : int, optional
        In place of the parameter of this name.
    """
    return create_bins_per_decade(
        parameters.energy_min.to("TeV"), parameters.energy_max.to("TeV"), bins_per_decade or parameters.bins_per_decade
    )


def rows_per_bin(energy: u.Quantity, edges: u.Quantity) -> list[np.ndarray]:
    """Row numbers of each bin; the lower edge belongs to a bin, the upper one does not."""
    bins, _ = calculate_bin_indices(energy, edges)
    return [np.flatnonzero(bins == index) for index in range(len(edges) - 1)]


def bins_table(name: str, edges: u.Quantity) -> QTable:
    """Begin a table with a row for each bin: ``<name>_low``, ``<name>_high``, ``<name>_center`` (geometric)."""
    low, high = edges[:-1], edges[1:]
    return QTable({f"{name}_low": low, f"{name}_high": high, f"{name}_center": np.sqrt(low * high)})
