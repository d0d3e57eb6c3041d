"""Figures of sub-images and sky images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from cherenkov_pipeline.alerts.images import CAUSES, CENTER, MISSING, SIZE, SOURCE, SubImages
from cherenkov_pipeline.alerts.service.pictures import NO_DATA, SEQUENTIAL
from cherenkov_pipeline.alerts.simulation.events import Source
from cherenkov_pipeline.alerts.simulation.frames import Peak
from cherenkov_pipeline.alerts.simulation.instrument import SKY, coding_fraction
from cherenkov_pipeline.performance.plots.style import AMBER, INK, MUTED, empty_note, new_figure, styled

_LOWEST = -3.0
"""Signal to noise at the dark end of the colors."""
_COLORS = LinearSegmentedColormap.from_list("sub_images", SEQUENTIAL).with_extremes(bad=NO_DATA)


@styled
def sample_sheet(images: SubImages, per_cause: int = 7) -> Figure:
    """Draw the first sub-images of each cause, one event each, a row a cause.

    Each picture has its own scale, up to its ``snr_max``; grey: no data; rings: known sources beside the trigger.

    Parameters
    ----------
    images : SubImages
        With ``cause``; with ``burst_id``, only the first alert of each burst is drawn.
    per_cause : int
    """
    table = images.table
    causes = [cause for cause in CAUSES if cause in set(table["cause"])] if "cause" in table.colnames else []
    if not causes:
        figure = new_figure()
        empty_note(figure.subplots(), "no sub-image whose cause is known")
        return figure
    figure = new_figure(width=1.35 * per_cause + 0.5, height=1.65 * len(causes) + 0.3)
    for row, cause in zip(figure.subplots(len(causes), per_cause, squeeze=False), causes, strict=True):
        chosen = np.flatnonzero(table["cause"] == cause)
        if "burst_id" in table.colnames:
            chosen = chosen[np.sort(np.unique(table["burst_id"][chosen], return_index=True)[1])]
        for at, axes in enumerate(row):
            axes.set_axis_off()
            if at < len(chosen):
                _sub_image(axes, images[chosen[at : at + 1]])
        name, left = cause.replace("_", " "), row[0]
        left.text(-0.08, 0.5, name, transform=left.transAxes, rotation=90, ha="right", va="center", fontsize=9)
    return figure


@styled
def judged_sheet(images: SubImages, captions: Sequence[str], per_row: int = 6) -> Figure:
    """Draw sub-images in the given order, each with a caption, as `sample_sheet` draws them.

    Parameters
    ----------
    images : SubImages
    captions : sequence of str
        One an image.
    per_row : int
    """
    if not len(images):
        figure = new_figure(height=1.2)
        empty_note(figure.subplots(), "no image")
        return figure
    n_rows = -(-len(images) // per_row)
    figure = new_figure(width=1.6 * per_row, height=2.15 * n_rows)
    for at, axes in enumerate(figure.subplots(n_rows, per_row, squeeze=False).flat):
        axes.set_axis_off()
        if at < len(images):
            _sub_image(axes, images[at : at + 1], captions[at])
    return figure


@styled
def sky_figure(snr: np.ndarray, peak: Peak, known: Sequence[Source] = (), least_coded: float = 0.0) -> Figure:
    """Draw a sky image, its field of full coding, the sub-image around its trigger, and known sources.

    Parameters
    ----------
    snr : ndarray
        (199, 199), signal to noise.
    peak : Peak
        Where it triggers.
    known : sequence of Source
        Known sources in the field.
    least_coded : float
        Pixels of a smaller coding fraction are drawn grey.
    """
    figure = new_figure(width=6.2, height=5.2)
    axes = figure.subplots()
    shown = np.where(coding_fraction() >= least_coded, snr, np.nan)
    drawn = axes.imshow(shown, origin="lower", cmap=_COLORS, vmin=_LOWEST, vmax=peak.snr)
    axes.contour(coding_fraction(), levels=[0.1, 0.5, 0.999], colors="white", linewidths=0.6, alpha=0.7)
    corner = peak.column - CENTER - 0.5, peak.row - CENTER - 0.5
    axes.add_patch(Rectangle(corner, SIZE, SIZE, fill=False, color=AMBER, linewidth=1.2))
    for source in known:
        axes.add_patch(Circle((source.column, source.row), 4, fill=False, color="white", linewidth=1))
    axes.set(xlim=(-0.5, SKY - 0.5), ylim=(-0.5, SKY - 0.5), xlabel="Column [pixel]", ylabel="Row [pixel]")
    axes.grid(visible=False)
    axes.set_title(
        f"Sky image: trigger of {peak.snr:.1f} at ({peak.row}, {peak.column}), standard deviation {peak.spread:.2f}",
        fontsize=10,
    )
    figure.colorbar(drawn, ax=axes, label="Signal to noise", shrink=0.9)
    return figure


def _sub_image(axes: Axes, images: SubImages, caption: str = "") -> None:
    """Draw the first image, by default with its numbers as caption."""
    row, codes = images.table[0], images.codes[0]
    axes.imshow(np.ma.masked_invalid(images.snr[0]), origin="lower", cmap=_COLORS, vmin=_LOWEST, vmax=row["snr_max"])
    if (codes == SOURCE).any():
        axes.contour(codes == SOURCE, levels=[0.5], colors="white", linewidths=0.7)
    axes.add_patch(Rectangle((-0.5, -0.5), SIZE, SIZE, fill=False, color=MUTED, linewidth=0.6))
    note = caption or f"{row['snr_max']:.1f}, std {row['snr_std']:.2f}"
    if not caption and "timescale" in row.colnames:
        note += f"\n{row['timescale']:.0f} s, {row['energy_band']}"
    color = INK if (codes != MISSING).any() else MUTED
    axes.set_title(note, fontsize=7, linespacing=1.2, color=color, pad=2)
