"""Pixels as networks read them: one definition of every channel, for packed records and for images of DL1 files.

A charge or time that is not finite counts as 0. The kernels work on the bits of float16, which numba does not know:
a finite one becomes float32 by moving its exponent and mantissa 13 bits up and a multiplication by 2^112, exactly.
"""

from collections.abc import Sequence
from typing import get_args

import numba
import numpy as np

from cherenkov_pipeline.store.packing import mean_time
from cherenkov_pipeline.store.parameters import Channel

_CLEANED = 4
"""Added to the number of a kind of channel where only cleaned pixels count."""

_IMAGE, _LOG_IMAGE, _PEAK_TIME, _RELATIVE_PEAK_TIME = range(_CLEANED)

_NUMBERS: dict[Channel, int] = {name: number for number, name in enumerate(get_args(Channel))}

_SIGN, _REST, _EXPONENT = np.uint32(0x8000), np.uint32(0x7FFF), np.uint32(0x7C00)
_UP_SIGN, _UP_REST = np.uint32(16), np.uint32(13)
_BIAS = np.float32(2.0**112)


def channels_of_records(records: np.ndarray, rows: np.ndarray, channels: Sequence[Channel]) -> np.ndarray:
    """Channels of packed images.

    Parameters
    ----------
    records : ndarray
        Contiguous, of `~cherenkov_pipeline.store.packing.pixel_dtype`.
    rows : ndarray of int
        (n,), positions in ``records``; -1 is an image without any light.
    channels : sequence of str

    Returns
    -------
    ndarray
        (n, n_pixels, n_channels) float32, finite.
    """
    n_pixels = records.dtype["image"].shape[0]
    pixels = np.empty((len(rows), n_pixels, len(channels)), dtype=np.float32)
    _fill_from_records(*_parts(records), rows, _numbers(channels), pixels)
    return pixels


def channels_of_images(
    image: np.ndarray, peak_time: np.ndarray, image_mask: np.ndarray, channels: Sequence[Channel]
) -> np.ndarray:
    """Channels of images in ordinary numbers, each (n, n_pixels); otherwise as `channels_of_records`."""
    pixels = np.empty((*image.shape, len(channels)), dtype=np.float32)
    _fill_from_images(image, peak_time, image_mask, mean_time(peak_time, image_mask), _numbers(channels), pixels)
    return pixels


def unpack_rows(records: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Charge [p.e.], relative time [ns] and cleaning mask of packed images.

    Parameters
    ----------
    records, rows
        As for `channels_of_records`.

    Returns
    -------
    charge, relative_time : ndarray
        (n, n_pixels) float32, finite.
    image_mask : ndarray
        (n, n_pixels) bool.
    """
    shape = (len(rows), records.dtype["image"].shape[0])
    charge, relative = (np.empty(shape, dtype=np.float32) for _ in range(2))
    image_mask = np.empty(shape, dtype=np.bool_)
    words, octets, _, first_time, first_mask, _ = _parts(records)
    _unpack_rows(words, octets, first_time, first_mask, rows, charge, relative, image_mask)
    return charge, relative, image_mask


def finite_images(image: np.ndarray, peak_time: np.ndarray, image_mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Charge [p.e.] and relative time [ns] of images in ordinary numbers, as `unpack_rows` gives them."""
    channels = channels_of_images(image, peak_time, image_mask, ("image", "relative_peak_time"))
    return np.ascontiguousarray(channels[..., 0]), np.ascontiguousarray(channels[..., 1])


def _numbers(channels: Sequence[Channel]) -> np.ndarray:
    return np.array([_NUMBERS[name] for name in channels], dtype=np.int64)


def _parts(records: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int]:
    """Give views of records in contiguous memory, a row an image, and where its parts begin.

    Contiguous views rather than the fields themselves: only those let the compiler use vector instructions.

    Returns
    -------
    words, octets, references : ndarray
        The records as uint16, uint8 and float32.
    time, mask, reference : int
        First element of the times in ``words``, of the mask in ``octets``; element of the time reference in
        ``references``. The charges come first.
    """
    n, fields = len(records), records.dtype.fields
    return (
        *(records.view(kind).reshape(n, -1) for kind in (np.uint16, np.uint8, np.float32)),
        fields["peak_time"][1] // 2,
        fields["image_mask"][1],
        fields["time_reference"][1] // 4,
    )


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _fill_from_records(words, octets, references, first_time, first_mask, reference, rows, numbers, pixels):
    n_pixels = pixels.shape[1]
    charge = np.empty(n_pixels, dtype=np.float32)
    time, relative = charge.copy(), charge.copy()
    image_mask = np.empty(n_pixels, dtype=np.bool_)
    masked = (numbers >= _CLEANED).any()
    for index in range(len(rows)):
        row = rows[index]
        if row < 0:
            pixels[index] = 0
            continue
        _unpack_times(words[row][first_time : first_time + n_pixels], references[row, reference], time, relative)
        _to_float32(words[row][:n_pixels], charge)
        if masked:
            _unpack_mask(octets[row][first_mask:], image_mask)
        _fill(charge, time, relative, image_mask, numbers, pixels[index])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _fill_from_images(images, peak_times, image_masks, references, numbers, pixels):
    n_pixels = pixels.shape[1]
    charge, time, relative = np.empty((3, n_pixels), dtype=np.float32)
    for index in range(len(images)):
        for pixel in range(n_pixels):
            q, t = images[index, pixel], peak_times[index, pixel]
            charge[pixel] = q if np.isfinite(q) else 0
            time[pixel] = t if np.isfinite(t) else 0
            relative[pixel] = t - references[index] if np.isfinite(t) else 0
        _fill(charge, time, relative, image_masks[index], numbers, pixels[index])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _unpack_rows(words, octets, first_time, first_mask, rows, charge, relative, image_mask):
    n_pixels = charge.shape[1]
    for index in range(len(rows)):
        row = rows[index]
        if row < 0:
            charge[index], relative[index], image_mask[index] = 0, 0, False
        else:
            _to_float32(words[row][:n_pixels], charge[index])
            _to_float32(words[row][first_time : first_time + n_pixels], relative[index])
            _unpack_mask(octets[row][first_mask:], image_mask[index])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _unpack_times(halves, reference, time, relative):
    """Unpack the times of one image; the reference is the mean time that relative times are counted from."""
    _to_float32(halves, relative)
    for pixel in range(len(time)):
        missing = (np.uint32(halves[pixel]) & _EXPONENT) == _EXPONENT
        time[pixel] = np.float32(0) if missing else relative[pixel] + reference


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _unpack_mask(octets, image_mask):
    for pixel in range(len(image_mask)):
        image_mask[pixel] = (octets[pixel >> 3] >> (7 - (pixel & 7))) & 1


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _to_float32(halves, values):
    bits = values.view(np.uint32)
    for i in range(len(halves)):
        half = np.uint32(halves[i])
        finite = (half & _EXPONENT) != _EXPONENT
        bits[i] = ((half & _SIGN) << _UP_SIGN | (half & _REST) << _UP_REST) if finite else np.uint32(0)
    for i in range(len(values)):
        values[i] *= _BIAS


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _fill(charge, time, relative, image_mask, numbers, pixels):
    """Fill the channels of one image (n_pixels, n_channels): what each of them is, is said here alone."""
    for channel in range(len(numbers)):
        kind = numbers[channel] % _CLEANED
        everywhere = numbers[channel] < _CLEANED
        if kind == _LOG_IMAGE:
            for pixel in range(len(charge)):
                used = everywhere or image_mask[pixel]
                q = charge[pixel]
                pixels[pixel, channel] = np.copysign(np.log10(1 + abs(q)), q) if used else np.float32(0)
            continue
        values = charge if kind == _IMAGE else (time if kind == _PEAK_TIME else relative)
        if everywhere:
            for pixel in range(len(values)):
                pixels[pixel, channel] = values[pixel]
        else:
            for pixel in range(len(values)):
                pixels[pixel, channel] = values[pixel] if image_mask[pixel] else np.float32(0)
