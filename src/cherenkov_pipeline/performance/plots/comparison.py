"""Figures of several models side by side: ranks with paired differences, quality over cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cherenkov_pipeline.performance.plots.curves import colors_of
from cherenkov_pipeline.performance.plots.style import INK, empty_note, new_figure, plain_decades, styled

COSTS = {
    "inference_ms_per_event": "Prediction [ms/event]",
    "training_s": "Training [s]",
    "parameters": "Parameters",
}


@styled
def ranking(
    rows: Mapping[str, QTable.Row], differences: Mapping[str, QTable.Row], order: Sequence[str], label: str
) -> Figure:
    """Draw one metric of all models, and how far they are behind the best.

    Parameters
    ----------
    rows : mapping of str to Row
        From `performance.comparison.rows_of_metric`, the best first.
    differences : mapping of str to Row
        From `performance.comparison.against_best`.
    order : sequence of str
        Labels in the order of their colours.
    label : str
        Of the metric, with its unit.
    """
    figure = new_figure(width=10.4, height=1.5 + 0.42 * len(rows))
    values, behind = figure.subplots(1, 2, sharey=True)
    colors = colors_of(dict.fromkeys(order))
    for height, (name, row) in enumerate(rows.items()):
        _interval(values, row["value"], row["low"], row["high"], height, colors[name])
        if name in differences:
            found = differences[name]
            _interval(behind, found["advantage"], found["low"], found["high"], height, colors[name])
    first, best = next(iter(rows.items()))
    if best["rank"]:
        behind.axvline(0, color=INK, linewidth=0.9)
        behind.plot(0, 0, "o", color=colors[first], markersize=7)
        behind.set_xlabel(f"Behind {first}, paired")
    else:
        empty_note(behind, "the models cannot be ranked")
    values.set_yticks(range(len(rows)), list(rows))
    values.set_ylim(len(rows) - 0.5, -0.5)
    values.set_xlabel(label)
    for axes in (values, behind):
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    return figure


def _interval(axes: Axes, value: float, low: float, high: float, height: float, color: str) -> None:
    if np.isfinite([low, high]).all():
        axes.hlines(height, low, high, color=color, linewidth=2)
    axes.plot(value, height, "o", color=color, markersize=7)


@styled
def quality_over_cost(
    rows: Mapping[str, QTable.Row], costs: QTable, label: str, order: Sequence[str] | None = None
) -> Figure:
    """Draw one metric over what the models cost: prediction, training, parameters.

    Parameters
    ----------
    rows : mapping of str to Row
        From `performance.comparison.rows_of_metric`.
    costs : QTable
        ``model`` and the columns of `COSTS`, one row a model.
    label : str
        Of the metric, with its unit.
    order : sequence of str, optional
        Labels in the order of their colours; default: that of the costs.
    """
    figure = new_figure(width=10.4, height=4.4)
    panels = figure.subplots(1, len(COSTS), sharey=True)
    names = [str(name) for name in costs["model"]]
    colors = colors_of(dict.fromkeys(order or names))
    for axes, (column, title) in zip(panels, COSTS.items(), strict=True):
        cost = dict(zip(names, np.asarray(costs[column], dtype=float), strict=True))
        shown = [name for name in names if cost[name] > 0 and np.isfinite(rows[name]["value"])]
        for name in shown:
            row = rows[name]
            if np.isfinite([row["low"], row["high"]]).all():
                axes.vlines(cost[name], row["low"], row["high"], color=colors[name], linewidth=2)
            axes.plot(cost[name], row["value"], "o", color=colors[name], markersize=7, label=name)
        axes.set_xlabel(title)
        if shown:
            _cost_axis(axes, [cost[name] for name in shown])
        else:
            empty_note(axes, "not known")
    panels[0].set_ylabel(label)
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if handles:
        figure.legend(handles.values(), handles, loc="outside upper left", ncols=3)
    return figure


def _cost_axis(axes: Axes, costs: Sequence[float]) -> None:
    axes.set_xscale("log")
    low, high = min(costs) / 1.6, max(costs) * 1.6
    axes.set_xlim(low, high)
    if high / low > 20:
        plain_decades(axes.xaxis)
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def _short(value: float, _: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
