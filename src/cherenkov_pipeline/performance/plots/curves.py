"""Curves per energy bin: one quantity of one or several models, with their bootstrap intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.plots.style import INK, MUTED, PALETTE, empty_note, energy_axis, styled


def draw_curve(axes: Axes, table: QTable, quantity: str, color: str, label: str, energy: str = "true_energy") -> None:
    """Draw one quantity of a table per energy bin, its bootstrap intervals as bars and as a band.

    Parameters
    ----------
    axes : Axes
    table : QTable
        One row a bin, from `performance.sample.per_energy`; rows not marked ``drawn`` are left out.
    quantity : str
        Column, with ``_low`` and ``_high`` beside it.
    color, label : str
    energy : str
        What the bins are in.
    """
    center = table[f"{energy}_center"].to_value("TeV")
    value, low, high = (_drawn(table, quantity + suffix) for suffix in ("", "_low", "_high"))
    axes.plot(center, value, color=color, marker="o", label=label)
    axes.vlines(center, low, high, color=color, linewidth=1.2)
    axes.fill_between(center, low, high, color=color, alpha=0.15, linewidth=0)


def draw_side_curve(axes: Axes, table: QTable, quantity: str, color: str, label: str) -> None:
    """Draw a second quantity beside `draw_curve`: a broken line without its intervals."""
    axes.plot(
        table["true_energy_center"].to_value("TeV"),
        _drawn(table, quantity),
        color=color,
        linestyle="--",
        linewidth=1.4,
        label=label,
    )


def draw_pairs(axes: Axes, curves: Mapping[str, QTable], main: tuple[str, str], side: tuple[str, str]) -> None:
    """Draw two quantities of each model: a curve with intervals, and a broken line that is left out where it is NaN.

    Parameters
    ----------
    axes : Axes
    curves : mapping of str to QTable
        By the model's name.
    main, side : tuple of str
        Column and its name. Of several models, the legend names the broken line but once.
    """
    alone = len(curves) == 1
    beside = {name for name, table in curves.items() if np.isfinite(np.asarray(table[side[0]])).any()}
    for name, color in colors_of(curves).items():
        draw_curve(axes, curves[name], main[0], color, f"{name}: {main[1]}" if alone else name)
        if name in beside:
            draw_side_curve(axes, curves[name], side[0], color, f"{name}: {side[1]}" if alone else "")
    if beside and not alone:
        axes.plot([], [], color=INK, linestyle="--", linewidth=1.4, label=f"broken: {side[1]}")


def _drawn(table: QTable, column: str) -> np.ndarray:
    return np.where(table["drawn"], np.asarray(table[column]), np.nan)


def draw_published(axes: Axes, published: QTable, quantity: str) -> None:
    """Draw a published curve as a grey reference line."""
    center = np.sqrt(published["true_energy_low"] * published["true_energy_high"]).to_value("TeV")
    axes.plot(center, published[quantity], color=MUTED, linestyle="--", linewidth=1.4, label=published.meta["label"])


def draw_published_points(axes: Axes, points: QTable) -> None:
    """Draw published values as grey diamonds, those of a range of energies with a bar over it.

    Parameters
    ----------
    axes : Axes
    points : QTable
        From `performance.published.ctlearn`, of one quantity.
    """
    low, high = (points[f"true_energy_{side}"].to_value("TeV") for side in ("low", "high"))
    axes.hlines(points["value"], low, high, color=MUTED, linewidth=1.4)
    axes.plot(np.sqrt(low * high), points["value"], "D", color=MUTED, markersize=5, label=points.meta["label"])


def draw_published_after_cuts(axes: Axes, found: QTable) -> None:
    """Draw published values whose energy is not told as a grey band over all energies.

    Parameters
    ----------
    axes : Axes
    found : QTable
        From `performance.published.ctlearn_after_cuts`.
    """
    label = f"{found.meta['label'].removesuffix(')')}, energy not told)"
    for low, high in zip(found["low"].value, found["high"].value, strict=True):
        axes.axhspan(low, high, color=MUTED, alpha=0.4, linewidth=1.4, zorder=1, label=label)


def frame_energy(
    axes: Axes, curves: Mapping[str, QTable], energy: str = "true_energy", label: str = "True energy [TeV]"
) -> None:
    """Limit the energy axis to the bins that are drawn; say so if there are none."""
    energy_axis(axes, label)
    bins = [table[table["drawn"]] for table in curves.values()]
    bins = [table for table in bins if len(table)]
    if not bins:
        empty_note(axes, "every bin has too few events")
        return
    axes.set_xlim(
        min(table[f"{energy}_low"].to_value("TeV").min() for table in bins),
        max(table[f"{energy}_high"].to_value("TeV").max() for table in bins),
    )


def colors_of(curves: Mapping[str, Any]) -> dict[str, str]:
    """Give each model its colour, in their order; more models than the palette has take those of a rainbow."""
    if len(curves) <= len(PALETTE):
        return dict(zip(curves, PALETTE, strict=False))
    rainbow = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(curves)))
    return {name: to_hex(color) for name, color in zip(curves, rainbow, strict=True)}


@styled
def shared_legend(figure: Figure) -> Figure:
    """Put the legend of a figure, wide or of several models, above its axes, where it hides nothing."""
    with_legend = [axes for axes in figure.axes if axes.get_legend() is not None]
    handles, labels = (with_legend or figure.axes)[0].get_legend_handles_labels()
    for axes in with_legend:
        axes.get_legend().remove()
    if handles:
        width, height = figure.get_size_inches()
        columns = 2 if 2 * max(map(len, labels)) < 9 * width + 12 else 1
        figure.set_size_inches(width, height + 0.19 * -(-len(labels) // columns))
        figure.legend(handles, labels, loc="outside upper left", ncols=columns)
    return figure


def largest_drawn(curves: Mapping[str, QTable], *quantities: str) -> float:
    """Largest absolute value of some columns over the bins that are drawn; 0 if there is none."""
    return float(np.abs(_values(curves, quantities)).max(initial=0))


def show_at_least(axes: Axes, low: float, high: float, curves: Mapping[str, QTable], quantity: str) -> None:
    """Limit the vertical axis to ``low`` and ``high``, or as far as there are values; intervals may be cut."""
    values = _values(curves, [quantity])
    margin = 0.06 * (high - low)
    smallest, largest = float(values.min(initial=low)), float(values.max(initial=high))
    axes.set_ylim(smallest - margin if smallest < low else low, largest + margin if largest > high else high)


def _values(curves: Mapping[str, QTable], quantities: Sequence[str]) -> np.ndarray:
    """Finite values of some columns over the bins that are drawn."""
    values = [np.asarray(table[name])[np.asarray(table["drawn"])] for table in curves.values() for name in quantities]
    return np.concatenate([np.empty(0), *(column[np.isfinite(column)] for column in values)])
