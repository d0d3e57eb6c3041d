"""Sheets of sub-images."""

from collections.abc import Sequence

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cherenkov_pipeline.alerts.images import CAUSES, MISSING, SIZE, SOURCE, SubImages
from cherenkov_pipeline.alerts.service.pictures import NO_DATA, SEQUENTIAL
from cherenkov_pipeline.alerts.splits import groups
from cherenkov_pipeline.alerts.verdict import FALSE, NAMES, REAL
from cherenkov_pipeline.performance.plots.style import INK, MUTED, empty_note, new_figure, styled

LABELS = {True: NAMES[REAL], False: NAMES[FALSE]}
"""What the label of an image says."""
_LOWEST = -3.0
"""Signal to noise at the dark end of the colors."""
_COLORS = LinearSegmentedColormap.from_list("sub_images", SEQUENTIAL).with_extremes(bad=NO_DATA)


@styled
def sample_sheet(images: SubImages, per_row: int = 7) -> Figure:
    """Draw the first sub-images of each cause, one event each, a row a cause; where no cause is known, of each label.

    Each picture has its own scale, up to its ``snr_max``; grey: no data; rings: known sources beside the trigger.

    Parameters
    ----------
    images : SubImages
        Labelled. With ``burst_id``, only the first alert of each burst is drawn.
    per_row : int
    """
    kinds = _kinds(images.table)
    shown = [kind for kind in (*CAUSES, *LABELS.values()) if kind in set(kinds)]
    if not shown:
        figure = new_figure(height=1.2)
        empty_note(figure.subplots(), "no image")
        return figure
    figure = new_figure(width=1.35 * per_row + 0.5, height=1.65 * len(shown) + 0.3)
    for row, kind in zip(figure.subplots(len(shown), per_row, squeeze=False), shown, strict=True):
        chosen = np.flatnonzero(kinds == kind)
        if "burst_id" in images.table.colnames:
            bursts = groups(images.table)[chosen]
            chosen = chosen[np.sort(np.unique(bursts, return_index=True)[1])]
        for at, axes in enumerate(row):
            axes.set_axis_off()
            if at < len(chosen):
                _sub_image(axes, images[chosen[at : at + 1]])
        name, left = kind.replace("_", " "), row[0]
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


def _kinds(table: Table) -> np.ndarray:
    """Cause of each image, where it is known, or its label."""
    labels = np.where(np.asarray(table["is_real"], dtype=bool), LABELS[True], LABELS[False])
    if "cause" not in table.colnames:
        return labels
    return np.where(np.isin(table["cause"], CAUSES), table["cause"], labels)


def _sub_image(axes: Axes, images: SubImages, caption: str = "") -> None:
    """Draw the first image, by default with its numbers as caption."""
    row, codes = images.table[0], images.codes[0]
    axes.imshow(np.ma.masked_invalid(images.snr[0]), origin="lower", cmap=_COLORS, vmin=_LOWEST, vmax=row["snr_max"])
    if (codes == SOURCE).any():
        axes.contour(codes == SOURCE, levels=[0.5], colors="white", linewidths=0.7)
    axes.add_patch(Rectangle((-0.5, -0.5), SIZE, SIZE, fill=False, color=MUTED, linewidth=0.6))
    note = caption or f"SNR {row['snr_max']:.1f}, std {row['snr_std']:.2f}"
    is_known = {"timescale", "energy_band"} <= set(row.colnames) and images.table["timescale"].dtype.kind in "fiu"
    if not caption and is_known:
        note += f"\n{row['timescale']:.0f} s, {row['energy_band']}"
    color = INK if (codes != MISSING).any() else MUTED
    axes.set_title(note, fontsize=7, linespacing=1.2, color=color, pad=2)
