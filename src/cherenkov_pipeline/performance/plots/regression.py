"""Figures of any quantity with a predicted error: core position, depth of the shower maximum."""

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.plots.curves import colors_of, draw_curve, frame_energy, largest_drawn
from cherenkov_pipeline.performance.plots.style import (
    BLUE,
    INK,
    ORANGE,
    corner_note,
    empty_note,
    new_figure,
    styled,
)


@styled
def resolution(curves: Mapping[str, QTable], quantity: str, label: str) -> Figure:
    """Draw a resolution per bin of true energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables ``per_energy`` of `performance.regression` by the model's name.
    quantity, label : str
        Column, and the axis' label with its unit.
    """
    figure = new_figure()
    axes = figure.subplots()
    for name, color in colors_of(curves).items():
        draw_curve(axes, curves[name], quantity, color, name)
    frame_energy(axes, curves)
    axes.set_ylim(0, 1.25 * largest_drawn(curves, f"{quantity}_high", quantity) or 1)
    axes.set_ylabel(label)
    axes.legend(loc="upper right")
    return figure


@styled
def bias(curves: Mapping[str, QTable], quantities: Mapping[str, str], unit: str) -> Figure:
    """Draw the median bias of one or two coordinates per bin of true energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables ``per_energy`` of `performance.regression` by the model's name; the colours tell the coordinates of the
        first one, where there is but one model.
    quantities : mapping of str to str
        Columns with their names.
    unit : str
    """
    figure = new_figure()
    axes = figure.subplots()
    labelled = {f"{name}: {text}": (name, column) for name in curves for column, text in quantities.items()}
    for label, color in colors_of(dict.fromkeys(labelled)).items():
        name, column = labelled[label]
        draw_curve(axes, curves[name], column, color, label)
    frame_energy(axes, curves)
    axes.axhline(0, color=INK, linewidth=0.9)
    extent = largest_drawn(curves, *(f"{column}{side}" for column in quantities for side in ("_low", "_high"))) or 1
    axes.set_ylim(-1.25 * extent, 1.5 * extent)
    axes.set_ylabel(f"Median bias [{unit}]")
    axes.legend(loc="upper right")
    return figure


@styled
def error_distribution(table: QTable, names: Mapping[str, str], unit: str) -> Figure:
    """Draw the distribution of the errors.

    Parameters
    ----------
    table : QTable
        ``distribution`` of `performance.regression`.
    names : mapping of str to str
        Coordinates with their names.
    unit : str
    """
    figure = new_figure()
    axes = figure.subplots()
    edges = np.append(table["error_low"].value, table["error_high"].value[-1])
    inside = 0
    for color, (name, text) in zip((BLUE, ORANGE), names.items(), strict=False):
        axes.stairs(table[f"n_{name}"], edges, color=color, linewidth=1.6, label=text)
        inside = max(inside, int(table[f"n_{name}"].sum()))
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None))
    axes.set(xlabel=f"Reconstructed − true [{unit}]", ylabel="Events per bin")
    if not inside:
        empty_note(axes, "no event with a valid value")
        return figure
    axes.legend(loc="upper right")
    corner_note(axes, f"{table.meta['n']:,} events")
    return figure
