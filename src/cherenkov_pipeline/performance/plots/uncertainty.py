"""Figures that show whether predicted errors can be trusted."""

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable
from matplotlib.figure import Figure
from scipy.stats import norm

from cherenkov_pipeline.performance.plots.curves import colors_of, draw_curve, frame_energy, show_at_least
from cherenkov_pipeline.performance.plots.style import (
    BLUE,
    INK,
    ORANGE,
    corner_note,
    empty_note,
    new_figure,
    styled,
)
from cherenkov_pipeline.performance.statistics import ONE_SIGMA


@styled
def pull_distribution(pulls: QTable) -> Figure:
    """Draw the pulls with the unit Gaussian that they follow if the predicted errors are right.

    Parameters
    ----------
    pulls : QTable
        Histogram: ``pull_low``, ``pull_high``, ``n``; ``meta`` with ``mean``, ``width``, ``coverage_68``, ``n``.
    """
    figure = new_figure()
    axes = figure.subplots()
    edges = np.append(pulls["pull_low"], pulls["pull_high"][-1])
    axes.set_xlabel("Pull: (ln E_reco − ln E_true) / predicted error")
    axes.set_ylabel("Events per bin")
    n, meta = np.asarray(pulls["n"]), pulls.meta
    if not n.sum():
        empty_note(axes, "no event with a predicted error")
        return figure
    axes.stairs(n, edges, fill=True, color=BLUE, alpha=0.35, label="events")
    fine = np.linspace(edges[0], edges[-1], 201)
    axes.plot(fine, n.sum() * np.diff(edges)[0] * norm.pdf(fine), color=ORANGE, label="unit Gaussian")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None))
    axes.legend(loc="upper right")
    corner_note(
        axes,
        f"mean {_signed(meta['mean'])}\nwidth {meta['width']:.2f}\nwithin ±1: {100 * meta['coverage_68']:.1f} %"
        f"\n{meta['n']:,} events",
    )
    return figure


@styled
def error_quarters(quarters: QTable, quantity: str = "resolution", label: str = "Energy resolution (ΔE/E)") -> Figure:
    """Draw the resolution of the events split in quarters by predicted error, with the error predicted for them.

    Parameters
    ----------
    quarters : QTable
        From `performance.sample.quarters`: ``quarter``, ``n``, the quantity and ``predicted_error`` with ``_low`` and
        ``_high``, in the same unit.
    quantity : str
        Column of the resolution.
    label : str
        Of the vertical axis, with its unit.
    """
    figure = new_figure()
    axes = figure.subplots()
    axes.set_ylabel(label)
    axes.grid(visible=False, axis="x")
    position = np.asarray(quarters["quarter"], dtype=float)
    axes.set_xticks(
        position,
        [
            f"{name}\n{n:,} events"
            for name, n in zip(("smallest", "second", "third", "largest"), quarters["n"], strict=True)
        ],
    )
    axes.set_xlabel("Quarter by predicted error")
    if not np.isfinite(quarters[quantity]).any():
        empty_note(axes, "no event with a predicted error")
        return figure
    value, low, high = (np.asarray(quarters[quantity + suffix]) for suffix in ("", "_low", "_high"))
    predicted = np.asarray(quarters["predicted_error"])
    axes.bar(position, value, width=0.6, color=BLUE, alpha=0.35, label="resolution, with its interval")
    axes.vlines(position, low, high, color=BLUE, linewidth=2.2)
    axes.plot(position, predicted, "D", color=ORANGE, markersize=7, label="median predicted error")
    axes.set_ylim(0, 1.3 * np.nanmax([value, np.nan_to_num(high), predicted]))
    axes.legend(loc="upper left")
    return figure


@styled
def coverage(curves: Mapping[str, QTable], quantity: str = "coverage_68") -> Figure:
    """Draw the coverage of the predicted 68.27 % interval, or radius, per bin of true energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables of `performance.sample.per_energy` by the model's name.
    quantity : str
        Column of the coverage.
    """
    figure = new_figure()
    axes = figure.subplots()
    axes.axhline(ONE_SIGMA, color=INK, linewidth=1, label="68.27 %, as it should be")
    for name, color in colors_of(curves).items():
        draw_curve(axes, curves[name], quantity, color, name)
    frame_energy(axes, curves)
    show_at_least(axes, 0.3, 1, curves, quantity)
    axes.set_ylabel("Coverage of the predicted 68 %")
    axes.legend(loc="lower right")
    return figure


@styled
def pull_per_energy(curves: Mapping[str, QTable]) -> Figure:
    """Draw mean (above) and standard deviation (below) of the pull per bin of true energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables of `performance.energy.energy_per_bin` by the model's name.
    """
    figure = new_figure()
    panels = figure.subplots(2, 1, sharex=True)
    for axes, quantity, label, expected in zip(
        panels, ("pull_mean", "pull_width"), ("Pull, mean", "Pull, std. dev."), (0, 1), strict=True
    ):
        axes.axhline(expected, color=INK, linewidth=1)
        for name, color in colors_of(curves).items():
            draw_curve(axes, curves[name], quantity, color, name)
        frame_energy(axes, curves)
        show_at_least(axes, expected - 1, expected + 1, curves, quantity)
        axes.set_ylabel(label)
    panels[0].set_xlabel("")
    panels[0].legend(loc="upper right")
    figure.align_ylabels()
    return figure


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
