import numpy as np
import pytest
from tests.store.toy_dl1 import geometry

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.layers import HexagonalMaxPooling2D
from cherenkov_pipeline.models.options import HexResNetOptions, ResNetOptions
from cherenkov_pipeline.models.resnet import resnet, squeeze_and_excitation
from cherenkov_pipeline.store.mapping import image_mapping


def build(options, shape=(48, 48, 2)):
    image = keras.Input(shape, name="image")
    return keras.Model(image, resnet({"image": image}, **options.model_dump()))


def count(model, kind):
    return sum(isinstance(layer, kind) for layer in model.layers)


def test_default_is_ctlearns_thin_resnet():
    model = build(ResNetOptions(), (96, 96, 2))
    assert model.output_shape == (None, 4 * 256)
    sums = [layer for layer in model.layers if layer.name.endswith("_sum")]
    assert len(sums) == 2 + 3 + 3 + 3
    assert [sums[index].output.shape[1:] for index in (0, 2, 5, 8)] == [
        (96, 96, 192),
        (48, 48, 384),
        (24, 24, 512),
        (12, 12, 1024),
    ]
    assert sum(layer.name.endswith("_dual") for layer in model.layers) == 11
    assert count(model, keras.layers.BatchNormalization) == 0


def test_hexagons_halve_the_lattice():
    model = build(HexResNetOptions())
    assert model.output_shape == (None, 256)
    pooled = [layer.output.shape[1] for layer in model.layers if isinstance(layer, HexagonalMaxPooling2D)]
    assert pooled == [24, 12, 6]
    kernels = [layer for layer in model.layers if "convolution" in layer.name and hasattr(layer, "kernel_size")]
    assert {type(layer).__name__ for layer in kernels if layer.kernel_size == (3, 3)} == {"HexagonalConv2D"}


@pytest.mark.parametrize("shape", [(6, 6), (7, 7), (21, 21)])
def test_pooling_takes_the_largest_of_a_pixel_and_its_neighbours(shape):
    image = np.random.default_rng(0).normal(size=(2, *shape, 1)).astype(np.float32)
    found = keras.ops.convert_to_numpy(HexagonalMaxPooling2D()(image))
    for row, column in np.ndindex(found.shape[1:3]):
        near = [(2 * row + a, 2 * column + b) for a, b in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1))]
        inside = [image[:, a, b] for a, b in near if 0 <= a < shape[0] and 0 <= b < shape[1]]
        np.testing.assert_array_equal(found[:, row, column], np.max(inside, axis=0))
    assert HexagonalMaxPooling2D().compute_output_shape(image.shape) == found.shape


def test_every_lit_pixel_survives_the_pooling():
    """Each pixel of the camera is one that is kept, or the neighbour of one."""
    mapping = image_mapping(geometry(), "axial")
    single = np.eye(331, dtype=np.float32)[:, :, np.newaxis]
    pooled = keras.ops.convert_to_numpy(HexagonalMaxPooling2D()(mapping.map(single)))
    assert (pooled.max(axis=(1, 2, 3)) == 1).all()


@pytest.mark.parametrize("kind", ["channel", "spatial", "dual", None])
def test_squeeze_and_excitation_weighs(kind):
    image = keras.Input((5, 5, 8))
    model = keras.Model(image, squeeze_and_excitation(image, kind, 4, "se"))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=value.shape) for value in model.get_weights()])
    x = rng.normal(size=(3, 5, 5, 8)).astype(np.float32)
    weight = model.predict_on_batch(x) / x

    def spread(axes):
        return np.ptp(weight, axis=axes).max()

    assert (weight > 0).all()
    assert weight.max() < (2 if kind == "dual" else 1.001)
    match kind:
        case "channel":
            assert spread((1, 2)) < 1e-4 < spread(3)
        case "spatial":
            assert spread(3) < 1e-4 < spread((1, 2))
        case "dual":
            assert min(spread(3), spread((1, 2))) > 1e-3
        case None:
            np.testing.assert_array_equal(weight, 1)


@pytest.mark.parametrize("option", [{"reduction": "pooling"}, {"block": "basic"}, {"attention": None}, {"l2": 0.01}])
def test_options_have_an_effect(option):
    small = {"filters": (2, 3), "blocks": (1, 2), "attention_ratio": 2}
    plain, changed = (build(ResNetOptions(**small, **options), (12, 12, 1)) for options in ({}, option))
    assert [layer.get_config() for layer in plain.layers] != [layer.get_config() for layer in changed.layers]
    if "l2" in option:
        assert len(changed.losses) > len(plain.losses) == 0
