"""Figure of a training: loss and learning rate per epoch."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from cherenkov_pipeline.performance.plots.curves import colors_of
from cherenkov_pipeline.performance.plots.style import ORANGE, empty_note, new_figure, styled


@styled
def loss_curves(histories: Mapping[str, pd.DataFrame | Table]) -> Figure:
    """Draw training and validation loss per epoch, and the learning rate below.

    Parameters
    ----------
    histories : mapping of str to table
        By the model's name; columns ``epoch``, ``loss``, ``val_loss``, ``learning_rate`` (the last two may be absent).
        The epoch of the smallest validation loss is marked. Models of one epoch, as random forests are, have no curve
        and are left out beside others.
    """
    figure = new_figure(height=4.6)
    loss, rate = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    colors = colors_of(histories)
    for name in [name for name, history in histories.items() if len(history) > 1] or histories:
        color, columns = colors[name], _columns(histories[name])
        alone = len(histories) == 1
        _draw_losses(loss, columns, (color, ORANGE if alone else color), "" if alone else f"{name}, ")
        if np.any(columns.get("learning_rate", 0) > 0):
            rate.step(columns["epoch"], columns["learning_rate"], where="mid", color=color, linewidth=1.4)
    if any(len(history) for history in histories.values()):
        loss.legend(loc="upper right")
    else:
        empty_note(loss, "no epoch was recorded")
    loss.set_ylabel("Loss")
    _format_rate(rate)
    figure.align_ylabels()
    return figure


def _draw_losses(axes: Axes, columns: dict[str, np.ndarray], colors: tuple[str, str], prefix: str) -> None:
    epoch = columns["epoch"]
    style = {"marker": "o" if len(epoch) <= 40 else None, "markersize": 3.5}
    axes.plot(epoch, columns["loss"], color=colors[0], label=f"{prefix}training", **style)
    validation = columns.get("val_loss", np.empty(0))
    if not np.isfinite(validation).any():
        return
    best = int(np.nanargmin(validation))
    value = f"{validation[best]:.4g}".replace("-", "−")
    label = f"{prefix}validation, best {value} in epoch {epoch[best]:g}"
    axes.plot(epoch, validation, color=colors[1], linestyle="--", label=label, **style)
    axes.plot(epoch[best], validation[best], "o", color=colors[1], markersize=10, markerfacecolor="none")


def _format_rate(axes: Axes) -> None:
    if axes.lines:  # a logarithmic axis cannot be drawn without data
        axes.set_yscale("log")
        rates = np.concatenate([line.get_ydata() for line in axes.lines])
        rates = rates[rates > 0]
        ends = {float(rates.min()), float(rates.max())}
        # there is room for two lines, and few need more than where it begins and ends
        axes.set_yticks([max(ends)] if max(ends) < 3 * min(ends) else sorted(ends))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="Epoch", ylabel="Learning\nrate")


def _columns(history: pd.DataFrame | Table) -> dict[str, np.ndarray]:
    names = history.columns if isinstance(history, pd.DataFrame) else history.colnames
    wanted = ("epoch", "loss", "val_loss", "learning_rate")
    return {name: np.asarray(history[name], dtype=float) for name in wanted if name in names}
