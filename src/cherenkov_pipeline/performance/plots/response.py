"""Figures of the instrument response."""

from collections.abc import Mapping

import astropy.units as u
import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pyirf.spectral import CRAB_HEGRA

from cherenkov_pipeline.performance.plots.curves import colors_of, frame_energy
from cherenkov_pipeline.performance.plots.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PALETTE,
    empty_note,
    energy_axis,
    new_figure,
    styled,
)

RECO_LABEL = "Reconstructed energy [TeV]"

MARKERS = {"trigger": "D", "cleaning": "s"}
"""Stages with published areas."""


@styled
def effective_areas(areas: QTable, labels: Mapping[str, str], published: QTable | None = None) -> Figure:
    """Draw the effective area after each cut.

    Parameters
    ----------
    areas : QTable
        From `performance.response.stages.areas`.
    labels : mapping of str to str
        Stage -> its name, in their order.
    published : QTable, optional
        From `performance.published.effective_areas`.
    """
    figure = new_figure(width=6.6, height=4.8)
    axes = figure.subplots()
    curves = _by_stage(areas, labels)
    colors = colors_of(curves)
    for stage, table in curves.items():
        _curve(axes, table, "true_energy", "area", colors[stage], labels[stage])
    frame_energy(axes, curves)
    for stage, marker in MARKERS.items() if published is not None else ():
        points = published[published["stage"] == stage]
        if stage in curves:
            axes.plot(
                points["true_energy"].to_value("TeV"),
                points["area"].to_value("m2"),
                marker,
                color=colors[stage],
                markeredgecolor=INK,
                markersize=7,
                linestyle="none",
                label=f"{labels[stage]}: {published.meta['label']}",
            )
    _log(axes, "Effective area [m²]")
    axes.legend(loc="lower right", fontsize=8.5)
    return figure


@styled
def background_rates(rates: QTable, labels: Mapping[str, str]) -> Figure:
    """Draw the rate of protons after each cut.

    Parameters
    ----------
    rates : QTable
        From `performance.response.stages.background_rates`.
    labels : mapping of str to str
        Stage -> its name, in their order.
    """
    figure = new_figure()
    axes = figure.subplots()
    curves = _by_stage(rates, labels)
    for (stage, table), color in zip(curves.items(), PALETTE[2:], strict=False):
        _curve(axes, table, "reco_energy", "rate", color, labels[stage])
    frame_energy(axes, curves, "reco_energy", RECO_LABEL)
    _log(axes, "Protons and helium per bin [Hz]")
    axes.legend(loc="upper right", fontsize=8.5)
    return figure


@styled
def selection_cuts(cuts: QTable) -> Figure:
    """Draw the gammaness cut (above) and the theta cut (below) of each bin.

    Parameters
    ----------
    cuts : QTable
        From `performance.response.cuts.best_cuts`.
    """
    figure = new_figure(height=5.2)
    above, below = figure.subplots(2, 1, sharex=True)
    energy = cuts["reco_energy_center"].to_value("TeV")
    chosen = np.asarray(cuts["optimised"], dtype=bool)
    for axes, name, label in (
        (above, "gammaness", "Gammaness, at least"),
        (below, "theta", "θ, at most [deg]"),
    ):
        value = np.asarray(cuts[name])
        axes.plot(energy, value, color=MUTED, linewidth=1)
        axes.plot(energy[chosen], value[chosen], "o", color=BLUE, label="of the best sensitivity")
        axes.plot(energy[~chosen], value[~chosen], "o", color=ORANGE, mfc="none", label="loosest: too few events")
        axes.set_ylabel(label)
    above.set_ylim(0, 1)
    below.set_ylim(0, None)
    energy_axis(below, RECO_LABEL)
    filled = np.isfinite(np.asarray(cuts["gammaness"]))
    if filled.any():
        low, high = (cuts[f"reco_energy_{side}"].to_value("TeV")[filled] for side in ("low", "high"))
        below.set_xlim(low.min(), high.max())
        above.legend(loc="lower right")
    else:
        empty_note(above, "no bin has enough gammas")
    return figure


@styled
def sensitivity(table: QTable, label: str, published: QTable | None = None) -> Figure:
    """Draw the differential sensitivity beside the flux of the Crab nebula.

    Parameters
    ----------
    table : QTable
        From `performance.response.sensitivity.differential_sensitivity`.
    label : str
        Of the curve: observation time and conditions.
    published : QTable, optional
        From `performance.published.ctlearn_after_cuts`.
    """
    figure = new_figure(width=6.6, height=4.8)
    axes = figure.subplots()
    unit = table["sensitivity"].unit
    _curve(axes, table, "reco_energy", "sensitivity", BLUE, label)
    frame_energy(axes, {"sensitivity": table}, "reco_energy", RECO_LABEL)
    energy = np.geomspace(*axes.get_xlim(), 100) * u.TeV
    crab = (CRAB_HEGRA(energy) * energy**2).to_value(unit)
    for share, style in ((1, "-"), (0.1, "--")):
        axes.plot(energy.value, share * crab, style, color=MUTED, linewidth=1.2, label=f"{100 * share:g} % of the Crab")
    points = np.empty(0)
    if published is not None:
        points = published["low"].to_value(unit)
        energies = published["energy"].to_value("TeV")
        axes.plot(energies, points, "D", color=MUTED, markeredgecolor=INK, markersize=7, label=published.meta["label"])
    _log(axes, f"E² dN/dE [{unit:unicode}]")
    drawn = np.asarray(table["sensitivity"])[np.asarray(table["drawn"])]
    if len(drawn):
        axes.set_ylim(min(drawn.min() / 10, 0.6 * points.min(initial=np.inf)), max(drawn.max(), crab.max()) * 3)
    axes.legend(loc="upper right", fontsize=8.5)
    return figure


def _by_stage(table: QTable, labels: Mapping[str, str]) -> dict[str, QTable]:
    found = {stage: table[table["stage"] == stage] for stage in labels}
    return {stage: rows for stage, rows in found.items() if len(rows)}


def _curve(axes: Axes, table: QTable, energy: str, quantity: str, color: str, label: str) -> None:
    """Draw a quantity with its errors; bins that are not drawn break the line."""
    center, low, high = (table[f"{energy}_{side}"].to_value("TeV") for side in ("center", "low", "high"))
    value, below, above = (
        np.where(table["drawn"], np.asarray(table[quantity + suffix]), np.nan) for suffix in ("", "_low", "_high")
    )
    axes.plot(center, value, color=color, marker="o", markersize=4, linewidth=1.2, label=label)
    axes.hlines(value, low, high, color=color, linewidth=1.2)
    axes.vlines(center, np.maximum(below, 1e-3 * value), above, color=color, linewidth=1.2)


def _log(axes: Axes, label: str) -> None:
    """Make the vertical axis logarithmic, if there is anything on it."""
    axes.set_ylabel(label)
    if any(np.nansum(np.asarray(line.get_ydata(), dtype=float) > 0) for line in axes.lines):
        axes.set_yscale("log")
