"""Pixels in few bytes: a record an image, 4 bytes and one bit a pixel.

Charge is kept as float16: relative error at most 2^-11 (0.05 %), greatest charge 65504 p.e. (larger ones are cut to
it). Peak time is kept as float16 relative to the image's own reference time: error at most 1/128 ns within 32 ns of
it, 1/32 ns within 128 ns. The cleaning mask takes one bit a pixel.
"""

import numpy as np

CHARGE_PRECISION = 2.0**-11
"""Greatest relative rounding error of a charge (above 6e-5 p.e.)."""

TIME_PRECISION = 2.0**-7
"""Greatest rounding error in ns of a time within 32 ns of the image's reference."""

ALIGNMENT = 64
"""Records are whole cache lines: a record is never in more of them than it must."""

_LARGEST = float(np.finfo(np.float16).max)


def pixel_dtype(n_pixels: int) -> np.dtype:
    """Type of a packed image.

    Returns
    -------
    numpy.dtype
        Fields ``image`` (n_pixels,) float16 [p.e.], ``peak_time`` (n_pixels,) float16 [ns after ``time_reference``],
        ``image_mask`` (ceil(n_pixels / 8),) uint8 (bits, the first pixel is the highest), ``time_reference``
        float32 [ns]. Each stands at a multiple of its size, the whole is a multiple of `ALIGNMENT`: 5376 bytes for
        1296 pixels.
    """
    n_mask = -(-n_pixels // 8)
    reference = 4 * n_pixels
    mask = reference + 4
    return np.dtype(
        {
            "names": ["image", "peak_time", "image_mask", "time_reference"],
            "formats": [(np.float16, n_pixels), (np.float16, n_pixels), (np.uint8, n_mask), np.float32],
            "offsets": [0, 2 * n_pixels, mask, reference],
            "itemsize": -(-(mask + n_mask) // ALIGNMENT) * ALIGNMENT,
        }
    )


def pack(image: np.ndarray, peak_time: np.ndarray, image_mask: np.ndarray) -> np.ndarray:
    """Pack images.

    Parameters
    ----------
    image, peak_time : ndarray
        (n, n_pixels), p.e. and ns. What is not finite becomes NaN.
    image_mask : ndarray
        (n, n_pixels) bool, pixels that survived the cleaning.

    Returns
    -------
    ndarray
        (n,) of `pixel_dtype`; the bytes between the fields are 0.
    """
    records = np.zeros(len(image), dtype=pixel_dtype(image.shape[1]))
    reference = mean_time(peak_time, image_mask)
    records["time_reference"] = reference
    records["image"] = _halved(image)
    records["peak_time"] = _halved(peak_time - reference[:, np.newaxis])
    records["image_mask"] = np.packbits(image_mask, axis=1)
    return records


def _halved(values: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(values), np.nan, np.clip(values, -_LARGEST, _LARGEST))


def unpack(records: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image [p.e.] and peak time [ns] as float32 and the cleaning mask as bool, each (n, n_pixels)."""
    image = records["image"].astype(np.float32)
    peak_time = records["peak_time"].astype(np.float32)
    peak_time += records["time_reference"][:, np.newaxis]
    image_mask = np.unpackbits(records["image_mask"], axis=1, count=image.shape[1]).view(bool)
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
