"""Figures of simulated showers: areas, light on the ground, sizes of images, images themselves."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import QTable
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.plots.camera import pixel_corners
from cherenkov_pipeline.performance.plots.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PALETTE,
    SEQUENTIAL,
    energy_axis,
    new_figure,
    plain_decades,
    styled,
)

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry


@styled
def effective_areas(areas: Mapping[str, QTable], limit: float) -> Figure:
    """Draw effective areas, simulated and official.

    Parameters
    ----------
    areas : mapping of str to QTable
        By the stage (after trigger, after cleaning): ``energy`` [TeV], ``area``, ``error`` and ``official`` [m2], NaN
        where there is none.
    limit : float
        Accepted relative deviation, drawn as a band about the official values.
    """
    figure = new_figure()
    axes = figure.subplots()
    for (name, table), color in zip(areas.items(), PALETTE, strict=False):
        energy, official = table["energy"].to_value("TeV"), table["official"].to_value("m2")
        known = np.isfinite(official)
        _limits(axes, energy[known], official[known], limit, color)
        axes.errorbar(
            energy,
            table["area"].to_value("m2"),
            table["error"].to_value("m2"),
            fmt="o",
            color=color,
            capsize=2.5,
            label=f"{name}, simulated here",
        )
        axes.plot(
            energy[known], official[known], "_", color=INK, markersize=16, label=f"{name}, official (±{limit:.0%})"
        )
    energy_axis(axes)
    axes.set_yscale("log")
    axes.set_xlim(0.5, 200)
    axes.set_ylabel("Effective area [m²]")
    axes.legend(loc="lower right")
    return figure


def _limits(axes: Axes, x: np.ndarray, official: np.ndarray, limit: float, color: str) -> None:
    low, high = (1 - limit) * official, (1 + limit) * official
    axes.vlines(x, low, high, color=color, linewidth=9, alpha=0.2)


@styled
def light_pool(pool: QTable) -> Figure:
    """Draw the Cherenkov light of a vertical gamma of 1 TeV on the ground.

    Parameters
    ----------
    pool : QTable
        ``distance`` [m], ``photons``, ``error`` and ``official`` [1/m2].
    """
    figure = new_figure()
    axes = figure.subplots()
    distance = pool["distance"].to_value("m")
    axes.errorbar(
        distance,
        pool["photons"].to_value("1/m2"),
        pool["error"].to_value("1/m2"),
        fmt="o-",
        color=BLUE,
        capsize=2.5,
        label="simulated here",
    )
    axes.plot(distance, pool["official"].to_value("1/m2"), "D--", color=MUTED, linewidth=1.4, label="official")
    axes.set(xlabel="Distance to the core [m]", ylabel="Photons per m² (300-550 nm)", ylim=(0, None))
    axes.legend(loc="upper right")
    return figure


@styled
def size_spectrum(rates: Mapping[str, QTable]) -> Figure:
    """Draw the rate of images by their intensity.

    Parameters
    ----------
    rates : mapping of str to QTable
        By the particle: ``log_intensity_low``, ``log_intensity_high``, ``rate`` and ``error`` per bin [Hz].
    """
    figure = new_figure()
    axes = figure.subplots()
    for (name, table), color in zip(rates.items(), PALETTE, strict=False):
        low, high = np.asarray(table["log_intensity_low"]), np.asarray(table["log_intensity_high"])
        edges, width = 10 ** np.append(low, high[-1]), high - low
        rate, error = (table[column].to_value("Hz") / width for column in ("rate", "error"))
        axes.stairs(rate, edges, color=color, linewidth=1.8, label=name)
        seen = rate > 0
        lower = np.minimum(error, 0.999 * rate)[seen]
        axes.errorbar(np.sqrt(edges[:-1] * edges[1:])[seen], rate[seen], (lower, error[seen]), fmt="none", color=color)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_decades(axes.xaxis)
    axes.set(xlabel="Intensity [p.e.]", ylabel="Rate per decade of intensity [Hz]")
    axes.legend(loc="upper right")
    return figure


@styled
def camera_gallery(
    geometry: "CameraGeometry", rows: Mapping[str, Sequence[tuple[str, np.ndarray]]], columns: int = 4
) -> Figure:
    """Draw camera images, a row for each kind.

    Parameters
    ----------
    geometry : ctapipe.instrument.CameraGeometry
        In the camera frame.
    rows : mapping of str to sequence of (title, image)
        By the kind (gammas, protons, muons); image of shape (n_pixels,) in p.e. Each has its own scale.
    columns : int
        Images in a row.
    """
    figure = new_figure(width=2.0 * columns, height=2.25 * len(rows))
    panels = figure.subplots(len(rows), columns, squeeze=False)
    corners = pixel_corners(geometry)
    for line, (kind, images) in zip(panels, rows.items(), strict=True):
        for axes in line:
            axes.set_axis_off()
            axes.set_aspect("equal")
        for axes, (title, image) in zip(line, images, strict=False):
            # the darkest pixels are noise: the scale begins at none
            pixels = PolyCollection(corners, array=np.maximum(image, 0), cmap=SEQUENTIAL, rasterized=True)
            pixels.set_clim(0, max(float(np.max(image)), 10.0))
            axes.add_collection(pixels)
            axes.autoscale_view()
            axes.set_title(title, fontsize=9)
        line[0].text(-0.04, 0.5, kind, transform=line[0].transAxes, rotation=90, va="center", ha="right", color=ORANGE)
    return figure
