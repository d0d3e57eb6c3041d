"""Pixels in few bytes: 4 bytes and one bit a pixel.

Charge is kept as float16: relative error at most 2^-11 (0.05 %), greatest charge 65504 p.e. (larger ones are cut to
it). Peak time is kept as float16 relative to the image's own reference time: error at most 1/128 ns within 32 ns of
it, 1/32 ns within 128 ns. The cleaning mask takes one bit a pixel.
"""

from dataclasses import dataclass

import numpy as np

CHARGE_PRECISION = 2.0**-11
"""Greatest relative rounding error of a charge (above 6e-5 p.e.)."""

TIME_PRECISION = 2.0**-7
"""Greatest rounding error in ns of a time within 32 ns of the image's reference."""

_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class PackedPixels:
    """Pixels of n images as the store keeps them.

    Attributes
    ----------
    image, peak_time : ndarray
        (n, n_pixels) float16: p.e., and ns relative to ``time_reference``.
    image_mask : ndarray
        (n, ceil(n_pixels / 8)) uint8, packed bits.
    time_reference : ndarray
        (n,) float32, ns.
    """

    image: np.ndarray
    peak_time: np.ndarray
    image_mask: np.ndarray
    time_reference: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: slice | np.ndarray) -> "PackedPixels":
        """Rows by slice, mask or indices."""
        return PackedPixels(self.image[rows], self.peak_time[rows], self.image_mask[rows], self.time_reference[rows])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(array.nbytes for array in (self.image, self.peak_time, self.image_mask, self.time_reference))


def pack(image: np.ndarray, peak_time: np.ndarray, image_mask: np.ndarray) -> PackedPixels:
    """Pack images (n, n_pixels): charge in p.e., time in ns, cleaning mask. NaN stays NaN."""
    reference = mean_time(peak_time, image_mask)
    return PackedPixels(
        np.clip(image, -_LARGEST, _LARGEST).astype(np.float16),
        np.clip(peak_time - reference[:, np.newaxis], -_LARGEST, _LARGEST).astype(np.float16),
        np.packbits(image_mask, axis=1),
        reference,
    )


def unpack(pixels: PackedPixels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image [p.e.] and peak time [ns] as float32 and the cleaning mask as bool, each (n, n_pixels)."""
    image = pixels.image.astype(np.float32)
    peak_time = pixels.peak_time.astype(np.float32)
    peak_time += pixels.time_reference[:, np.newaxis]
    image_mask = np.unpackbits(pixels.image_mask, axis=1, count=image.shape[1]).view(bool)
    return image, peak_time, image_mask


def mean_time(peak_time: np.ndarray, image_mask: np.ndarray) -> np.ndarray:
    """Mean time of each image's cleaned pixels, of all pixels where the cleaning left none.

    Parameters
    ----------
    peak_time : ndarray
        (n, n_pixels), ns; pixels without a finite time do not count.
    image_mask : ndarray
        (n, n_pixels) bool, pixels that survived the cleaning.

    Returns
    -------
    ndarray
        (n,) float32, ns; 0 where no time is finite.
    """
    finite = np.isfinite(peak_time)
    cleaned = image_mask & finite
    used = np.where(cleaned.any(axis=1, keepdims=True), cleaned, finite)
    total = np.sum(peak_time, axis=1, where=used, dtype=float)
    return (total / np.maximum(used.sum(axis=1), 1)).astype(np.float32)
