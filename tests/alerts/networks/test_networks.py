import keras
import numpy as np
import pytest
from pydantic import ValidationError

from cherenkov_pipeline.alerts.networks.autoencoder import UsableSquaredError, build_autoencoder, export_autoencoder
from cherenkov_pipeline.alerts.networks.build import FEATURES, begin_after, build_network, copy_weights
from cherenkov_pipeline.alerts.networks.explained import CAM, explained, export_explained
from cherenkov_pipeline.alerts.networks.registry import AutoencoderOptions, NetworkParameters
from cherenkov_pipeline.alerts.networks.resnet18 import CHANNELS, resnet18
from cherenkov_pipeline.alerts.preparation import BY_HAND
from cherenkov_pipeline.models.export import run_onnx

SMALL = NetworkParameters(name="cnn_scratch", options={"filters": (4, 6)})
SHAPES = {"image": (16, 16, 2), "scalars": (2,)}
ALL_SHAPES = {**SHAPES, BY_HAND: (19,)}


def _randomize(model, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        positive = weight.name in ("moving_variance", "gamma", "temperature")
        values = rng.normal(0, 0.15, weight.shape)
        weight.assign(1 + np.abs(values) if positive else values)


def _inputs(shapes, n=3, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(n, *shape)).astype(np.float32) for name, shape in shapes.items()}


def test_resnet18_is_that_of_torchvision():
    image = keras.Input((32, 32, CHANNELS))
    model = keras.Model(image, resnet18({"image": image}))
    assert model.count_params() == 11_186_112
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    assert shapes["conv1/kernel"] == (7, 7, 3, 64)
    assert shapes["layer2_0_downsample0/kernel"] == (1, 1, 64, 128)
    assert shapes["layer4_1_conv2/kernel"] == (3, 3, 512, 512)
    assert shapes["layer4_1_bn2/moving_variance"] == (512,)
    assert not any(path.endswith("bias") for path in shapes)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 20
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}
    assert sum("downsample0" in layer.name for layer in model.layers) == 3


@pytest.mark.parametrize(("size", "cells"), [(224, 7), (112, 4), (56, 2), (33, 2)])
def test_resnet18_has_torchvisions_map_sizes(size, cells):
    image = keras.Input((size, size, 1))
    assert resnet18({"image": image}).shape == (None, cells, cells, 512)


def test_strided_convolution_pads_like_torch():
    """Worked by hand: torch's conv1 centres its first window on the pixel (0, 0)."""
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, resnet18({"image": image}))
    first = keras.Model(image, model.get_layer("conv1").output)
    kernel = np.zeros((7, 7, 3, 64), dtype=np.float32)
    kernel[3, 3, 0, 0] = 1
    model.get_layer("conv1").set_weights([kernel])
    given = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(first.predict_on_batch(given)[0, ..., 0], given[0, ::2, ::2, 0], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_missing_channels_repeat_the_first(channels):
    image = keras.Input((32, 32, channels))
    model = keras.Model(image, resnet18({"image": image}))
    assert model.get_layer("conv1").kernel.shape == (7, 7, 3, 64)
    if channels < 3:
        seen = keras.Model(image, model.get_layer("three_channels").output)
        given = np.random.default_rng(0).normal(size=(1, 32, 32, channels)).astype(np.float32)
        expected = np.concatenate([given[..., :1]] * (3 - channels) + [given], axis=-1)
        np.testing.assert_array_equal(seen.predict_on_batch(given), expected)
    with pytest.raises(ValueError, match="at most 3"):
        resnet18({"image": keras.Input((32, 32, 4))})


def test_untrained_network_gives_the_share_of_true_sources():
    model = build_network(SMALL, SHAPES, share_real=0.7)
    logit = model.predict_on_batch(_inputs(SHAPES))
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), 0.7, rtol=1e-5)


@pytest.mark.parametrize("last_frozen", ["layer3", "layer4"])
def test_network_divided_after_a_stage_is_the_same_network(last_frozen):
    shapes = {**ALL_SHAPES, "image": (32, 32, 1)}
    network = build_network(NetworkParameters(name="resnet18"), shapes)
    _randomize(network)
    frozen, rest = begin_after(network, last_frozen)
    inputs = _inputs(shapes)
    of_rest = {**inputs, FEATURES: frozen.predict_on_batch(inputs["image"])}
    del of_rest["image"]
    found = rest.predict_on_batch(of_rest)
    expected = network.predict_on_batch(inputs)
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert any(layer.name.startswith("layer4") for layer in rest.layers) == (last_frozen == "layer3")
    _randomize(rest, 1)
    copy_weights(rest, network)
    found = rest.predict_on_batch(of_rest)
    np.testing.assert_allclose(network.predict_on_batch(inputs), found, rtol=1e-4, atol=1e-5)


def test_features_by_hand_are_scaled_and_go_through_layers_of_their_own():
    network = build_network(SMALL, ALL_SHAPES)
    _randomize(network)
    inputs = _inputs(ALL_SHAPES)
    more = {**inputs, BY_HAND: inputs[BY_HAND] + 1}
    assert np.ptp(network.predict_on_batch(more) - network.predict_on_batch(inputs)) > 1e-5
    layer = network.get_layer(f"{BY_HAND}_scaled")
    layer.set_weights([np.ones(19), np.zeros(19), np.full(19, 5.0), np.full(19, 1e-4)])
    scaled = keras.Model(network.input, layer.output)
    near = {**inputs, BY_HAND: np.full((3, 19), 5.01, dtype=np.float32)}
    np.testing.assert_allclose(scaled.predict_on_batch(near), 1, rtol=0.01)


@pytest.mark.parametrize("layer", ["backbone_convolution_1_normalization", f"{BY_HAND}_scaled"])
def test_statistics_of_small_data_are_followed_within_a_few_epochs(layer):
    """Statistics that lag behind make a validation loss of another network: the learning rate was lowered by it."""
    network = build_network(SMALL, ALL_SHAPES)
    inputs = _inputs(ALL_SHAPES, n=32)
    inputs = {name: 3 * values + 5 for name, values in inputs.items()}
    normalized = keras.Model(network.input, network.get_layer(layer).output)
    for _ in range(5 * 10):
        in_training = normalized(inputs, training=True)
    np.testing.assert_allclose(normalized(inputs, training=False), in_training, atol=0.1)


@pytest.mark.parametrize("shapes", [SHAPES, {"image": (16, 16, 1)}])
def test_map_is_the_gradient_of_the_logit(shapes):
    """Grad-CAM as it is defined, by automatic differentiation."""
    import tensorflow as tf

    network = build_network(SMALL, shapes)
    _randomize(network)
    inputs = _inputs(shapes)
    both = keras.Model(network.input, {"map": network.get_layer("pooled").input, "logit": network.output})
    last_map = both(inputs)["map"]
    with tf.GradientTape() as tape:
        tape.watch(last_map)
        x = network.get_layer("pooled")(last_map)
        x = network.get_layer("with_scalars")([x, inputs["scalars"]]) if "scalars" in shapes else x
        logit = network.get_layer("logit")(network.get_layer("head_raw")(x))
    weights = np.mean(tape.gradient(logit, last_map), axis=(1, 2), keepdims=True)
    expected = np.sum(weights * last_map, axis=-1)
    found = explained(network).predict_on_batch(inputs)
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(found[CAM], expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found["logit"], np.asarray(logit)[:, 0], rtol=1e-4, atol=1e-6)


def test_map_and_the_rest_add_up_to_the_logit():
    network = build_network(SMALL, SHAPES)
    _randomize(network)
    inputs = _inputs(SHAPES)
    found = explained(network).predict_on_batch(inputs)
    silent = {**inputs, "image": inputs["image"]}
    raw, output = network.get_layer("head_raw"), network.get_layer("logit")
    constants = output.constants
    side = inputs["scalars"] @ np.asarray(raw.kernel)[-2:, 0] + np.asarray(raw.bias)
    rest = (side + constants["bias"]) / constants["temperature"]
    np.testing.assert_allclose(found[CAM].sum(axis=(1, 2)) + rest, network.predict_on_batch(silent)[:, 0], rtol=1e-4)


def test_onnx_has_logit_and_map(tmp_path):
    network = build_network(SMALL, SHAPES)
    _randomize(network)
    path = export_explained(network, tmp_path / "one.onnx")
    inputs = _inputs(SHAPES, n=5)
    found, expected = run_onnx(path, inputs), explained(network).predict_on_batch(inputs)
    assert found.keys() == {"logit", "cam", "embedding"}
    assert found["logit"].shape == (5,)
    assert found["cam"].shape == (5, 4, 4)
    assert found["embedding"].shape == (5, 6)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_onnx_of_resnet18_is_the_network(tmp_path):
    shapes = {"image": (32, 32, 2), "scalars": (1,)}
    network = build_network(NetworkParameters(name="resnet18"), shapes)
    _randomize(network)
    path = export_explained(network, tmp_path / "resnet18.onnx")
    inputs = _inputs(shapes)
    np.testing.assert_allclose(
        run_onnx(path, inputs)["logit"], network.predict_on_batch(inputs)[:, 0], rtol=1e-3, atol=1e-3
    )


def test_autoencoder_draws_an_image_of_the_same_size(tmp_path):
    model = build_autoencoder((16, 16, 1), AutoencoderOptions(filters=(4, 6), latent=3))
    _randomize(model)
    image = _inputs({"image": (16, 16, 1)})
    drawn = model.predict_on_batch(image)
    assert drawn.shape == image["image"].shape
    path = export_autoencoder(model, tmp_path / "autoencoder.onnx")
    np.testing.assert_allclose(run_onnx(path, image)["reconstruction"], drawn, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="multiple of 4"):
        build_autoencoder((18, 16, 1), AutoencoderOptions(filters=(4, 6)))


def test_pixels_that_are_missing_do_not_count_in_the_error():
    truth = np.random.default_rng(0).normal(size=(2, 4, 4, 2))
    truth[..., 1] = np.arange(32).reshape(2, 4, 4) % 3 > 0
    drawn = np.zeros((2, 4, 4, 1))
    expected = [np.mean(one[..., 0][one[..., 1] > 0] ** 2) for one in truth]
    loss = UsableSquaredError(reduction=None)
    np.testing.assert_allclose(loss(truth, drawn), expected, rtol=1e-5)


def test_own_networks_and_wrong_options():
    assert NetworkParameters(name="cnn_scratch").options["filters"] == [16, 32, 64]
    with pytest.raises(ValidationError, match="choose one of cnn_scratch"):
        NetworkParameters(name="vgg")
    with pytest.raises(ValidationError, match="depth"):
        NetworkParameters(name="resnet18", options={"depth": 34})
    own = NetworkParameters(name="tests.alerts.networks.own:tiny", options={"filters": 3})
    assert build_network(own, SHAPES).name == "tiny"
