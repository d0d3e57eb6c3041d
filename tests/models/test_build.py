from collections.abc import Mapping

import numpy as np
import pytest

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model, measure_scales
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.tasks import TASKS, joint_task

SHAPES = {"image": (16, 16, 2)}
SMALL = ModelParameters(options={"filters": [4, 8]}, head={"options": {"units": [8], "dropout": 0.1}})


def flat(inputs, units=3):
    """Backbone of a user."""
    x = keras.layers.Flatten(name="backbone_flatten")(inputs["image"])
    return keras.layers.Dense(units, name="backbone_dense")(x)


def model_of(parameters=SMALL, scales=None):
    keras.utils.set_random_seed(1)
    return build_model(parameters, TASKS["energy"], SHAPES, scales or Scales([0.3], [0.5]))


def test_layers_carry_their_part_in_the_name():
    names = {layer.name.partition("_")[0] for layer in model_of().layers}
    assert names == {"image", "backbone", "head"}


def test_untrained_model_predicts_the_targets_mean():
    images = np.random.default_rng(0).exponential(1000, (4, *SHAPES["image"]))
    outputs = model_of().predict_on_batch({"image": images})
    np.testing.assert_allclose(outputs[:, 0], 0.3, atol=1e-6)
    assert np.isfinite(outputs).all()


def test_inputs_are_scaled_inside_the_model():
    images = np.random.default_rng(0).exponential(1, (8, *SHAPES["image"]))
    models = [model_of(scales=Scales([0], [1], {"image": ([0, 0], [factor, factor])})) for factor in (1.0, 50.0)]
    weights = [np.random.default_rng(1).normal(size=value.shape) for value in models[0].get_weights()]
    for model in models:
        model.set_weights(weights)
    first = models[0].predict_on_batch({"image": images})
    np.testing.assert_allclose(models[1].predict_on_batch({"image": images * 50}), first, rtol=1e-3, atol=1e-3)


def test_empty_pixels_stay_empty_and_constants_are_harmless():
    images = np.zeros((3, 4, 4, 2), dtype=np.float32)
    images[:, 0, 0, 0] = 8
    scales = measure_scales({"image": images, "parameters": np.array([[1.0, 5], [3, 5], [5, 5]])}, np.ones((3, 1)))
    mean, deviation = scales.inputs["image"]
    assert mean == [0, 0]
    assert deviation == [2, 1]
    assert scales.inputs["parameters"] == ([3, 5], [pytest.approx(np.sqrt(8 / 3)), 1])
    assert (scales.target_mean, scales.target_deviation) == ([1], [1])


def test_scales_are_the_same_of_all_events_at_once_and_of_batches():
    rng = np.random.default_rng(5)
    inputs = {
        "image": rng.exponential(3, (10, 3, 4, 4, 2)),
        "parameters": rng.normal(100, 0.1, (10, 3, 2)),
        "telescopes": rng.integers(0, 2, (10, 3)),
        "telescope_types": np.tile(np.eye(3)[[0, 1, 1]], (10, 1, 1)),  # of the third there is none
    }
    inputs = {name: values.astype(np.float32) for name, values in inputs.items()}
    inputs["parameters"][..., 1] = 7.3  # a constant
    batches = [
        {name: values[rows] for name, values in inputs.items()} for rows in (slice(4), slice(4, 5), slice(5, 10))
    ]
    once, parts = (measure_scales(one, np.ones((10, 1))).inputs for one in (inputs, iter(batches)))
    for name in ("image", "parameters"):
        np.testing.assert_allclose(parts[name], once[name], rtol=1e-6)
        present = inputs["telescopes"] > 0
        first = inputs[name][:, 0][present[:, 0]].reshape(-1, 2).astype(float)
        mean = first.mean(axis=0) if name == "parameters" else np.zeros(2)
        deviation = np.sqrt(np.square(first - mean).mean(axis=0))
        deviation[deviation < 1e-6] = 1
        np.testing.assert_allclose([once[name][0][0], once[name][1][0]], [mean, deviation], rtol=1e-5)
        np.testing.assert_allclose(
            once[name][0][2], 0 if name == "image" else inputs[name][present].mean(axis=0), rtol=1e-5
        )
    assert parts["parameters"][1][0][1] == 1


def test_own_backbone_by_dotted_path():
    model = model_of(ModelParameters(name=f"{__name__}:flat", options={"units": 5}))
    assert model.get_layer("backbone_dense").units == 5
    assert model.output_shape == (None, 2)


@pytest.mark.parametrize("pooling", ["flatten", "average"])
def test_small_images_are_not_pooled_away(pooling):
    model = build_model(
        ModelParameters(options={"pooling": pooling}), TASKS["energy"], {"image": (5, 5, 1)}, Scales([0], [1])
    )
    assert model.output_shape == (None, 2)


@pytest.mark.parametrize("name", ["single_tel", f"{__name__}:flat"])
def test_inputs_that_do_not_fit_the_model_are_refused(name):
    parameters = SMALL if name == "single_tel" else ModelParameters(name=name, options={"units": 5})
    for shapes, message in (
        ({"pixels": (331, 2)}, "reads the input 'image', but the task's input makes pixels"),
        ({**SHAPES, "brightest": (8, 6)}, "does not read brightest"),
    ):
        with pytest.raises(UserError, match=message):
            build_model(parameters, TASKS["energy"], shapes, Scales([0.3], [0.5]))


@pytest.mark.parametrize("name", ["single_tel", f"{__name__}:flat"])
def test_further_inputs_are_joined_to_the_features(name):
    parameters = SMALL if name == "single_tel" else ModelParameters(name=name, options={"units": 5})
    shapes = {**SHAPES, "parameters": (3,), "positions": (3,), "shower_frame": (4,)}
    model = build_model(parameters, TASKS["energy"], shapes, Scales([0.3], [0.5]))
    without = build_model(parameters, TASKS["energy"], SHAPES, Scales([0.3], [0.5]))
    assert (
        model.get_layer("backbone_with_parameters").output.shape[-1]
        == 6 + without.get_layer("head_dense_1").input.shape[-1]
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=value.shape) for value in model.get_weights()])
    events = {key: rng.normal(size=(2, *shape)) for key, shape in shapes.items()}
    expected = model.predict_on_batch(events)
    for key in ("parameters", "positions"):
        assert not np.allclose(model.predict_on_batch(events | {key: events[key] + 1}), expected)


def test_direction_reads_the_showers_frame():
    with pytest.raises(UserError, match="needs the shower's frame"):
        build_model(SMALL, TASKS["skydirection"], SHAPES, Scales([0, 0], [1, 1]))
    model = build_model(SMALL, TASKS["skydirection"], {**SHAPES, "shower_frame": (4,)}, Scales([0, 0], [1, 1]))
    frame = np.array([[0.3, -0.2, 0.6, 0.8]], dtype=np.float32)
    outputs = model.predict_on_batch({"image": np.zeros((1, *SHAPES["image"])), "shower_frame": frame})
    np.testing.assert_allclose(outputs[:, -4:], frame)


def test_several_tasks_in_one_network():
    task = joint_task(["energy", "type", "skydirection"])
    model = build_model(SMALL, task, {**SHAPES, "shower_frame": (4,)}, Scales([0.3, 0.5, 0, 0], [1, 1, 1, 1]))
    events = {"image": np.zeros((2, *SHAPES["image"])), "shower_frame": np.ones((2, 4))}
    assert model.predict_on_batch(events).shape == (2, model.output_shape[-1])


def test_models_for_one_telescope_and_for_several_are_not_mixed():
    stereo = {"image": (3, 16, 16, 2), "telescopes": (3,), "positions": (3, 3)}
    with pytest.raises(UserError, match=r"single_tel is for mono input.*cnn_rnn"):
        build_model(SMALL, TASKS["energy"], stereo, Scales([0], [1]))
    with pytest.raises(UserError, match=r"cnn_rnn is for stereo input.*single_tel"):
        build_model(ModelParameters(name="cnn_rnn"), TASKS["energy"], SHAPES, Scales([0], [1]))


def test_forests_are_not_built():
    with pytest.raises(UserError, match="is grown from data"):
        build_model(ModelParameters(name="random_forest"), TASKS["energy"], {"parameters": (10,)}, Scales([0], [1]))


def test_absent_telescopes_and_missing_targets_do_not_count():
    rng = np.random.default_rng(0)
    telescopes = (rng.random((200, 3)) < 0.5).astype(np.float32)
    values = rng.normal(5, 2, (200, 3, 1)) * telescopes[..., None]
    images = rng.normal(0, 3, (200, 3, 4, 4, 1)) * telescopes[..., None, None, None]
    targets = np.stack([rng.normal(1, 2, 200), np.where(np.arange(200) < 100, 7, np.nan)], axis=1)
    scales = measure_scales({"parameters": values, "image": images, "telescopes": telescopes}, targets)
    assert set(scales.inputs) == {"parameters", "image"}
    np.testing.assert_allclose(scales.inputs["parameters"], [[5], [2]], rtol=0.1)
    np.testing.assert_allclose(scales.inputs["image"], [[0], [3]], rtol=0.1)
    assert scales.target_mean[1] == 7
    assert scales.target_deviation == pytest.approx([np.std(targets[:, 0]), 1])
    with pytest.raises(UserError, match="target is missing"):
        measure_scales({}, np.full((5, 1), np.nan))


def careless(inputs, kind="map"):
    """Part of a network with a mistake, as backbone or head."""
    if kind == "raises":
        raise ValueError("two\nlines")
    if kind == "key":
        return {}["absent"]
    images = inputs["image"] if isinstance(inputs, Mapping) else keras.ops.reshape(inputs, (-1, 1, 4, 2))
    return {
        "map": images,
        "any": keras.ops.reshape(images, (2, -1)),
        "nothing": None,
        "numbers": np.ones((3, 2)),
        "many": (images, images, images),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("map", r"The features of .*:careless have the shape \((16, 16|1, 4), 2\): return one dimension"),
        ("any", r"have the shape \(None,\): return one dimension"),
        ("nothing", "careless returns NoneType, not a Keras tensor: return the features"),
        ("numbers", "careless returns ndarray, not a Keras tensor"),
        ("raises", r"careless cannot be built \(ValueError: two lines\): correct it"),
        ("key", r"careless cannot be built \(KeyError: 'absent'\): correct it"),
    ],
)
@pytest.mark.parametrize("part", ["backbone", "head"])
def test_mistakes_in_own_parts_are_one_line(part, kind, message):
    own = {"name": f"{__name__}:careless", "options": {"kind": kind}}
    parameters = ModelParameters(**own) if part == "backbone" else ModelParameters(options=SMALL.options, head=own)
    with pytest.raises(UserError, match=message):
        model_of(parameters)


def test_a_backbone_gives_features_and_at_most_a_point():
    with pytest.raises(UserError, match=r"careless cannot be built \(ValueError: too many values"):
        model_of(ModelParameters(name=f"{__name__}:careless", options={"kind": "many"}))
