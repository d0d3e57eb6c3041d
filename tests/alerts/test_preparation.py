import numpy as np
import pytest
from pydantic import ValidationError
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.features import hand_features
from cherenkov_pipeline.alerts.images import BACKGROUND, CENTER, MISSING, SIZE, SOURCE, TRIGGER
from cherenkov_pipeline.alerts.preparation import BY_HAND, PreparationParameters, prepare, resized
from cherenkov_pipeline.errors import UserError

IMAGES = toy_images()


def test_local_normalisation_divides_by_the_own_maximum_and_fills_with_zero():
    inputs = prepare(IMAGES, PreparationParameters())
    assert inputs["image"].shape == (len(IMAGES), SIZE, SIZE, 1)
    missing = IMAGES.codes == MISSING
    assert missing.any()
    assert (inputs["image"][..., 0][missing] == 0).all()
    expected = IMAGES.snr / np.asarray(IMAGES.table["snr_max"])[:, None, None]
    np.testing.assert_allclose(inputs["image"][..., 0][~missing], expected[~missing], rtol=1e-5)
    np.testing.assert_allclose(inputs["image"].max(axis=(1, 2, 3)), 1, rtol=1e-5)


def test_values_at_missing_pixels_count_for_nothing():
    images = IMAGES[:3]
    images.codes[1, 3:9, 4] = MISSING
    given = images.snr.copy()
    images.snr[1, 3:9, 4] = [np.nan, np.inf, -np.inf, 1e30, 50, -50]
    changed = prepare(images, PreparationParameters(mask="codes"))["image"]
    images.snr[:] = given
    np.testing.assert_array_equal(changed, prepare(images, PreparationParameters(mask="codes"))["image"])


def test_a_pixel_without_a_finite_value_is_missing_whatever_its_code():
    images = toy_images(2, incomplete=0)
    images.snr[0, 7, 8] = np.nan
    inputs = prepare(images, PreparationParameters(mask="codes"))["image"]
    np.testing.assert_array_equal(inputs[0, 7, 8], 0)
    assert np.isfinite(inputs).all()


def test_global_normalisation_divides_by_the_largest_of_the_training_images():
    parameters = PreparationParameters(normalization="global")
    with pytest.raises(ValueError, match="fitted"):
        prepare(IMAGES, parameters)
    fitted = parameters.fitted(IMAGES[:6])
    assert fitted.global_scale == pytest.approx(max(IMAGES.table["snr_max"][:6]))
    assert fitted.fitted(IMAGES) == fitted
    raw = prepare(IMAGES, PreparationParameters(normalization="none"))["image"]
    np.testing.assert_allclose(prepare(IMAGES, fitted)["image"], raw / fitted.global_scale, rtol=1e-6)
    np.testing.assert_array_equal(raw[..., 0][IMAGES.codes != MISSING], IMAGES.snr[IMAGES.codes != MISSING])
    with pytest.raises(ValidationError, match="no effect"):
        PreparationParameters(global_scale=3)


@pytest.mark.parametrize("mask", ["codes", "without_trigger"])
def test_mask_channel_holds_the_codes(mask):
    parameters = PreparationParameters(mask=mask)
    found = prepare(IMAGES, parameters)["image"][..., 1] * 3
    for code in (MISSING, BACKGROUND, SOURCE):
        np.testing.assert_allclose(found[IMAGES.codes == code], code, atol=1e-6)
    np.testing.assert_allclose(found[IMAGES.codes == TRIGGER], 3 if mask == "codes" else 1, atol=1e-6)
    assert parameters.channels == ("snr", "mask")


def test_other_sources_have_an_own_channel():
    parameters = PreparationParameters(mask="codes", other_source=True, size=112)
    inputs = prepare(IMAGES, parameters)
    assert inputs["image"].shape[1:] == parameters.shapes["image"] == (112, 112, 3)
    native = prepare(IMAGES, PreparationParameters(other_source=True))["image"]
    np.testing.assert_array_equal(native[..., 1], IMAGES.codes == SOURCE)
    assert native[..., 1].any()


def test_side_inputs_are_logarithms_each_switchable():
    both = prepare(IMAGES, PreparationParameters())["scalars"]
    np.testing.assert_allclose(both[:, 0], np.log(np.asarray(IMAGES.table["snr_max"]) / 10), rtol=1e-5)
    np.testing.assert_allclose(both[:, 1], np.log(np.asarray(IMAGES.table["snr_std"])), rtol=1e-5, atol=1e-7)
    for name, column in (("snr_max", 0), ("snr_std", 1)):
        parameters = PreparationParameters(**{"snr_max": False, "snr_std": False, name: True})
        np.testing.assert_array_equal(prepare(IMAGES, parameters)["scalars"], both[:, column : column + 1])
        assert parameters.shapes["scalars"] == (1,)
    by_hand = PreparationParameters(features=True)
    assert {name: values.shape[1:] for name, values in prepare(IMAGES, by_hand).items()} == by_hand.shapes
    np.testing.assert_array_equal(prepare(IMAGES, by_hand)[BY_HAND], hand_features(IMAGES))
    without = PreparationParameters(snr_max=False, snr_std=False)
    assert prepare(IMAGES, without).keys() == without.shapes.keys() == {"image"}


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_maximum_that_is_no_positive_number_is_refused_by_name(value):
    images = toy_images(4)
    images.table["snr_max"][2] = value
    with pytest.raises(UserError, match="snr_max of the sub-image image-2"):
        prepare(images, PreparationParameters())
    scalars = PreparationParameters(normalization="none", snr_max=False)
    assert np.isfinite(prepare(images, scalars)["image"]).all()


@pytest.mark.parametrize("size", [56, 112, 224, 100, 60, 28, 17])
def test_resized_as_tensorflow_does_with_antialias(size):
    from cherenkov_pipeline.models.backend import keras

    images = np.random.default_rng(0).normal(size=(2, SIZE, SIZE, 2)).astype(np.float32)
    expected = keras.ops.image.resize(images, (size, size), "bilinear", antialias=True)
    np.testing.assert_allclose(resized(images, size), expected, atol=2e-5)


def test_resizing_keeps_constants_mirrors_and_the_trigger_in_the_middle():
    images = np.ones((1, SIZE, SIZE, 1), dtype=np.float32)
    np.testing.assert_allclose(resized(images, 224), 1, atol=1e-6)
    point = np.zeros((1, SIZE, SIZE, 1))
    point[0, CENTER, CENTER] = 1
    enlarged = resized(point, 224)[0, ..., 0]
    rows, columns = np.nonzero(enlarged == enlarged.max())
    assert rows.mean() == columns.mean() == pytest.approx((CENTER + 0.5) * 4 - 0.5)
    images = np.random.default_rng(1).normal(size=(1, SIZE, SIZE, 1))
    np.testing.assert_allclose(resized(images[:, ::-1], 96), resized(images, 96)[:, ::-1], atol=1e-5)
