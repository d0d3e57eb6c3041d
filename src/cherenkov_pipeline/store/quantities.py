"""Quantities of single images by which new data are compared with those that a model was trained on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

if TYPE_CHECKING:
    from cherenkov_pipeline.store.chunks import EventChunk

INTENSITY = "hillas_intensity"

GRADIENT = "timing_slope"

OF_SHAPE = ("hillas_width", "hillas_length", "timing_deviation")
"""Image parameters, which depend on the particle, on the optics and on what the cleaning leaves."""

OF_PIXELS = ("pixel_level", "pixel_spread")
"""Level and noise of the pixels without light of the shower [p.e.], which hardly depend on the particle."""

LABELS: Mapping[str, str] = {
    "hillas_width": "width",
    "hillas_length": "length",
    "timing_deviation": "scatter of the times",
    "pixel_level": "level of dark pixels",
    "pixel_spread": "noise of dark pixels",
}
"""Names for readers."""

_LOW = 0.16


def given_quantities(table: Table) -> np.ndarray:
    """Take what the energy and the distance of a shower change most: (n, 2), log10 of the intensity [p.e.] and
    ln(1 + |time gradient|); not finite where an image has none, 0 for gradients in a table without them.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        intensity = np.log10(np.asarray(table[INTENSITY], dtype=float))
    if GRADIENT not in table.colnames:
        return np.stack([intensity, np.zeros(len(table))], axis=1)
    return np.stack([intensity, np.log1p(np.abs(np.asarray(table[GRADIENT], dtype=float)))], axis=1)


def image_quantities(chunk: "EventChunk") -> dict[str, np.ndarray]:
    """Measure the quantities of some images.

    Level and noise of the dark pixels are the median of all pixels, and its distance to their 16 % quantile: the few
    per cent of the pixels with light of the shower change neither.

    Parameters
    ----------
    chunk : EventChunk
        n images.

    Returns
    -------
    dict of str to ndarray
        (n,) each, those of `OF_SHAPE` that there are and `OF_PIXELS`; NaN where the image has no such value.
    """
    table = chunk.table
    shape = {name: np.asarray(table[name], dtype=float) for name in OF_SHAPE if name in table.colnames}
    low, half = (int(share * chunk.image.shape[1]) for share in (_LOW, 0.5))
    ordered = np.sort(chunk.image, axis=1)  # vectorised in numpy, and faster than a partition
    level = ordered[:, half].astype(float)
    return {**shape, "pixel_level": level, "pixel_spread": level - ordered[:, low]}
