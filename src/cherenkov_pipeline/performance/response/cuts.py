"""The event selection: for each bin of reconstructed energy the gammaness and theta cuts of the best sensitivity.

A cut keeps a share of the gammas of its bin, as sst1mpipe's does; of several shares, the one is taken that gives the
best sensitivity, as `pyirf.cut_optimization.optimize_cuts` does. Other than there, cuts that leave only a few simulated
protons are not candidates: the best of many would be the one that happens to leave none.
"""

from itertools import product

import astropy.units as u
import numpy as np
from astropy.table import QTable
from pyirf.cuts import calculate_percentile_cut

from cherenkov_pipeline.performance.binning import rows_per_bin
from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.performance.response.selection import cuts_table, passes_gammaness, passes_theta
from cherenkov_pipeline.performance.response.sensitivity import histograms, relative_sensitivity
from cherenkov_pipeline.performance.statistics import mean

NEEDED = ["gammaness", "reco_energy", "theta", "reco_source_fov_offset", "weight"]


def best_cuts(
    gammas: QTable, protons: QTable, edges: u.Quantity, parameters: ResponseParameters, minimum_events: int
) -> QTable:
    """Find the cuts of each bin.

    Parameters
    ----------
    gammas, protons : QTable
        Valid events as `response.events.weighted_events` gives them.
    edges : Quantity
        Bins of reconstructed energy.
    parameters : ResponseParameters
    minimum_events : int
        Bins with fewer gammas have no cuts (NaN): nothing passes there.

    Returns
    -------
    QTable
        One row a bin: ``reco_energy_low``, ``_high``, ``_center``; ``gammaness`` (least) and ``theta`` (largest) [deg];
        the shares of the gammas that each by itself keeps, ``gammaness_efficiency`` and ``theta_efficiency``;
        ``theta_limited``: whether the theta cut is ``theta_max``, and keeps less than the share it was to keep;
        ``optimised``: False where too few events are left to choose, and the loosest cuts are taken.
    """
    gammas, protons = (events[NEEDED] for events in (gammas, protons))  # many columns are slow to choose rows from
    shares = (np.array(parameters.gammaness_efficiencies), np.array(parameters.theta_efficiencies))
    keep = {"bins": edges, "min_events": minimum_events}
    energy = gammas["reco_energy"]
    gammaness = calculate_percentile_cut(
        np.asarray(gammas["gammaness"], dtype=float),
        energy,
        fill_value=np.nan,
        percentile=100 * (1 - shares[0]),
        **keep,
    )["cut"]
    theta = calculate_percentile_cut(
        gammas["theta"], energy, fill_value=np.nan * u.deg, percentile=100 * shares[1], max_value=parameters.theta_max,
        **keep,
    )["cut"]  # fmt: skip
    choices = list(product(range(len(shares[0])), range(len(shares[1]))))
    found = np.full((len(choices), len(edges) - 1), np.inf)
    for number, (i, j) in enumerate(choices):
        cuts = cuts_table(edges, gammaness[:, i], theta[:, j])
        signal, background, n_protons = histograms(gammas, protons, cuts, parameters)
        flux = relative_sensitivity(signal["n_weighted"], background["n_weighted"], parameters)
        usable = (n_protons >= parameters.minimum_protons) & (signal["n"] >= minimum_events)
        found[number] = np.where(usable & np.isfinite(flux), flux, np.inf)
    best, optimised = found.argmin(axis=0), np.isfinite(found.min(axis=0))
    loosest = choices.index((int(shares[0].argmax()), int(shares[1].argmax())))
    i, j = np.array([choices[number] for number in np.where(optimised, best, loosest)]).T
    rows = np.arange(len(edges) - 1)
    cuts = cuts_table(edges, gammaness[rows, i], theta[rows, j])
    filled = np.isfinite(cuts["gammaness"])
    bins = rows_per_bin(energy, edges)
    for name, passes in (("gammaness", passes_gammaness), ("theta", passes_theta)):
        kept = passes(gammas, cuts).astype(float)
        cuts[f"{name}_efficiency"] = np.where(filled, [mean(kept[own]) for own in bins], np.nan)
    cuts["theta_limited"] = cuts["theta"] >= parameters.theta_max
    cuts["optimised"] = optimised
    return cuts
