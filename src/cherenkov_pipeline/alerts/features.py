"""Numbers that describe a sub-image, chosen by hand: for forests, and for telling what is unlike all that was seen.

Numpy alone. A point source is a pyramid of 1, 0.69, 0.245 and 0 of its peak at 0, 1, 2 and 3 pixels in noise that is
alike everywhere; false alerts have other peaks, rows and columns of other levels, broad structures or second peaks.
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np

from cherenkov_pipeline.alerts.images import CENTER, MISSING, SIZE, SubImages

SOURCE_RADIUS = 5.0
"""Pixels around the trigger that hold its source; what is farther away is the surroundings."""

BLOCK = 7
"""Pixels a side of the blocks in which broad structures are seen: longer than the noise's correlation."""

CHUNK = 2048
"""Images that are described at once."""


def hand_features(images: SubImages) -> np.ndarray:
    """Describe sub-images.

    Parameters
    ----------
    images : SubImages

    Returns
    -------
    ndarray
        (n, `len(FEATURES)`) float32, finite: 0 where there is nothing to measure.
    """
    parts = [_describe(images[first : first + CHUNK]) for first in range(0, len(images), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros((0, len(FEATURES)), dtype=np.float32)


class _Measured:
    """Sub-images and what the features are made of; missing pixels are NaN."""

    def __init__(self, images: SubImages):
        usable = (images.codes != MISSING) & np.isfinite(images.snr)
        self.table = images.table
        self.snr = np.where(usable, images.snr, np.nan).astype(float)
        self.valid_fraction = usable.mean(axis=(1, 2))
        self.peak = np.nanmax(self.snr[:, _DISTANCE <= 2], axis=1, initial=0)
        self.around = np.where(_DISTANCE > SOURCE_RADIUS, self.snr, np.nan)
        self.std = np.nanstd(self.around, axis=(1, 2))

    def column(self, name: str) -> np.ndarray:
        """Of the table."""
        return np.asarray(self.table[name], dtype=float)

    def ring(self, inner: float, outer: float) -> np.ndarray:
        """Mean at these distances from the trigger, over the peak."""
        return np.nanmean(self.snr[:, (inner < _DISTANCE) & (outer >= _DISTANCE)], axis=1) / self.peak

    def moment(self, power: int) -> np.ndarray:
        """Standardised moment of the surroundings."""
        mean = np.nanmean(self.around, axis=(1, 2), keepdims=True)
        return np.nanmean((self.around - mean) ** power, axis=(1, 2)) / self.std**power

    def correlation(self, lag: int) -> np.ndarray:
        """Of surrounding pixels that lie ``lag`` apart, along rows and columns."""
        centered = self.around - np.nanmean(self.around, axis=(1, 2), keepdims=True)
        products = [
            np.nanmean(first * second, axis=(1, 2))
            for first, second in (
                (centered[:, lag:], centered[:, :-lag]),
                (centered[:, :, lag:], centered[:, :, :-lag]),
            )
        ]
        return np.mean(products, axis=0) / self.std**2

    def texture(self, axis: int) -> np.ndarray:
        """Deviation of the means of rows (2) or columns (1), over that of pixels."""
        return np.nanstd(np.nanmean(self.around, axis=axis), axis=1) / self.std

    def broad(self) -> np.ndarray:
        """Deviation of the means of blocks, over that of pixels."""
        blocks = self.around.reshape(-1, SIZE // BLOCK, BLOCK, SIZE // BLOCK, BLOCK)
        return np.nanstd(np.nanmean(blocks, axis=(2, 4)), axis=(1, 2)) / self.std


_DISTANCE = np.hypot(*(np.indices((SIZE, SIZE)) - CENTER))

_FEATURES: Mapping[str, Callable[[_Measured], np.ndarray]] = {
    "log_snr_max": lambda one: np.log(one.column("snr_max")),
    "log_snr_std": lambda one: np.log(one.column("snr_std")),
    "valid_fraction": lambda one: one.valid_fraction,
    "log_peak": lambda one: np.log(one.peak),
    "peak_over_std": lambda one: one.peak / one.std,
    "ring_1": lambda one: one.ring(0, 1.2),
    "ring_2": lambda one: one.ring(1.2, 2.3),
    "ring_4": lambda one: one.ring(2.3, SOURCE_RADIUS),
    "second_peak": lambda one: np.nanmax(one.around, axis=(1, 2), initial=0) / one.peak,
    "deepest": lambda one: np.nanmin(one.around, axis=(1, 2), initial=0) / one.peak,
    "std": lambda one: one.std,
    "skewness": lambda one: one.moment(3),
    "kurtosis": lambda one: one.moment(4),
    "correlation_1": lambda one: one.correlation(1),
    "correlation_4": lambda one: one.correlation(4),
    "correlation_8": lambda one: one.correlation(8),
    "row_texture": lambda one: one.texture(2),
    "column_texture": lambda one: one.texture(1),
    "broad": lambda one: one.broad(),
}

FEATURES = tuple(_FEATURES)
"""Names of the features, in the order of the columns."""


def _describe(images: SubImages) -> np.ndarray:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy's, of means over nothing
        measured = _Measured(images)
        columns = [feature(measured) for feature in _FEATURES.values()]
    return np.nan_to_num(np.stack(columns, axis=1), nan=0, posinf=0, neginf=0).astype(np.float32)
