"""The weakest source that is seen: differential sensitivity, per bin of reconstructed energy.

The flux of a source with the spectrum of the Crab that reaches the significance of Li & Ma (1983, formula 17) in a bin
alone, with a least number of gammas and a least share of the background (`pyirf.sensitivity`).
"""

import astropy.units as u
import numpy as np
import pyirf.sensitivity
from astropy.table import QTable
from pyirf.binning import create_histogram_table
from pyirf.sensitivity import estimate_background
from pyirf.spectral import CRAB_HEGRA

from cherenkov_pipeline.performance.binning import rows_per_bin
from cherenkov_pipeline.performance.response.counts import sums_per_bin
from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.performance.response.selection import edges_of, passes_gammaness, passes_theta, pyirf_cut

FLUX = u.erg / (u.cm**2 * u.s)

LIMITS = {"significance": "significance", "excess": "number of gammas", "share": "share of the background"}
"""What decides in a bin."""


def histograms(
    gammas: QTable, protons: QTable, cuts: QTable, parameters: ResponseParameters
) -> tuple[QTable, QTable, np.ndarray]:
    """Count gammas and background after cuts, per bin of reconstructed energy.

    Parameters
    ----------
    gammas, protons : QTable
        From `response.events.weighted_events`.
    cuts : QTable
        From `response.cuts.best_cuts`.
    parameters : ResponseParameters

    Returns
    -------
    signal : QTable
        ``n`` and ``n_weighted``, the number in the observation time, of gammas after both cuts.
    background : QTable
        Likewise in the background region, which is 1 / alpha of the size of the source's.
    n_protons : ndarray of int
        Simulated protons behind the background: after the gammaness cut, near the pointing.
    """
    edges = edges_of(cuts)
    seen = gammas[passes_gammaness(gammas, cuts) & passes_theta(gammas, cuts)]
    left = protons[passes_gammaness(protons, cuts)]
    signal, left = _in_time(seen, parameters), _in_time(left, parameters)
    theta = pyirf_cut(cuts, "theta")
    theta["cut"] = np.nan_to_num(theta["cut"])
    background = estimate_background(left, edges, theta, parameters.alpha, 0 * u.deg, parameters.background_offset)
    near = left[left["reco_source_fov_offset"] < parameters.background_offset]
    n_protons = np.array([len(rows) for rows in rows_per_bin(near["reco_energy"], edges)])
    return create_histogram_table(signal, edges), background, n_protons


def relative_sensitivity(signal: np.ndarray, background: np.ndarray, parameters: ResponseParameters) -> np.ndarray:
    """Weakest flux in units of the Crab's.

    Parameters
    ----------
    signal, background : ndarray, shape (n_bins,)
        Gammas of the Crab in the source region, and events in the background region.
    parameters : ResponseParameters

    Returns
    -------
    ndarray, shape (n_bins,)
        NaN without gammas.
    """
    signal, background = np.asarray(signal, dtype=float), np.asarray(background, dtype=float)
    found = np.full(len(signal), np.nan)
    some = signal > 0
    if some.any():
        found[some] = pyirf.sensitivity.relative_sensitivity(
            signal[some] + parameters.alpha * background[some],
            background[some],
            parameters.alpha,
            min_significance=parameters.significance,
            min_signal_events=parameters.minimum_excess,
            min_excess_over_background=parameters.minimum_excess_share,
        )
    return found


def differential_sensitivity(
    gammas: QTable, protons: QTable, cuts: QTable, parameters: ResponseParameters, minimum_events: int
) -> QTable:
    """Tabulate the sensitivity.

    Parameters
    ----------
    gammas, protons : QTable
        Valid events as `response.events.weighted_events` gives them.
    cuts : QTable
        From `response.cuts.best_cuts`.
    parameters : ResponseParameters
    minimum_events : int
        Bins with fewer gammas are not drawn, nor those with fewer protons than the parameters ask for.

    Returns
    -------
    QTable
        One row a bin: ``reco_energy_low``, ``_high``, ``_center``; simulated ``n_gammas`` and ``n_protons``;
        ``n_signal`` of the Crab and ``n_background`` in the source region in the observation time;
        ``relative_sensitivity`` [Crab] and ``sensitivity`` (E2 dN/dE) [erg cm-2 s-1] with ``_low`` and ``_high``: by
        one standard error of the simulated numbers; ``limited_by`` (a value of `LIMITS`); ``drawn``.
    """
    signal, background, n_protons = histograms(gammas, protons, cuts, parameters)
    edges = edges_of(cuts)
    table = cuts[["reco_energy_low", "reco_energy_high", "reco_energy_center"]]
    errors = _relative_errors(gammas, protons, cuts, parameters, edges)
    n_signal, n_off = (np.asarray(counts["n_weighted"], dtype=float) for counts in (signal, background))
    table["n_gammas"], table["n_protons"] = np.asarray(signal["n"], dtype=int), n_protons
    table["n_signal"], table["n_background"] = n_signal, parameters.alpha * n_off
    flux = CRAB_HEGRA(table["reco_energy_center"]) * table["reco_energy_center"] ** 2
    for suffix, sign in (("", 0), ("_low", -1), ("_high", 1)):
        relative = relative_sensitivity(
            n_signal * np.maximum(1 - sign * errors[0], 0), n_off * np.maximum(1 + sign * errors[1], 0), parameters
        )
        table[f"relative_sensitivity{suffix}"] = relative
        table[f"sensitivity{suffix}"] = (relative * flux).to(FLUX)
    table["limited_by"] = _limits(table, parameters)
    table["drawn"] = (
        (table["n_gammas"] >= minimum_events)
        & (n_protons >= parameters.minimum_protons)
        & np.isfinite(table["relative_sensitivity"])
    )
    table.meta |= {"minimum_events": minimum_events, "minimum_protons": parameters.minimum_protons}
    return table


def _relative_errors(
    gammas: QTable, protons: QTable, cuts: QTable, parameters: ResponseParameters, edges: u.Quantity
) -> list[np.ndarray]:
    """Relative standard errors of the numbers of gammas and background that come from the size of the simulation."""
    seen = gammas[passes_gammaness(gammas, cuts) & passes_theta(gammas, cuts)]
    left = protons[passes_gammaness(protons, cuts) & (protons["reco_source_fov_offset"] < parameters.background_offset)]
    errors = []
    for events in (seen, left):
        _, total, error = sums_per_bin(events, edges, "reco_energy", np.asarray(events["weight"]))
        errors.append(np.divide(error, total, out=np.zeros(len(total)), where=total > 0))
    return errors


def _limits(table: QTable, parameters: ResponseParameters) -> list[str]:
    """Tell which condition decides in each bin."""
    excess = np.asarray(table["relative_sensitivity"] * table["n_signal"])
    share = parameters.minimum_excess_share * np.asarray(table["n_background"])
    least = np.maximum(parameters.minimum_excess, share)
    decided = np.isclose(excess, least, rtol=1e-6)
    which = np.where(share > parameters.minimum_excess, LIMITS["share"], LIMITS["excess"])
    return np.where(np.isfinite(excess), np.where(decided, which, LIMITS["significance"]), "").tolist()


def _in_time(events: QTable, parameters: ResponseParameters) -> QTable:
    """Events with their weight as a number in the observation time."""
    events = events.copy(copy_data=False)
    events["weight"] = (events["weight"] * parameters.observation_time).to_value(u.one)
    return events
