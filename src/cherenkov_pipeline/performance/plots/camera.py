"""Pixels of cameras as polygons, and images of single events with what was made of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from cherenkov_pipeline.directions import from_camera
from cherenkov_pipeline.performance.plots.style import (
    GREEN,
    GRID,
    INK,
    MUTED,
    ORANGE,
    SEQUENTIAL,
    empty_note,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

_CORNERS = {"hexagon": 6, "square": 4, "circle": 12}
_MARGIN = 0.45
"""About image and marks, deg."""
_SMALLEST, _LARGEST = 1.3, 6.5
"""Half the width of a picture, deg."""
_WIDEST = 1.0
"""Largest radius for which there is room, deg."""
_COLUMNS = 2
"""Pictures side by side."""
_NOISE = 0.2
"""Opacity of pixels that did not survive the cleaning."""

TRUE, RECO, OTHER = "true", "reconstructed", "other side"


@dataclass(frozen=True)
class Mark:
    """A direction in the telescope frame, with the radius of its error or NaN, deg."""

    lon: float
    lat: float
    radius: float = np.nan


@dataclass(frozen=True)
class Panel:
    """The picture of one event.

    Attributes
    ----------
    title : str
    camera : ctapipe.instrument.CameraGeometry
        In the camera frame, with its focal length.
    image : ndarray
        (n_pixels,), p.e.
    mask : ndarray of bool
        (n_pixels,), pixels that survived the cleaning.
    axis : tuple of float or None
        Longitude and latitude of the image's centroid in the telescope frame and angle of its main axis, deg.
    marks : mapping of str to Mark
        `TRUE`, `RECO` and `OTHER`, those that there are.
    """

    title: str
    camera: "CameraGeometry"
    image: np.ndarray
    mask: np.ndarray
    axis: tuple[float, float, float] | None = None
    marks: Mapping[str, Mark] = field(default_factory=dict)


def pixel_corners(camera: "CameraGeometry") -> np.ndarray:
    """Corners of the pixels in the camera's own frame [m]: (n_pixels, n_corners, 2)."""
    n = _CORNERS[camera.pix_type.value]
    radius = 0.5 * camera.pixel_width.to_value("m") / np.cos(np.pi / n)
    angles = camera.pix_rotation.to_value("rad") + np.pi / n + 2 * np.pi * np.arange(n) / n
    centres = np.stack([camera.pix_x.to_value("m"), camera.pix_y.to_value("m")], axis=-1)
    return centres[:, None] + radius[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


@styled
def event_panels(panels: Sequence[Panel]) -> Figure:
    """Draw events side by side, each as large as its image and its directions need.

    The frame is the telescope's: longitude to the right, latitude upwards. Directions beyond the largest picture are
    drawn at its edge.

    Parameters
    ----------
    panels : sequence of Panel
    """
    n_rows = max(1, -(-len(panels) // _COLUMNS))
    figure = new_figure(width=2.6 * _COLUMNS, height=3.0 * n_rows + 0.6)
    if not panels:
        axes = figure.subplots()
        axes.set_axis_off()
        empty_note(axes, "no such event with an image")
        return figure
    places = figure.subplots(n_rows, _COLUMNS, squeeze=False).flat
    for axes, panel in zip_longest(places, panels):
        _draw(axes, panel) if panel else axes.set_axis_off()
    _legend(figure, panels)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    corners = pixel_corners(panel.camera)
    frame = from_camera(corners[..., 0], corners[..., 1], panel.camera)
    corners = np.stack([frame.lon, frame.lat], axis=-1)
    low, size = _window(corners[panel.mask], panel)
    seen = ((corners.max(axis=1) > low) & (corners.min(axis=1) < low + size)).all(axis=1)
    charge = np.maximum(panel.image, 0)  # the darkest pixels are noise: the scale begins at none
    colors = SEQUENTIAL(np.sqrt(charge / max(float(charge.max()), 1.0)))
    colors[~panel.mask, 3] = _NOISE
    # hard edges: the picture is a third of the size
    axes.add_collection(PolyCollection(corners[seen], facecolors=colors[seen], antialiased=False, rasterized=True))
    axes.add_collection(PolyCollection(corners[seen & panel.mask], facecolors="none", edgecolors=MUTED, linewidths=0.4))
    if panel.axis:
        lon, lat, psi = panel.axis
        axes.axline((lon, lat), slope=np.tan(np.deg2rad(psi)), color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    for name, mark in panel.marks.items():
        _mark(axes, name, mark, low, size)
    axes.set(xlim=(low[0], low[0] + size), ylim=(low[1], low[1] + size), aspect="equal", xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=GRID)
    axes.set_title(panel.title, fontsize=9, linespacing=1.35)
    _scale(axes, panel.marks.values(), low, size)


def _window(image: np.ndarray, panel: Panel) -> tuple[np.ndarray, float]:
    """Lower left corner and width of a square with image and marks, deg."""
    points = [image.reshape(-1, 2)]
    for mark in panel.marks.values():
        radius = mark.radius if mark.radius < _WIDEST else 0
        points.append(np.array([(mark.lon, mark.lat)]) + np.array([[-radius], [radius]]))
    points = np.clip(np.concatenate(points), -_LARGEST + _MARGIN, _LARGEST - _MARGIN)
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.zeros(2))
    half = max(0.5 * float((high - low).max()) + _MARGIN, _SMALLEST)
    return 0.5 * (low + high) - half, 2 * half


def _mark(axes: Axes, name: str, mark: Mark, low: np.ndarray, size: float) -> None:
    lon, lat = np.clip((mark.lon, mark.lat), low + 0.02 * size, low + 0.98 * size)
    axes.plot(lon, lat, **_STYLES[name])
    if np.isfinite(mark.radius) and (lon, lat) == (mark.lon, mark.lat):
        style = "-" if name == RECO else (0, (5, 2))
        axes.add_patch(Circle((lon, lat), mark.radius, fill=False, color=GREEN, linewidth=1, linestyle=style))


def _scale(axes: Axes, marks: Iterable[Mark], low: np.ndarray, size: float) -> None:
    """Draw one degree, in the lower corner without a mark."""
    x, y = low + 0.04 * size
    if any(max(mark.lon - low[0], mark.lat - low[1]) < 0.3 * size for mark in marks):
        x += 0.92 * size - 1
    axes.plot([x, x + 1], [y, y], color=INK, linewidth=1.2, solid_capstyle="butt")
    axes.text(x + 0.5, y + 0.015 * size, "1°", ha="center", va="bottom", fontsize=8)


_STYLES = {
    TRUE: {
        "marker": "*",
        "color": ORANGE,
        "markersize": 12,
        "markeredgecolor": "white",
        "markeredgewidth": 0.7,
        "zorder": 4,
    },
    RECO: {"marker": "o", "color": GREEN, "markersize": 6.5, "markeredgecolor": "white", "markeredgewidth": 0.7},
    OTHER: {"marker": "o", "color": GREEN, "markersize": 6, "markerfacecolor": "white", "markeredgewidth": 1.2},
}


def _legend(figure: Figure, panels: Sequence[Panel]) -> None:
    shown = [name for name in _STYLES if any(name in panel.marks for panel in panels)]
    entries = [Line2D([], [], linestyle="none", label=name, **_STYLES[name]) for name in shown]
    if any(panel.axis for panel in panels):
        entries.append(Line2D([], [], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="main axis"))
    if entries:
        figure.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=9, columnspacing=1.2,
                      handletextpad=0.5)  # fmt: skip
