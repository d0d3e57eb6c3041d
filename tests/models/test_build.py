import numpy as np
import pytest

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model, measure_scales
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.tasks import TASKS

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
        ({**SHAPES, "parameters": (3,), "brightest": (8, 6)}, "does not read brightest, parameters"),
    ):
        with pytest.raises(UserError, match=message):
            build_model(parameters, TASKS["energy"], shapes, Scales([0.3], [0.5]))
