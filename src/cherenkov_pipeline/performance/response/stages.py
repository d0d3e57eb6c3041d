"""What is left after each cut: effective areas of gammas, and rates of protons."""

from collections.abc import Mapping

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from pyirf.irf import effective_area
from pyirf.simulations import SimulatedEventsInfo
from pyirf.utils import cone_solid_angle

from cherenkov_pipeline.performance.binning import bins_table
from cherenkov_pipeline.performance.response.counts import sums_per_bin
from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.performance.response.selection import edges_of, passes_gammaness, passes_theta

TRIGGER, CLEANED, QUALITY, GAMMANESS, THETA = "trigger", "cleaning", "quality", "gammaness", "theta"
LABELS = {
    TRIGGER: "after trigger",
    CLEANED: "after cleaning",
    QUALITY: "after quality cuts",
    GAMMANESS: "after gammaness cut",
    THETA: "after gammaness and θ cuts",
}
"""The stages in their order; each keeps a part of the one before."""


def stages(events: QTable, cuts: QTable) -> dict[str, np.ndarray]:
    """Tell which events are left at each stage.

    Parameters
    ----------
    events : QTable
        n events of one particle, all that triggered, from `response.events.weighted_events`.
    cuts : QTable
        From `response.cuts.best_cuts`.

    Returns
    -------
    dict of str to ndarray of bool, shape (n,)
        Keys of `LABELS`; without ``cleaning`` where nothing is known of single images.
    """
    left = {TRIGGER: np.ones(len(events), dtype=bool)}
    if "hillas_intensity" in events.colnames:
        left[CLEANED] = np.isfinite(np.asarray(events["hillas_intensity"], dtype=float))
    left[QUALITY] = left.get(CLEANED, left[TRIGGER]) & np.asarray(events["is_valid"], dtype=bool)
    left[GAMMANESS] = left[QUALITY] & passes_gammaness(events, cuts)
    left[THETA] = left[GAMMANESS] & passes_theta(events, cuts)
    return left


def areas(
    gammas: QTable, left: Mapping[str, np.ndarray], thrown: SimulatedEventsInfo, edges: u.Quantity, minimum_events: int
) -> QTable:
    """Tabulate the effective area at each stage.

    Parameters
    ----------
    gammas : QTable
        All that triggered.
    left : mapping of str to ndarray of bool
        From `stages`.
    thrown : pyirf.simulations.SimulatedEventsInfo
    edges : Quantity
        Bins of true energy.
    minimum_events : int
        Bins with fewer events are not drawn.

    Returns
    -------
    QTable
        For each ``stage`` one row a bin: ``true_energy_low``, ``_high``, ``_center``, ``n``, ``n_thrown`` (expected),
        ``area`` with ``area_low`` and ``area_high`` (68 %) [m2], NaN where nothing was thrown; ``drawn``.
    """
    n_thrown = thrown.calculate_n_showers_per_energy(edges)
    disk = np.pi * thrown.max_impact**2
    parts = []
    for stage, chosen in left.items():
        table = bins_table("true_energy", edges)
        table["n"], _, error = sums_per_bin(gammas[chosen], edges, "true_energy", np.ones(int(chosen.sum())))
        table["n_thrown"] = n_thrown
        with np.errstate(invalid="ignore", divide="ignore"):
            for name, count in (
                ("area", table["n"]),
                ("area_low", table["n"] - error),
                ("area_high", table["n"] + error),
            ):
                table[name] = effective_area(np.where(n_thrown > 0, count, np.nan), n_thrown, disk).to(u.m**2)
        table["drawn"] = (table["n"] >= minimum_events) & (n_thrown > 0)
        table.add_column([stage] * len(table), name="stage", index=0)
        parts.append(table)
    return _joined(parts, minimum_events)


def background_rates(
    protons: QTable, left: Mapping[str, np.ndarray], cuts: QTable, parameters: ResponseParameters
) -> QTable:
    """Tabulate the rate of protons (with helium) at each stage, per bin of reconstructed energy.

    Parameters
    ----------
    protons : QTable
    left : mapping of str to ndarray of bool
        From `stages`.
    cuts : QTable
        From `response.cuts.best_cuts`.
    parameters : ResponseParameters

    Returns
    -------
    QTable
        For each ``stage`` with a reconstructed energy one row a bin: ``reco_energy_low``, ``_high``, ``_center``,
        ``n``, ``rate`` with ``rate_low`` and ``rate_high`` (68 %) [1/s], ``drawn``. The last stage is what falls into
        the source region: the protons near the pointing, in the proportion of the solid angles.
    """
    edges = edges_of(cuts)
    near = left[GAMMANESS] & (protons["reco_source_fov_offset"] < parameters.background_offset)
    on = np.nan_to_num(cone_solid_angle(cuts["theta"]) / cone_solid_angle(parameters.background_offset))
    chosen = {QUALITY: (left[QUALITY], 1.0), GAMMANESS: (left[GAMMANESS], 1.0), THETA: (near, on.to_value(u.one))}
    parts = []
    for stage, (mask, share) in chosen.items():
        table = bins_table("reco_energy", edges)
        table["n"], rate, error = sums_per_bin(protons[mask], edges, "reco_energy", protons["weight"][mask])
        table["rate"], table["rate_low"], table["rate_high"] = (
            share * value for value in (rate, np.maximum(rate - error, 0 / u.s), rate + error)
        )
        table["drawn"] = table["n"] >= parameters.minimum_protons
        table.add_column([stage] * len(table), name="stage", index=0)
        parts.append(table)
    return _joined(parts, parameters.minimum_protons)


def _joined(parts: list[QTable], minimum_events: int) -> QTable:
    table = vstack(parts, metadata_conflicts="silent")
    table.meta["minimum_events"] = minimum_events
    return table
