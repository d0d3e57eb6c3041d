"""Figures of the direction tasks."""

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable
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
    show_at_least,
)
from cherenkov_pipeline.performance.plots.style import (
    BLUE,
    INK,
    ORANGE,
    SEQUENTIAL,
    corner_note,
    empty_note,
    new_figure,
    styled,
)
from cherenkov_pipeline.performance.statistics import ONE_SIGMA


@styled
def angular_resolution(
    curves: Mapping[str, QTable],
    published: QTable | None = None,
    points: QTable | None = None,
    after_cuts: QTable | None = None,
) -> Figure:
    """Draw the 68.27 % containment per bin of true energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables ``per_energy`` of `performance.direction.direction_tables` by the model's name.
    published : QTable, optional
        Reference of `performance.published.random_forest_direction`. It counts the events on the right side alone,
        so that these are drawn beside in the same broken line.
    points : QTable, optional
        Published values of `performance.published.ctlearn`.
    after_cuts : QTable, optional
        Those of `performance.published.ctlearn_after_cuts`, for curves of events after cuts.
    """
    figure = new_figure()
    axes = figure.subplots()
    draw_pairs(axes, curves, ("angular_resolution", "all events"), ("angular_resolution_right", "right side alone"))
    frame_energy(axes, curves)
    if published is not None:
        draw_published(axes, published, "angular_resolution")
    if points is not None:
        draw_published_points(axes, points)
    if after_cuts is not None:
        draw_published_after_cuts(axes, after_cuts)
    top = 1.25 * largest_drawn(curves, "angular_resolution", "angular_resolution_high")
    axes.set_ylim(0, float(np.clip(top, 0.2, 6)))
    axes.set_ylabel("Angular resolution [deg]")
    axes.legend(loc="upper right")
    return figure


@styled
def direction_bias(curves: Mapping[str, QTable], axes_names: Mapping[str, str]) -> Figure:
    """Draw median bias (above) and standard deviation (below) of two coordinates per bin of true energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        As for `angular_resolution`.
    axes_names : mapping of str to str
        Two coordinates, ``alt``, ``az``, ``x`` or ``y``, with their names and units.
    """
    figure = new_figure(width=10.4, height=4.6)
    panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 2))
    for (bias, spread), (coordinate, title) in zip(panels.T, axes_names.items(), strict=True):
        for name, color in colors_of(curves).items():
            draw_curve(bias, curves[name], f"bias_{coordinate}", color, name)
            draw_curve(spread, curves[name], f"spread_{coordinate}", color, name)
        for axes in (bias, spread):
            frame_energy(axes, curves)
        bias.axhline(0, color=INK, linewidth=0.9)
        bias.set_xlabel("")
        bias.set_title(title, fontsize=11)
    extent = max(
        largest_drawn(curves, *(f"bias_{name}{side}" for name in axes_names for side in ("_low", "_high"))), 1e-3
    )
    top = largest_drawn(curves, *(f"spread_{name}_high" for name in axes_names)) or 1
    panels[0, 0].set_ylim(-1.25 * extent, 1.25 * extent)
    panels[1, 0].set_ylim(0, 1.2 * top)
    panels[0, 0].set_ylabel("Median bias")
    panels[1, 0].set_ylabel("Std. dev.")
    panels[0, 1].legend(loc="upper right")
    figure.align_ylabels()
    return figure


@styled
def right_side(curves: Mapping[str, QTable]) -> Figure:
    """Draw the share of events whose source was put on the right side of the image, per bin of true energy."""
    figure = new_figure()
    axes = figure.subplots()
    for name, color in colors_of(curves).items():
        draw_curve(axes, curves[name], "right_side", color, name)
    frame_energy(axes, curves)
    if not any(np.isfinite(np.asarray(table["right_side"])).any() for table in curves.values()):
        empty_note(axes, "the predictions do not tell the side: they are of several telescopes, or without images")
    show_at_least(axes, 0.5, 1.01, curves, "right_side")
    axes.set_ylabel("Share on the right side of the image")
    return figure


@styled
def share_within(tables: Mapping[str, QTable]) -> Figure:
    """Draw the share of the events whose error is at most some angle.

    Parameters
    ----------
    tables : mapping of str to QTable
        Tables ``within`` of `performance.direction.direction_tables` by the model's name.
    """
    figure = new_figure()
    axes = figure.subplots()
    axes.axhline(ONE_SIGMA, color=INK, linewidth=0.9, linestyle=":", label="68.27 %")
    for name, color in colors_of(tables).items():
        angle = tables[name]["angle"].to_value("deg")
        axes.plot(angle, tables[name]["share"], color=color, label=name)
        axes.fill_between(
            angle, tables[name]["share_low"], tables[name]["share_high"], color=color, alpha=0.2, linewidth=0
        )
    if not any(np.isfinite(table["share"]).any() for table in tables.values()):
        empty_note(axes, "no event with a valid direction")
    axes.set(xlim=(0, 3), ylim=(0, 1.02), xlabel="Angle to the true direction [deg]", ylabel="Share of events within")
    axes.legend(loc="lower right")
    return figure


@styled
def theta_squared(theta2: QTable) -> Figure:
    """Draw the events over the squared angle to the source, and to the place across the pointing from it.

    Of the place across, the counts of sources that are far enough from the pointing are scaled to all events.

    Parameters
    ----------
    theta2 : QTable
        Of `performance.direction.direction_tables`.
    """
    figure = new_figure()
    axes = figure.subplots()
    edges = np.append(theta2["theta2_low"].value, theta2["theta2_high"].value[-1])
    axes.stairs(theta2["n_on"], edges, fill=True, color=BLUE, alpha=0.25)
    axes.stairs(theta2["n_on"], edges, color=BLUE, linewidth=1.6, label="source")
    n, n_apart = theta2.meta["n"], np.asarray(theta2["n_off_events"])
    beyond = f"{n - int(theta2['n_on'].sum()):,} of {n:,} events beyond"
    if n_apart.any():
        # NaN ends the line where the regions begin to overlap
        off = n / np.where(n_apart > 0, n_apart, np.nan) * theta2["n_off"]
        axes.stairs(off, edges, color=ORANGE, linewidth=1.6, label="off: across the pointing")
    else:
        beyond += "\nno off region: the pointing is at the source, or not known"
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None), xlabel="θ² [deg²]", ylabel="Events per bin")
    if not theta2["n_on"].sum() + theta2["n_off"].sum():
        empty_note(axes, "no event with a valid direction")
        return figure
    axes.legend(loc="center right")
    corner_note(axes, beyond, right=True)
    return figure


@styled
def field_of_view(table: QTable) -> Figure:
    """Draw true (left) and reconstructed (right) directions in the field of view; the cross is the pointing.

    Parameters
    ----------
    table : QTable
        Of `performance.direction.direction_tables`.
    """
    figure = new_figure(width=10.4, height=5.0)
    panels = figure.subplots(1, 2, sharey=True)
    edges = np.append(table["lon_low"].value, table["lon_high"].value[-1])
    top = max(int(np.quantile(table["n_true"], 0.995)), int(np.quantile(table["n_reco"], 0.995)), 1)
    for axes, name, title in zip(panels, ("n_true", "n_reco"), ("true", "reconstructed"), strict=True):
        _map(axes, np.asarray(table[name]), edges, top)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("Longitude, along the azimuth [deg]")
    panels[0].set_ylabel("Latitude [deg]")
    return figure


def _map(axes: Axes, counts: np.ndarray, edges: np.ndarray, top: int) -> None:
    axes.grid(visible=False)
    axes.set_aspect("equal")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(edges[0], edges[-1]))
    if not counts.sum():
        empty_note(axes, "no direction relative to a pointing")
        return
    shown = np.where(counts > 0, counts, np.nan)
    axes.pcolormesh(edges, edges, shown.T, cmap=SEQUENTIAL, vmin=0, vmax=top, rasterized=True)
    axes.plot(0, 0, "+", color=ORANGE, markersize=12, markeredgewidth=1.8)
