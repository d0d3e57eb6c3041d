"""Cuts in bins of reconstructed energy, applied to events."""

import operator

import astropy.units as u
import numpy as np
from astropy.table import QTable
from pyirf.cuts import evaluate_binned_cut

from cherenkov_pipeline.performance.binning import bins_table


def cuts_table(edges: u.Quantity, gammaness: np.ndarray, theta: u.Quantity) -> QTable:
    """Make a table of cuts: the bins, ``gammaness`` and ``theta``, NaN where nothing passes."""
    table = bins_table("reco_energy", edges)
    table["gammaness"], table["theta"] = gammaness, theta
    return table


def pyirf_cut(cuts: QTable, name: str) -> QTable:
    """One of the cuts as pyirf's functions take it."""
    low, high = cuts["reco_energy_low"], cuts["reco_energy_high"]
    return QTable({"low": low, "high": high, "center": 0.5 * (low + high), "cut": cuts[name]})


def passes_gammaness(events: QTable, cuts: QTable) -> np.ndarray:
    """Tell which events pass the gammaness cut of their bin: (n,) bool."""
    values = np.asarray(events["gammaness"], dtype=float)
    return evaluate_binned_cut(values, events["reco_energy"], pyirf_cut(cuts, "gammaness"), operator.ge)


def passes_theta(events: QTable, cuts: QTable) -> np.ndarray:
    """Tell which events pass the theta cut of their bin: (n,) bool."""
    return evaluate_binned_cut(events["theta"], events["reco_energy"], pyirf_cut(cuts, "theta"), operator.le)


def edges_of(cuts: QTable) -> u.Quantity:
    """Edges of the bins of reconstructed energy."""
    return np.append(cuts["reco_energy_low"], cuts["reco_energy_high"][-1])
