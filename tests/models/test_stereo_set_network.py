import keras
import numpy as np
import pytest
from tests.models import registered

from cherenkov_pipeline.models.build import build_model, measure_scales
from cherenkov_pipeline.models.stereo_set_network import OF_IMAGES
from cherenkov_pipeline.tasks import get_task

NAME = "stereo_set_network"


@pytest.fixture(scope="module")
def network():
    """A direction network with random weights, its inputs."""
    model, inputs, _ = registered.built(NAME, "skydirection")
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.4, variable.shape))
    inputs["positions"] = np.tile(rng.normal(0, 1, (1, registered.N_TELESCOPES, 3)), (registered.N_EVENTS, 1, 1))
    return model, {name: values.astype(np.float32) for name, values in inputs.items()}


def predict(model, inputs):
    return registered.predicted(model, inputs)


def test_order_of_telescopes_does_not_count(network):
    model, inputs = network
    turned = {name: values[:, [2, 0, 1]] for name, values in inputs.items()}
    np.testing.assert_allclose(predict(model, turned), predict(model, inputs), rtol=1e-3, atol=1e-3)


def test_absent_telescopes_do_not_count(network):
    model, inputs = network
    absent = inputs["telescopes"] == 0
    assert absent.any()
    garbage = {name: np.array(values) for name, values in inputs.items()}
    for name in OF_IMAGES:
        garbage[name][absent] = 3
    garbage["positions"][absent] = 100
    np.testing.assert_allclose(predict(model, garbage), predict(model, inputs), rtol=1e-4, atol=1e-4)


def test_every_telescope_counts(network):
    model, inputs = network
    all_there = inputs["telescopes"].all(axis=1)
    expected = predict(model, inputs)
    for telescope in range(registered.N_TELESCOPES):
        less = {name: np.array(values) for name, values in inputs.items()}
        less["telescopes"][:, telescope] = 0
        changed = np.abs(predict(model, less) - expected).max(axis=1)
        assert (changed[all_there] > 1e-5).mean() > 0.8


def test_an_event_that_is_turned_as_a_whole(network):
    """Sky, images and telescopes: the direction turns along, and its error stays."""
    model, inputs = network
    angle = 2.1
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = {name: np.array(values) for name, values in inputs.items()}
    frame, positions = inputs["shower_frame"], inputs["positions"]
    turned["shower_frame"] = np.concatenate([frame[..., :2] @ matrix.T, frame[..., 2:] @ matrix.T], axis=-1)
    turned["positions"] = np.concatenate([positions[..., :2] @ matrix.T, positions[..., 2:]], axis=-1)
    model = without_corrections(model)
    before, after = predict(model, inputs), predict(model, {k: v.astype(np.float32) for k, v in turned.items()})
    np.testing.assert_allclose(after[:, :2], before[:, :2] @ matrix.T, atol=5e-3)
    np.testing.assert_allclose(after[:, 2], before[:, 2], atol=5e-3)


def without_corrections(model):
    """Let the last layer correct the error alone, and not the point that the backbone offers."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    kernel, bias = copy.get_layer("head_raw").get_weights()
    kernel[:, :2], bias[:2] = 0, 0
    copy.get_layer("head_raw").set_weights([kernel, bias])
    return copy


def test_the_direction_starts_from_the_geometry(network):
    """What the backbone offers is the place of the likelihood; the last layer corrects it."""
    model, inputs = network
    offered = keras.Model(model.inputs, model.get_layer("backbone_array_direction").output)
    found = predict(without_corrections(model), inputs)[:, :2]
    np.testing.assert_allclose(found, np.asarray(offered.predict_on_batch(inputs)), atol=1e-5)
    assert np.ptp(found, axis=0).min() > 0.1


def test_a_joint_network_offers_its_direction_to_its_direction_alone():
    """The point goes to the part that takes one; energy and type are as without it."""
    inputs, targets, mapping = registered.sample(NAME)
    shapes = {name: values.shape[1:] for name, values in inputs.items()}
    task = get_task("energy+type+skydirection")
    targets = np.concatenate([targets, targets > 0.5, np.random.default_rng(0).normal(0, 1, (len(targets), 2))], axis=1)
    model = build_model(registered.small(NAME), task, shapes, measure_scales(inputs, targets), mapping)
    offered = keras.Model(model.inputs, model.get_layer("backbone_array_direction").output)
    # the last layer starts from zeros
    found = predict(model, inputs)
    np.testing.assert_allclose(found[:, 3:5], np.asarray(offered.predict_on_batch(inputs)), atol=1e-5)
    np.testing.assert_allclose(found[:, 0], targets[:, 0].mean(), rtol=1e-5)


@pytest.fixture(scope="module")
def of_two_types():
    """A network for two types of telescopes with random weights, its inputs; the types are scaled differently."""
    inputs, targets, _ = registered.sample(NAME)
    inputs["telescope_types"] = np.tile(np.eye(2, dtype=np.float32)[[0, 1, 0]], (registered.N_EVENTS, 1, 1))
    inputs["parameters"][:, 1] *= 3
    scales = measure_scales(inputs, targets)
    mean = np.array(scales.inputs["parameters"][0])
    np.testing.assert_allclose(mean[1] / mean[0], 3, rtol=0.2)
    shapes = {name: values.shape[1:] for name, values in inputs.items()}
    keras.utils.set_random_seed(1)
    model = build_model(registered.small(NAME), get_task("energy"), shapes, scales, None)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    return model, inputs


def test_order_of_telescopes_of_several_types_does_not_count(of_two_types):
    model, inputs = of_two_types
    turned = {name: values[:, [1, 2, 0]] for name, values in inputs.items()}
    np.testing.assert_allclose(predict(model, turned), predict(model, inputs), rtol=1e-3, atol=1e-3)


def test_the_type_counts_where_a_telescope_is_present(of_two_types):
    model, inputs = of_two_types
    expected = predict(model, inputs)
    for telescope in range(registered.N_TELESCOPES):
        other = {name: np.array(values) for name, values in inputs.items()}
        other["telescope_types"][:, telescope] = other["telescope_types"][:, telescope, ::-1]
        changed = np.abs(predict(model, other) - expected).max(axis=1) > 1e-5
        present = inputs["telescopes"][:, telescope] > 0
        assert changed[present].mean() > 0.8
        assert not changed[~present].any()


def test_a_type_without_images_is_scaled_as_the_others():
    inputs, targets, _ = registered.sample(NAME)
    single = measure_scales(inputs, targets).inputs["parameters"]
    types = np.eye(2, dtype=np.float32)[[0, 0, 0]]
    inputs["telescope_types"] = np.tile(types, (registered.N_EVENTS, 1, 1))
    for values, expected in zip(measure_scales(inputs, targets).inputs["parameters"], single, strict=True):
        assert values == [expected, expected]
