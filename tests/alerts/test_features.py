import numpy as np
import pytest
from astropy.table import Table
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.augmentation import ORIENTATIONS, turned
from cherenkov_pipeline.alerts.features import FEATURES, hand_features
from cherenkov_pipeline.alerts.images import BACKGROUND, CENTER, MISSING, SIZE, SubImages


def _of(snr, codes=None):
    codes = np.full(snr.shape, BACKGROUND, np.uint8) if codes is None else codes
    n = len(snr)
    return SubImages(snr, codes, Table({"image_id": np.arange(n), "snr_max": np.ones(n), "snr_std": np.ones(n)}))


def test_point_source_in_noise_is_described():
    rows, columns = np.indices((SIZE, SIZE)) - CENTER
    source = 20 * np.maximum(0, 1 - np.hypot(rows, columns) / 3)
    noise = np.random.default_rng(0).normal(size=(4, SIZE, SIZE))
    noise[:, 10, 10] = 10
    values = dict(zip(FEATURES, hand_features(_of((noise + source).astype(np.float32))).T, strict=True))
    np.testing.assert_allclose(np.exp(values["log_peak"]), 20, rtol=0.15)
    np.testing.assert_allclose(values["ring_1"], 2 / 3, atol=0.12)
    np.testing.assert_allclose(values["second_peak"], 0.5, atol=0.1)
    np.testing.assert_allclose(values["std"], 1, rtol=0.06)
    np.testing.assert_allclose(values["valid_fraction"], 1)
    np.testing.assert_allclose(values["row_texture"], 1 / np.sqrt(SIZE), rtol=0.4)


def test_textures_and_correlations_tell_rows_from_columns():
    image = np.random.default_rng(0).normal(size=(1, SIZE, SIZE)) + 2 * np.sign(np.sin(np.arange(SIZE) / 3))[:, None]
    one, other = hand_features(_of(np.concatenate([image, image.transpose(0, 2, 1)]).astype(np.float32)))
    names = list(FEATURES)
    row, column = names.index("row_texture"), names.index("column_texture")
    assert one[row] > 4 * one[column]
    np.testing.assert_allclose(one[[row, column]], other[[column, row]], rtol=1e-5)
    assert one[names.index("correlation_1")] > 0.3


def test_orientation_changes_nothing_but_rows_against_columns():
    """Turned about the trigger: a frame of one row and column more keeps it in the middle."""
    images = np.random.default_rng(0).normal(size=(2, SIZE + 1, SIZE + 1)).astype(np.float32)
    images[:, [0, -1]] = images[:, :, [0, -1]] = np.nan
    images[:, CENTER, CENTER] = 30
    expected = hand_features(_of(images[:, :SIZE, :SIZE]))
    texture = [FEATURES.index(name) for name in ("row_texture", "column_texture")]
    block = FEATURES.index("broad")  # blocks are not laid about the trigger
    for number in range(1, ORIENTATIONS):
        found = hand_features(_of(turned(images, number)[:, :SIZE, :SIZE]))
        if number % 2:
            found[:, texture] = found[:, texture[::-1]]
        np.testing.assert_allclose(np.delete(found, block, 1), np.delete(expected, block, 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("left", [0, 1, 5])
def test_almost_empty_images_have_finite_features(left):
    images = toy_images(3)
    images.codes[:] = MISSING
    images.codes[:, CENTER, CENTER - left + 1 : CENTER + 1] = BACKGROUND
    assert np.isfinite(hand_features(images)).all()


def test_missing_values_do_not_count():
    images = toy_images(4)
    images.codes[:, :10] = MISSING
    before = hand_features(images)
    images.snr[:, :10] = 1e6
    np.testing.assert_array_equal(hand_features(images), before)


def test_no_images_have_no_rows():
    assert hand_features(toy_images(2)[:0]).shape == (0, len(FEATURES))
