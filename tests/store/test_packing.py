import numpy as np
import pytest

from cherenkov_pipeline.store.packing import CHARGE_PRECISION, TIME_PRECISION, mean_time, pack, pixel_dtype, unpack


@pytest.fixture
def pixels():
    rng = np.random.default_rng(3)
    image = (rng.normal(0, 1, (20, 331)) * 10 ** rng.uniform(-3, 4, (20, 331))).astype(np.float32)
    peak_time = (rng.uniform(10, 500, (20, 1)) + rng.uniform(-28, 28, (20, 331))).astype(np.float32)
    return image, peak_time, rng.random((20, 331)) < 0.5


def test_precision(pixels):
    image, peak_time, image_mask = pixels
    packed = pack(image, peak_time, image_mask)
    found_image, found_time, found_mask = unpack(packed)
    assert (np.abs(found_image - image) <= 1.001 * CHARGE_PRECISION * np.abs(image) + 1e-7).all()
    assert np.abs(found_time - peak_time).max() <= TIME_PRECISION + 1e-4  # times lie within 32 ns of their mean
    np.testing.assert_array_equal(found_mask, image_mask)
    assert packed.nbytes / 20 <= 4 * 331 + 331 / 8 + 5 + 64
    assert found_image.dtype == found_time.dtype == np.float32
    assert found_mask.dtype == bool


def test_packing_twice_changes_nothing_more(pixels):
    once = unpack(pack(*pixels))
    for first, second in zip(once, unpack(pack(*once)), strict=True):
        np.testing.assert_allclose(second, first, atol=TIME_PRECISION)


def test_empty_cleaning_broken_pixels_and_huge_charges(pixels):
    image, peak_time, image_mask = (array.copy() for array in pixels)
    image_mask[0] = False
    peak_time[1] = np.nan
    image[2, :3] = np.nan, 1e9, -1e9
    found_image, found_time, _ = unpack(pack(image, peak_time, image_mask))
    assert np.abs(found_time[0] - peak_time[0]).max() <= 4 * TIME_PRECISION  # up to 62 ns from the mean
    assert np.isnan(found_time[1]).all()
    assert np.isnan(found_image[2, 0])
    assert found_image[2, 1:3].tolist() == [65504, -65504]
    assert np.isfinite(found_image[3:]).all()


def test_rows(pixels):
    packed = pack(*pixels)
    for whole, part in zip(unpack(packed), unpack(packed[np.array([5, 2])]), strict=True):
        np.testing.assert_array_equal(whole[[5, 2]], part)


def test_mean_time(pixels):
    _, peak_time, image_mask = (array.copy() for array in pixels)
    peak_time[0, image_mask[0]] = 7  # cleaned pixels alone
    image_mask[1] = False  # all pixels
    peak_time[2] = np.nan  # none
    peak_time[3, ~image_mask[3]], peak_time[3, np.flatnonzero(image_mask[3])[0]] = 50, np.nan
    found = mean_time(peak_time, image_mask)
    wanted = [7, peak_time[1].mean(dtype=float), 0, np.nanmean(peak_time[3, image_mask[3]], dtype=float)]
    np.testing.assert_allclose(found[:4], wanted, rtol=1e-6)


@pytest.mark.parametrize("n_pixels", [1, 7, 331, 1296, 1855])
def test_records(n_pixels):
    """Fields beside each other, each at a multiple of its size, in whole cache lines."""
    dtype = pixel_dtype(n_pixels)
    end = 0
    for name in ("image", "peak_time", "time_reference", "image_mask"):
        field, offset = dtype.fields[name]
        assert offset == end
        assert offset % field.base.itemsize == 0
        end += field.itemsize
    assert dtype.itemsize % 64 == 0
    assert 0 <= dtype.itemsize - end < 64


def test_size_of_an_image_of_digicam():
    assert pixel_dtype(1296).itemsize == 5376


def test_equal_images_are_equal_bytes(pixels):
    np.zeros(10**6).fill(7)  # what was in memory before
    assert pack(*pixels).tobytes() == pack(*pixels).tobytes()
    used = np.zeros(pixel_dtype(331).itemsize, dtype=bool)
    for field, offset in pixel_dtype(331).fields.values():
        used[offset : offset + field.itemsize] = True
    assert not pack(*pixels).view(np.uint8).reshape(20, -1)[:, ~used].any()


def test_infinite_values_are_not_large_ones(pixels):
    image, peak_time, image_mask = (array.copy() for array in pixels)
    image[0, :2], peak_time[0, :2] = [np.inf, -np.inf], [np.inf, -np.inf]
    for values in unpack(pack(image, peak_time, image_mask))[:2]:
        assert np.isnan(values[0, :2]).all()
        assert np.isfinite(values[0, 2:]).all()
