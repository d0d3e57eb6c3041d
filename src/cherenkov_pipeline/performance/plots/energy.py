"""Figures of the energy task."""

from collections.abc import Mapping

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.plots.curves import (
    colors_of,
    draw_curve,
    draw_pairs,
    draw_published,
    draw_published_after_cuts,
    draw_published_points,
    frame_energy,
    largest_drawn,
)
from cherenkov_pipeline.performance.plots.style import (
    BLUE,
    DEFAULT_ENERGIES,
    INK,
    MUTED,
    ORANGE,
    SEQUENTIAL,
    corner_note,
    empty_note,
    energy_axis,
    new_figure,
    plain_decades,
    styled,
)

#: With more events than this, error bars hide what they belong to.
FEW = 100


@styled
def energy_resolution(
    curves: Mapping[str, QTable],
    published: QTable | None = None,
    points: QTable | None = None,
    after_cuts: QTable | None = None,
) -> Figure:
    """Draw the energy resolution per bin of true energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables of `performance.energy.energy_per_bin` by the model's name.
    published : QTable, optional
        Reference of `performance.published.random_forest_energy`. It is a 68.27 % quantile of the absolute error, so
        that this quantity of the models is drawn beside it in the same broken line.
    points : QTable, optional
        Published values of `performance.published.ctlearn`.
    after_cuts : QTable, optional
        Those of `performance.published.ctlearn_after_cuts`, for curves of events after cuts.
    """
    figure = new_figure()
    axes = figure.subplots()
    draw_pairs(
        axes, curves, ("resolution", "half of the central 68 % interval"), ("quantile_68", "68 % quantile of |error|")
    )
    frame_energy(axes, curves)
    if published is not None:
        draw_published(axes, published, "quantile_68")
    if points is not None:
        draw_published_points(axes, points)
    if after_cuts is not None:
        draw_published_after_cuts(axes, after_cuts)
    top = 1.25 * largest_drawn(curves, "resolution_high", "quantile_68_high")
    axes.set_ylim(0, float(np.clip(top, 0.3, 1.5)))
    axes.set_ylabel("Energy resolution (ΔE/E)")
    axes.legend(loc="upper right")
    return figure


@styled
def energy_bias(curves: Mapping[str, QTable], published: QTable | None = None) -> Figure:
    """Draw the median bias (above) and the standard deviation (below) of E_reco/E_true - 1 per bin of true energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables of `performance.energy.energy_per_bin` by the model's name.
    published : QTable, optional
        Reference of `performance.published.random_forest_energy`, drawn in the upper part.
    """
    figure = new_figure(height=4.6)
    bias, spread = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name, color in colors_of(curves).items():
        draw_curve(bias, curves[name], "bias", color, name)
        draw_curve(spread, curves[name], "standard_deviation", color, name)
    for axes in (bias, spread):
        frame_energy(axes, curves)
    bias.set_xlabel("")
    bias.axhline(0, color=INK, linewidth=0.9)
    if published is not None:
        draw_published(bias, published, "bias")
    extent = 1.25 * largest_drawn(curves, "bias_low", "bias_high")
    bias.set_ylim(-np.clip(extent, 0.1, 1), np.clip(1.4 * extent, 0.15, 1.5))
    spread.set_ylim(0, float(np.clip(1.2 * largest_drawn(curves, "standard_deviation_high"), 0.3, 2)))
    bias.set_ylabel("Median bias (ΔE/E)")
    spread.set_ylabel("Std. dev.")
    bias.legend(loc="upper right")
    figure.align_ylabels()
    return figure


@styled
def energy_distribution(distribution: QTable) -> Figure:
    """Draw the number of events by true and by reconstructed energy, from `performance.energy.energy_distribution`."""
    figure = new_figure()
    axes = figure.subplots()
    edges = _edges(distribution, "energy")
    n_true, n_reco = np.asarray(distribution["n_true"]), np.asarray(distribution["n_reco"])
    axes.stairs(n_true, edges, fill=True, color=BLUE, alpha=0.25)
    axes.stairs(n_true, edges, color=BLUE, linewidth=1.6, label="true")
    axes.stairs(n_reco, edges, color=ORANGE, linewidth=1.8, label="reconstructed")
    energy_axis(axes, "Energy [TeV]")
    used = np.flatnonzero(n_true + n_reco)
    if len(used):
        axes.set_xlim(edges[used[0]] / 1.2, edges[used[-1] + 1] * 1.2)
        axes.set_yscale("log")
        plain_decades(axes.yaxis)
        axes.set_ylim(0.7, 3 * max(n_true.max(), n_reco.max()))
        axes.legend(loc="upper right")
    else:
        empty_note(axes, "no event with a valid energy")
    axes.set_ylabel("Events per bin")
    return figure


@styled
def migration_matrix(migration: QTable) -> Figure:
    """Draw the reconstructed against the true energy, normalised for each true energy.

    Parameters
    ----------
    migration : QTable
        From `performance.energy.migration_matrix`.
    """
    figure = new_figure(height=4.8)
    axes = figure.subplots()
    edges = _edges(migration, "true_energy")
    counts = np.asarray(migration["n_reco"], dtype=float)
    _energy_axes(axes)
    used = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    if not len(used):
        empty_note(axes, "no event with a valid energy")
        return figure
    n_per_row = np.asarray(migration["n"], dtype=float)[:, np.newaxis]
    fraction = np.divide(counts, n_per_row, out=np.full_like(counts, np.nan), where=counts > 0)
    limits = edges[used[0]], edges[used[-1] + 1]
    top = np.nanquantile(fraction, 0.98)  # a lone event in a bin has the fraction 1 and would set the scale
    image = axes.pcolormesh(edges, edges, fraction.T, cmap=SEQUENTIAL, vmin=0, vmax=top, rasterized=True)
    axes.plot(limits, limits, color=ORANGE, linewidth=1.2)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    bar = figure.colorbar(image, ax=axes, shrink=0.9, extend="max")
    bar.set_label("Fraction of the events of each true energy")
    bar.outline.set_visible(False)
    return figure


@styled
def true_against_reco(predictions: Table) -> Figure:
    """Draw the reconstructed against the true energy, event by event, with the predicted errors.

    Parameters
    ----------
    predictions : Table
        ``true_energy``, ``reco_energy``, ``reco_energy_uncert`` with units, ``is_valid``. What has no true or no
        valid energy is counted in the figure instead. Up to `FEW` events have error bars.
    """
    figure = new_figure(height=4.8)
    axes = figure.subplots()
    true, reco, error = (
        u.Quantity(predictions[name]).to_value("TeV") for name in ("true_energy", "reco_energy", "reco_energy_uncert")
    )
    used = np.asarray(predictions["is_valid"], dtype=bool) & np.isfinite(true) & (true > 0) & (reco > 0)
    _energy_axes(axes)
    n_left_out = int((~used).sum())
    if not used.any():
        empty_note(axes, f"no event with a true and a valid energy ({n_left_out} without)")
        return figure
    true, reco = true[used], reco[used]
    # symmetric in the logarithm, as the network predicts it; a prediction without any idea is cut at a factor 100
    relative = np.minimum(np.nan_to_num(error[used]) / reco, np.log(100))
    low, high = reco * np.exp(-relative), reco * np.exp(relative)
    shown = np.concatenate([true, low, high] if len(true) <= FEW else [true, reco])
    limits = 10 ** np.array([np.floor(np.log10(shown.min())), np.ceil(np.log10(shown.max()))])
    axes.fill_between(limits, 0.75 * limits, 1.25 * limits, color=BLUE, alpha=0.08, linewidth=0, label="±25 %")
    axes.plot(limits, limits, color=MUTED, linewidth=1.2, label="equal")
    if len(true) <= FEW:
        errors = (reco - low, high - reco)
        axes.errorbar(true, reco, errors, fmt="o", color=BLUE, elinewidth=1.3, capsize=2.5, label="events, ±1σ")
    else:
        axes.plot(true, reco, ".", color=BLUE, markersize=2.5, alpha=0.5, label="events", rasterized=True)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.legend(loc="lower right")
    corner_note(axes, f"{len(true)} events" + (f"\n{n_left_out} without a valid energy" if n_left_out else ""))
    return figure


def _energy_axes(axes: Axes) -> None:
    energy_axis(axes)
    axes.set_yscale("log")
    axes.set_ylim(*DEFAULT_ENERGIES)
    plain_decades(axes.yaxis)
    axes.set_ylabel("Reconstructed energy [TeV]")


def _edges(table: QTable, name: str) -> np.ndarray:
    low, high = (table[f"{name}_{side}"].to_value("TeV") for side in ("low", "high"))
    return np.append(low, high[-1])
