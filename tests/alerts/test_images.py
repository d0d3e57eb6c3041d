import numpy as np
import pytest
from astropy.table import Table

from cherenkov_pipeline.alerts.images import (
    BACKGROUND,
    CENTER,
    MISSING,
    SIZE,
    SOURCE,
    TRIGGER,
    SubImages,
    own_numbers,
    place,
)
from cherenkov_pipeline.errors import UserError


def _image(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_complete_image_stays_as_it_is():
    image = _image((SIZE, SIZE))
    snr, codes = place(image, (CENTER, CENTER))
    np.testing.assert_array_equal(snr, image.astype(np.float32))
    assert (codes != MISSING).all()
    assert codes[CENTER, CENTER] == TRIGGER
    assert np.count_nonzero(codes == BACKGROUND) == SIZE**2 - 1


@pytest.mark.parametrize("shape", [(56, 40), (17, 56), (1, 1), (80, 90), (3, 200)])
@pytest.mark.parametrize("where", [(0, 0), (0.5, 0.5), (0.99, 0.99)])
def test_trigger_is_in_the_middle_and_every_near_pixel_beside_it(shape, where):
    image = _image(shape)
    trigger = tuple(int(size * share) for size, share in zip(shape, where, strict=True))
    snr, codes = place(image, trigger)
    expected = np.full((SIZE, SIZE), np.nan, dtype=np.float32)
    for row in range(shape[0]):
        for column in range(shape[1]):
            at = CENTER + row - trigger[0], CENTER + column - trigger[1]
            if min(at) >= 0 and max(at) < SIZE:
                expected[at] = image[row, column]
    np.testing.assert_array_equal(snr, expected)
    np.testing.assert_array_equal(codes == MISSING, np.isnan(expected))


def test_brightest_usable_pixel_is_the_trigger_where_none_is_named():
    image = _image((30, 40))
    image[3, 4], image[20, 10] = 50, 20
    usable = np.ones(image.shape, dtype=bool)
    usable[3, 4] = False
    snr, codes = place(image, usable=usable)
    assert snr[CENTER, CENTER] == 20
    assert codes[CENTER - 17, CENTER - 6] == MISSING


def test_complete_images_have_their_trigger_in_the_middle():
    """A known source may be brighter."""
    image = _image((SIZE, SIZE))
    image[CENTER, CENTER], image[10, 40] = 9, 30
    snr, codes = place(image)
    np.testing.assert_array_equal(snr, image.astype(np.float32))
    assert own_numbers(snr, codes)[0] == 9
    image[CENTER, CENTER] = np.nan
    assert place(image)[0][CENTER, CENTER] == 30


def test_numbers_that_do_not_belong_to_the_image_are_seen():
    image = _image((SIZE, SIZE))
    image[CENTER, CENTER + 1] = 12  # a pixel beside
    snr, codes = place(image)
    dark = np.where(codes == MISSING, np.nan, -1).astype(np.float32)
    table = Table({"image_id": list("abcde"), "snr_max": [12.0, 6.0, 36.0, 12.0, np.nan], "snr_std": np.ones(5)})
    images = SubImages(np.stack([snr, snr, snr, dark, snr]), np.stack([codes] * 5), table)
    np.testing.assert_allclose(images.snr_mismatch, [1, 2, 3, np.inf, np.inf])


def test_other_sources_have_their_code_but_not_where_data_are_missing():
    image = _image((SIZE, SIZE))
    image[10, 10] = np.nan
    _, codes = place(image, (CENTER, CENTER), sources=[(10, 11), (CENTER, CENTER + 1)])
    assert codes[10, 11] == SOURCE
    assert codes[10, 10] == MISSING
    assert codes[10, 15] == BACKGROUND
    assert codes[CENTER, CENTER] == TRIGGER


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros(56), "table of numbers"),
        (np.zeros((2, 3, 4)), "table of numbers"),
        (np.full((5, 5), "a"), "table of numbers"),
        (np.zeros((0, 56)), "pixels a side"),
        (np.zeros((1, 5000)), "pixels a side"),
        (np.full((56, 56), np.nan), "finite"),
    ],
)
def test_what_is_no_image_is_refused(image, problem):
    with pytest.raises(UserError, match=problem):
        place(image)


def test_trigger_outside_is_refused():
    with pytest.raises(UserError, match="within"):
        place(np.zeros((5, 6)), (5, 0))


def test_own_numbers_are_of_trigger_and_usable_pixels():
    image = _image((SIZE, 40))
    image[3, 4], image[5, 6], image[CENTER, CENTER] = 30, 20, 9  # not usable, another source, the trigger
    usable = np.ones(image.shape, dtype=bool)
    usable[3, :20] = False
    placed = place(image, (CENTER, CENTER), usable, sources=[(5, 6)])
    expected = np.float32(image[usable]).astype(float)
    assert own_numbers(*placed) == pytest.approx((9, expected.std()))
    codes = placed[1].copy()
    codes[CENTER - 1 : CENTER + 2, CENTER - 1 : CENTER + 2] = MISSING
    assert own_numbers(placed[0], codes)[0] == 20
    assert np.isnan(own_numbers(placed[0], np.full((SIZE, SIZE), MISSING))).all()


def test_rows_are_chosen_together():
    placed = [place(_image(shape), None) for shape in ((56, 56), (20, 56), (56, 30))]
    table = Table({"image_id": ["a", "b", "c"], "snr_max": [1.0, 2.0, 3.0], "snr_std": [1.0, 1.0, 1.0]})
    images = SubImages(np.stack([snr for snr, _ in placed]), np.stack([codes for _, codes in placed]), table)
    chosen = images[np.array([2, 1])]
    assert list(chosen.table["image_id"]) == ["c", "b"]
    np.testing.assert_array_equal(chosen.snr[0], images.snr[2])
    assert not chosen.is_complete.any()
    assert (chosen.valid_fraction <= [30 / 56, 20 / 56]).all()


def test_parts_that_do_not_fit_are_refused():
    table = Table({"image_id": ["a"], "snr_max": [1.0], "snr_std": [1.0]})
    image = np.zeros((1, SIZE, SIZE), dtype=np.float32)
    with pytest.raises(ValueError, match="codes"):
        SubImages(image, image[:, :3], table)
    with pytest.raises(ValueError, match="snr_std"):
        SubImages(image, image, table["image_id", "snr_max"])
