"""Figures that set a simulation beside a reference: the published forest, separation, single real events."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.plots.curves import draw_curve, draw_published, frame_energy
from cherenkov_pipeline.performance.plots.style import BLUE, INK, MUTED, ORANGE, energy_axis, new_figure, styled


@styled
def forest_resolution(
    ours: QTable, published: QTable, quantity: str, label: str, limits: tuple[float, float], limit: float
) -> Figure:
    """Draw a resolution of the random forest per bin of true energy beside the published one.

    Parameters
    ----------
    ours : QTable
        From `performance.energy.energy_per_bin` or `benchmarks._agreement.direction_per_bin`.
    published : QTable
        From `performance.published`, with the same quantity.
    quantity : str
        Column of both.
    label : str
        Of the vertical axis.
    limits : tuple of float
        Energies [TeV] between which they are compared.
    limit : float
        Accepted relative deviation, drawn as a band about the published curve.
    """
    figure = new_figure()
    axes = figure.subplots()
    draw_curve(axes, ours, quantity, BLUE, "random forest on this simulation")
    frame_energy(axes, {"ours": ours})
    draw_published(axes, published, quantity)
    low, high = (published[f"true_energy_{side}"].to_value("TeV") for side in ("low", "high"))
    compared = (low > 0.99 * limits[0]) & (high < 1.01 * limits[1])
    reference = np.asarray(published[quantity])[compared]
    axes.fill_between(
        np.sqrt(low * high)[compared],
        (1 - limit) * reference,
        (1 + limit) * reference,
        color=MUTED,
        alpha=0.15,
        linewidth=0,
        label=f"published ±{limit:.0%}",
    )
    drawn = np.asarray(ours[quantity])[np.asarray(ours["drawn"])]
    top = np.nanmax(np.append(reference, drawn)) if len(drawn) else 1
    axes.set_ylim(0, min(1.4 * top, 3 * np.nanmax(reference)))
    axes.set_ylabel(label)
    axes.legend(loc="upper right")
    return figure


@styled
def auc_by_intensity(table: QTable, reference: Sequence[float], limit: float) -> Figure:
    """Draw the area under the ROC curve by intensity.

    Parameters
    ----------
    table : QTable
        From `benchmarks._agreement.auc_per_intensity`.
    reference : sequence of float
        Official value of each bin.
    limit : float
        Accepted deviation.
    """
    figure = new_figure()
    axes = figure.subplots()
    position = np.arange(len(table))
    axes.vlines(
        position, np.subtract(reference, limit), np.add(reference, limit), color=MUTED, linewidth=14, alpha=0.25
    )
    axes.plot(position, reference, "_", color=INK, markersize=18, label=f"official (±{limit:g})")
    value, low, high = (np.asarray(table[name]) for name in ("auc", "auc_low", "auc_high"))
    axes.errorbar(position, value, (value - low, high - value), fmt="o", color=BLUE, capsize=3, label="simulated here")
    names = [
        f"{row['log_intensity_low']:g}-{row['log_intensity_high']:g}\n{row['n']:,} images"
        if np.isfinite(row["log_intensity_high"])
        else f"> {row['log_intensity_low']:g}\n{row['n']:,} images"
        for row in table
    ]
    axes.set_xticks(position, names)
    axes.set(
        xlabel="log10(intensity / p.e.)", ylabel="AUC, without timing", xlim=(-0.5, len(table) - 0.5), ylim=(0.5, 1)
    )
    axes.legend(loc="lower right")
    return figure


@styled
def events_in_population(energy: np.ndarray, membership: QTable, labels: Mapping[str, str], columns: int = 2) -> Figure:
    """Draw single events among simulated ones of their energy and distance, a panel for each quantity.

    Parameters
    ----------
    energy : ndarray, shape (n_events,)
        True energies [TeV]: the horizontal axis.
    membership : QTable
        From `benchmarks._agreement.membership`.
    labels : mapping of str to str
        Quantity -> its label, with the unit. Intensity is drawn on a logarithmic axis.
    columns : int
        Panels in a row.
    """
    rows = -(-len(labels) // columns)
    figure = new_figure(width=4.2 * columns, height=3.2 * rows)
    for axes, (quantity, label) in zip(
        figure.subplots(rows, columns, squeeze=False).ravel(), labels.items(), strict=True
    ):
        table = membership[membership["quantity"] == quantity]
        _draw_members(axes, _spread(energy[table["event"]]), table)
        energy_axis(axes)
        axes.set_xlim(0.7 * energy.min(), 1.4 * energy.max())
        axes.set_ylabel(label)
        if "intensity" in quantity:
            axes.set_yscale("log")
    figure.axes[0].legend(loc="lower right")
    return figure


def _draw_members(axes: Axes, energy: np.ndarray, table: QTable) -> None:
    low, median, high, value = (np.asarray(table[name]) for name in ("low", "median", "high", "value"))
    within = np.asarray(table["within"])
    axes.vlines(energy, low, high, color=BLUE, linewidth=5, alpha=0.3, label="95 % of simulated")
    axes.plot(energy, median, "_", color=BLUE, markersize=8)
    axes.plot(energy[within], value[within], "o", color=INK, markersize=5, label="real event")
    if not within.all():
        axes.plot(energy[~within], value[~within], "X", color=ORANGE, markersize=7, label="outside")


def _spread(energy: np.ndarray) -> np.ndarray:
    """Move equal energies apart, so that each event is seen."""
    order = np.argsort(energy, kind="stable")
    moved = energy.copy()
    for before, after in pairwise(order):
        moved[after] = max(moved[after], 1.06 * moved[before])
    return moved
