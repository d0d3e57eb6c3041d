import numpy as np
import pytest
from pydantic import ValidationError
from tests.models import registered

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, _learnt_scales, build_model, measure_scales
from cherenkov_pipeline.models.parameters import ModelParameters, PretrainedParameters
from cherenkov_pipeline.models.pretrained import learning_rate_factors, load_pretrained
from cherenkov_pipeline.tasks import TASKS

SHAPES = {"image": (16, 16, 2)}
SMALL = {"name": "single_tel", "options": {"filters": [3, 4, 5]}, "head": {"options": {"units": [6]}}}
OLD_SCALES = Scales([0.3], [0.5], {"image": ([0.0, 0.0], [7.0, 3.0])})
NEW_SCALES = Scales([0.9], [0.2], {"image": ([0.0, 0.0], [1.0, 1.0])})


def build(pretrained=None, task="energy", scales=NEW_SCALES, shapes=SHAPES, seed=2, **changes):
    keras.utils.set_random_seed(seed)
    return build_model(ModelParameters(**SMALL | changes, pretrained=pretrained), TASKS[task], shapes, scales)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A trained network and its file."""
    model = build(scales=OLD_SCALES, seed=1)
    path = tmp_path_factory.mktemp("old") / "model.keras"
    model.save(path)
    return model, str(path)


def same(one, other, prefix):
    layers = [layer for layer in one.layers if layer.name.startswith(prefix) and layer.weights]
    assert layers
    return [
        all(
            np.array_equal(*pair)
            for pair in zip(layer.get_weights(), other.get_layer(layer.name).get_weights(), strict=True)
        )
        for layer in layers
    ]


def test_backbone_is_taken_over_and_the_head_is_new(old):
    model, path = old
    new = build({"path": path}, task="type", head={"options": {"units": [9]}})
    assert all(same(model, new, "backbone_"))
    assert new.get_layer("head_dense_1").units == 9
    assert new.output_shape == (None, 1)
    assert new.get_layer("head_type").mean == NEW_SCALES.target_mean


def test_backbone_sees_what_it_has_learnt_to_see(old):
    model, path = old
    new = build({"path": path, "prefixes": ["backbone_", "head_dense"]})
    features = [
        keras.Model(network.inputs, network.get_layer("head_dense_1").output).predict_on_batch(
            {"image": np.random.default_rng(0).exponential(3, (4, 16, 16, 2))}
        )
        for network in (model, new)
    ]
    np.testing.assert_allclose(features[0], features[1], rtol=1e-6)
    assert new.get_layer("input_image").deviation == [7.0, 3.0]


def test_pixels_that_the_network_maps_keep_the_scale_of_images(old):
    pixels = {"pixels": (9, 2)}
    scales = Scales([0.9], [0.2], {"pixels": ([0.0, 0.0], [1.0, 1.0])})
    learnt = _learnt_scales(scales, load_pretrained(PretrainedParameters(path=old[1])), pixels)
    assert learnt.inputs == {"pixels": ([0.0, 0.0], [7.0, 3.0])}


def test_prefixes_choose_layers(old):
    model, path = old
    new = build({"path": path, "prefixes": ["backbone_convolution_1", "backbone_convolution_2"]})
    assert same(model, new, "backbone_convolution") == [True, True, False]
    assert not all(same(model, new, "head_dense"))


@pytest.mark.parametrize(
    ("mono", "stereo", "prefixes"),
    [
        ("single_tel", "cnn_rnn", ["backbone_convolution_"]),
        (
            "set_network",
            "stereo_set_network",
            ["backbone_pixels_", "backbone_exchange_", "backbone_pool", "backbone_dense_"],
        ),
    ],
)
def test_a_backbone_of_one_telescope_begins_one_of_several(mono, stereo, prefixes, tmp_path):
    """With the prefixes that the documentation names."""
    options = {"set_network": {**registered.SMALL["set_network"]["options"], "odd_units": 0}}
    old, new = (
        ModelParameters(
            **registered.small(name).model_dump(include={"name", "head"}),
            options=options.get(name) or registered.SMALL[name]["options"],
        )
        for name in (mono, stereo)
    )
    inputs = {name: registered.sample(name) for name in (mono, stereo)}

    def made(parameters, pretrained=None):
        x, targets, mapping = inputs[parameters.name]
        shapes = {name: values.shape[1:] for name, values in x.items()}
        parameters = parameters.model_copy(update={"pretrained": pretrained})
        return build_model(parameters, TASKS["energy"], shapes, measure_scales(x, targets), mapping)

    model = made(old)
    model.save(tmp_path / "old.keras")
    path = str(tmp_path / "old.keras")
    with pytest.raises(UserError, match="has no layer backbone_"):
        made(new, PretrainedParameters(path=path))
    taken = made(new, PretrainedParameters(path=path, prefixes=prefixes))
    for prefix in prefixes:
        assert all(same(taken, model, prefix))
    assert all(
        layer.name.startswith(tuple(prefixes))
        for layer in model.layers
        if layer.weights and layer.name.startswith("backbone_")
    )


def test_frozen_layers_stay_and_others_learn(old):
    _, path = old
    new = build({"path": path, "freeze": ["backbone_convolution_1", "backbone_convolution_2"]})
    before = {layer.name: layer.get_weights() for layer in new.layers}
    new.compile("adam", "mse")
    rng = np.random.default_rng(0)
    new.fit({"image": rng.normal(size=(16, 16, 16, 2))}, rng.normal(size=(16, 2)), epochs=2, verbose=0)
    moved = {
        name: not all(np.array_equal(*pair) for pair in zip(weights, new.get_layer(name).get_weights(), strict=True))
        for name, weights in before.items()
    }
    assert not moved["backbone_convolution_1"]
    assert not moved["backbone_convolution_2"]
    assert moved["backbone_convolution_3"]
    assert moved["head_raw"]


def test_learning_rate_factors_are_those_of_the_longest_prefix(old):
    _, path = old
    factors = {"backbone_": 0.1, "backbone_convolution_3": 0.5}
    parameters = ModelParameters(
        **SMALL, pretrained={"path": path, "freeze": ["backbone_convolution_1"], "learning_rate_factors": factors}
    )
    model = build(parameters.pretrained.model_dump())
    found = learning_rate_factors(model, parameters)
    by_layer = {}
    for variable, factor in zip(model.trainable_variables, found, strict=True):
        by_layer.setdefault(variable.path.split("/")[-2], set()).add(factor)
    assert by_layer == {
        "backbone_convolution_2": {0.1},
        "backbone_convolution_3": {0.5},
        "head_dense_1": {1.0},
        "head_raw": {1.0},
    }
    assert learning_rate_factors(model, ModelParameters(**SMALL)) == [1.0] * len(found)


@pytest.mark.parametrize(
    ("pretrained", "changes", "message"),
    [
        ({"path": "nowhere/model.keras"}, {}, "There is no model"),
        ({"prefixes": ["backbone_block"]}, {}, "No layer's name begins with 'backbone_block'"),
        ({"freeze": ["trunk_"]}, {}, "No layer's name begins with 'trunk_'"),
        ({}, {"options": {"filters": [3, 4, 6]}}, "backbone_convolution_3 has other weights"),
        ({}, {"options": {"filters": [3, 4, 5, 6]}}, "no layer backbone_convolution_4"),
        ({}, {"shapes": {"image": (16, 16, 1)}, "scales": Scales([0], [1], {"image": ([0], [1])})}, "2 channels"),
        ({"freeze": ["backbone_", "head_"]}, {}, "nothing is left to train"),
        ({"learning_rate_factors": {"backbone_pooling": 0.1}}, {}, "has no learning rate"),
    ],
)
def test_what_does_not_fit_is_said(old, pretrained, changes, message):
    with pytest.raises(UserError, match=message):
        build({"path": old[1], **pretrained}, **changes)


def test_factors_are_positive(old):
    with pytest.raises(ValidationError):
        build({"path": old[1], "learning_rate_factors": {"backbone_": 0}})
