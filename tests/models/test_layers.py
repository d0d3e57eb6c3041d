import numpy as np
import pytest
from tests.store.toy_dl1 import geometry

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model
from cherenkov_pipeline.models.layers import HexagonalConv2D, MapPixels, Standardize, StandardizeByType, hexagon
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.store.mapping import image_mapping
from cherenkov_pipeline.tasks import TASKS


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).gamma(1, 5, (5, 331, 2)).astype(np.float32)


@pytest.mark.parametrize("name", ["axial", "bilinear", "bicubic"])
def test_the_network_maps_as_the_batches_do(pixels, name):
    mapping = image_mapping(geometry(), name)
    layer = MapPixels.of(mapping)
    images = keras.ops.convert_to_numpy(layer(pixels))
    np.testing.assert_allclose(images, mapping.map(pixels), atol=1e-4)
    assert layer.compute_output_shape((None, 331, 2)) == (None, *mapping.shape, 2)
    assert not layer.weights


def test_mapping_layer_is_saved_and_loaded(pixels, tmp_path):
    inputs = keras.Input((331, 2))
    model = keras.Model(inputs, MapPixels.of(image_mapping(geometry(), "bilinear"))(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again.predict_on_batch(pixels), model.predict_on_batch(pixels))


def test_an_input_is_scaled_in_single_precision():
    """Half precision ends at 65504, below the charge of a bright shower."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = Standardize([0.0], [70_000.0])
    finally:
        keras.config.set_dtype_policy("float32")
    scaled = keras.ops.convert_to_numpy(layer(np.array([[70_000.0]], dtype=np.float32)))
    np.testing.assert_array_equal(scaled, [[1]])


@pytest.mark.parametrize("shape", [(4, 3, 5, 2), (4, 3, 2)])
def test_each_type_has_its_scale_to_the_last_digit(shape, monkeypatch):
    """Graphics cards multiply matrices in TF32, of 10 bits: the scales must not go through that."""
    product = keras.ops.matmul

    def rounded(*matrices):
        return product(*(keras.ops.cast(keras.ops.cast(one, "bfloat16"), "float32") for one in matrices))

    monkeypatch.setattr(keras.ops, "matmul", rounded)
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(100, 1, (2, 2)).astype(np.float32), rng.uniform(1, 2, (2, 2)).astype(np.float32)
    values, number = rng.normal(100, 1, shape).astype(np.float32), rng.integers(2, size=shape[:2])
    types = np.eye(2, dtype=np.float32)[number]
    found = keras.ops.convert_to_numpy(StandardizeByType(mean, deviation)(values, types))
    inner = (slice(None), slice(None), *[np.newaxis] * (len(shape) - 3))
    np.testing.assert_allclose(found, (values - mean[number][inner]) / deviation[number][inner], rtol=1e-6)


def test_hexagon():
    assert hexagon(3).tolist() == [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    assert [hexagon(size).sum() for size in (1, 3, 5, 7)] == [1, 7, 19, 37]


@pytest.mark.parametrize("rotation", [0.0, 30.0, 90.0])
@pytest.mark.parametrize("size", [3, 5])
def test_hexagonal_convolution_sums_the_real_neighbours(pixels, rotation, size):
    """With weights of 1 it is the sum over all pixels at most one (two) steps away, by ctapipe's neighbour lists."""
    camera = geometry(rotation=rotation)
    mapping = image_mapping(camera, "axial")
    near = np.eye(331, dtype=int)
    for _ in range(size // 2):
        near = near + near @ camera.neighbor_matrix.astype(int) > 0
        near = near.astype(int)
    layer = HexagonalConv2D(1, size, padding="same", kernel_initializer="ones", use_bias=False)
    found = keras.ops.convert_to_numpy(layer(mapping.map(pixels[..., :1])))
    expected = mapping.map((pixels[..., 0] @ near)[..., None])
    in_camera = mapping.map(np.ones((1, 331, 1)))[0] > 0
    np.testing.assert_allclose(found[:, in_camera], expected[:, in_camera], rtol=1e-4)


def test_hexagonal_convolution_does_not_change_under_rotation_by_60_degrees():
    """A kernel that is the same in all six directions: turning the camera's image turns the result."""
    camera, turned = geometry(), geometry(rotation=60.0)
    x, y = camera.pix_x.value, camera.pix_y.value
    order = [int(np.hypot(x - a, y - b).argmin()) for a, b in zip(turned.pix_x.value, turned.pix_y.value, strict=True)]
    assert sorted(order) == list(range(331))
    mapping = image_mapping(camera, "axial")
    kernel = np.full((3, 3, 1, 1), 0.3)
    kernel[1, 1] = 2
    layer = HexagonalConv2D(1, 3, padding="same", activation="relu", use_bias=False)
    layer.build((None, *mapping.shape, 1))
    layer.set_weights([kernel])

    def convolved(values):
        image = keras.ops.convert_to_numpy(layer(mapping.map(values)))
        return (image.reshape(len(values), -1) @ mapping.table.toarray()) / mapping.table.toarray().sum(axis=0)

    values = np.random.default_rng(1).normal(size=(3, 331, 1)).astype(np.float32)
    np.testing.assert_allclose(convolved(values[:, order]), convolved(values)[:, order], atol=1e-5)


def test_hexagonal_kernel_keeps_its_shape_in_training(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), HexagonalConv2D(2, 3, activation="relu"), keras.layers.Flatten()])
    model.compile("sgd", "mse")
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 1))
    model.fit(images, np.ones((8, 72)), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    kernel = keras.ops.convert_to_numpy(again.layers[0].kernel)
    assert (kernel[0, 2] == 0).all()
    assert (kernel[2, 0] == 0).all()
    assert (kernel[1, 1] != 0).all()
    np.testing.assert_allclose(again.predict_on_batch(images), model.predict_on_batch(images), atol=1e-6)


def network(shapes, mapping, **options):
    keras.utils.set_random_seed(1)
    parameters = ModelParameters(options={"filters": [4, 8]} | options, head={"options": {"units": [8]}})
    return build_model(parameters, TASKS["energy"], shapes, Scales([0.3], [0.5]), mapping)


def test_single_tel_sees_the_same_whoever_maps(pixels):
    mapping = image_mapping(geometry(), "bilinear")
    in_batch = network({"image": (*mapping.shape, 2)}, mapping)
    in_network = network({"pixels": (331, 2)}, mapping)
    weights = [np.random.default_rng(2).normal(0, 0.1, value.shape) for value in in_batch.get_weights()]
    in_batch.set_weights(weights)
    in_network.set_weights(weights)
    expected = in_batch.predict_on_batch({"image": mapping.map(pixels)})
    np.testing.assert_allclose(in_network.predict_on_batch({"pixels": pixels}), expected, rtol=1e-3, atol=1e-4)


def test_hexagonal_single_tel_needs_the_axial_mapping(pixels):
    axial, bilinear = (image_mapping(geometry(), name) for name in ("axial", "bilinear"))
    model = network({"pixels": (331, 2)}, axial, convolution="hexagonal")
    assert np.isfinite(model.predict_on_batch({"pixels": pixels})).all()
    with pytest.raises(UserError, match="need the mapping 'axial'"):
        network({"image": (*bilinear.shape, 2)}, bilinear, convolution="hexagonal")
    with pytest.raises(ValueError, match="odd kernel_size"):
        ModelParameters(options={"convolution": "hexagonal", "kernel_size": 4})
