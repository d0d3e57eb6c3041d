import numpy as np
import pytest

from cherenkov_pipeline.store.packing import CHARGE_PRECISION, TIME_PRECISION, pack, unpack
from cherenkov_pipeline.store.pixels import channels_of_images, channels_of_records, finite_images, unpack_rows

CHANNELS = (
    "image", "log_image", "peak_time", "relative_peak_time",
    "cleaned_image", "cleaned_log_image", "cleaned_peak_time", "cleaned_relative_peak_time",
)  # fmt: skip
N_PIXELS = 331  # not a multiple of 8: the last byte of the mask is not full


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 2, (40, N_PIXELS)) + rng.exponential(1, (40, N_PIXELS)) ** 4
    mask = rng.random(image.shape) < 0.1
    mask[3] = False
    return image.astype(np.float32), rng.normal(35, 6, image.shape).astype(np.float32), mask


@pytest.fixture(scope="module")
def records(images):
    return pack(*images)


def test_channels_are_those_of_the_unpacked_images(images, records):
    """The kernel's own way from float16 to float32 is numpy's, to the last bit."""
    rows = np.random.default_rng(1).integers(len(records), size=90)
    channels = channels_of_records(records, rows, CHANNELS)
    image, peak_time, mask = unpack(records[rows])
    assert channels.dtype == np.float32
    np.testing.assert_array_equal(channels[..., 0], image)
    np.testing.assert_allclose(channels[..., 2], peak_time, atol=1e-5)
    for number in range(4):
        np.testing.assert_array_equal(channels[..., 4 + number], np.where(mask, channels[..., number], 0))
    charge, relative, found = unpack_rows(records, rows)
    np.testing.assert_array_equal(charge, image)
    np.testing.assert_array_equal(relative, channels[..., 3])
    np.testing.assert_array_equal(found, mask)


def test_every_float16(records):
    """All 65536 of them: exact where finite, 0 where not."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = np.resize(halves, (-(-(2**16) // N_PIXELS), N_PIXELS))
    every = np.zeros(len(halves), dtype=records.dtype)
    every["image"] = every["peak_time"] = halves
    expected = np.nan_to_num(halves.astype(np.float32), nan=0, posinf=0, neginf=0)
    channels = channels_of_records(every, np.arange(len(every)), ("image", "peak_time", "relative_peak_time"))
    for number in range(3):
        np.testing.assert_array_equal(channels[..., number], expected)


def test_records_and_images_agree_within_the_stated_precision(images, records):
    image, peak_time, _ = images
    stored = channels_of_records(records, np.arange(len(records)), CHANNELS)
    exact = channels_of_images(*images, CHANNELS)
    charge = CHARGE_PRECISION * np.abs(image) + 1e-7
    times = np.full_like(image, TIME_PRECISION + 1e-5)
    # the derivative of the logarithm is below 1 / ln(10) and that over the charge
    tolerance = np.stack([charge, np.minimum(charge, CHARGE_PRECISION) / np.log(10) + 1e-6, times, times] * 2, axis=-1)
    assert (np.abs(stored - exact) <= tolerance).all()
    assert np.abs(peak_time - 35).max() < 32  # where the stated precision of times holds


def test_order_and_choice_of_channels_do_not_matter(images, records):
    """Peers' fault 6: dl1-data-handler masks the peak times in place, and what comes after sees the masked ones."""
    rows = np.arange(len(records))
    for make in (
        lambda names: channels_of_records(records, rows, names),
        lambda names: channels_of_images(*images, names),
    ):
        together = make(CHANNELS)
        np.testing.assert_array_equal(make(CHANNELS[::-1]), together[..., ::-1])
        for number, name in enumerate(CHANNELS):
            np.testing.assert_array_equal(make((name,))[..., 0], together[..., number])


def test_nothing_is_changed(images, records):
    before, copies = records.tobytes(), [values.copy() for values in images]
    channels_of_records(records, np.arange(len(records)), CHANNELS)
    channels_of_images(*images, CHANNELS)
    assert records.tobytes() == before
    for values, copy in zip(images, copies, strict=True):
        np.testing.assert_array_equal(values, copy)


def test_empty_cleaning_mask_is_finite(images, records):
    """Peers' fault 6: a mean over no pixels is NaN there. Here the mean is over all pixels then."""
    image, peak_time, mask = images
    assert not mask[3].any()
    for channels in (
        channels_of_records(records, np.array([3]), CHANNELS),
        channels_of_images(image[3:4], peak_time[3:4], mask[3:4], CHANNELS),
    ):
        assert np.isfinite(channels).all()
        assert (channels[..., 4:] == 0).all()
        np.testing.assert_allclose(channels[0, :, 3].mean(), 0, atol=0.01)


def test_broken_pixels_count_as_zero(images):
    image, peak_time, mask = (values.copy() for values in images)
    image[0, :3], peak_time[0, 3:6], peak_time[1] = np.nan, np.nan, np.nan
    mask[:2, :10] = True
    both = (
        channels_of_images(image, peak_time, mask, CHANNELS),
        channels_of_records(pack(image, peak_time, mask), np.arange(40), CHANNELS),
    )
    for channels in both:
        assert np.isfinite(channels).all()
        assert (channels[0, 1, 0], channels[0, 3, 2], channels[0, 3, 3]) == (0, 0, 0)
        assert (channels[1, :, 2:4] == 0).all()
        assert (channels[0, 10:, 2] > 0).all()
    charge, relative = finite_images(image, peak_time, mask)
    np.testing.assert_array_equal(np.stack([charge, relative], -1), both[0][..., [0, 3]])


def test_a_missing_image_is_dark(records):
    rows = np.array([-1, 5, -1])
    channels = channels_of_records(records, rows, CHANNELS)
    assert (channels[[0, 2]] == 0).all()
    np.testing.assert_array_equal(channels[1:2], channels_of_records(records, rows[1:2], CHANNELS))
    charge, relative, mask = unpack_rows(records, rows)
    assert not any(values[[0, 2]].any() for values in (charge, relative, mask))
