import numpy as np
import pytest
from scipy.stats import laplace

from cherenkov_pipeline.directions import head_tail_point
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, HeadTailLikelihood, HeadTailOutput
from cherenkov_pipeline.models.likelihoods.head_tail import COLUMNS, right_side, separation


def outputs_of(n, rng, angle=None):
    angle = rng.uniform(0, 2 * np.pi, n) if angle is None else np.full(n, angle)
    return np.column_stack(
        [
            rng.normal(0, 2, n), rng.normal(1, 0.3, n), np.log(rng.uniform(0.1, 0.3, n)),
            rng.normal(-1, 0.3, n), np.log(rng.uniform(0.1, 0.3, n)), rng.normal(0, 0.1, n),
            np.log(rng.uniform(0.05, 0.2, n)), *rng.normal(0, 2, (2, n)), np.cos(angle), np.sin(angle),
        ]
    ).astype(np.float32)  # fmt: skip


def drawn(outputs, rng, factor=1.0):
    """Sources from the density that the outputs describe; their scales times a factor."""
    n = len(outputs)
    head = rng.random(n) < 1 / (1 + np.exp(-outputs[:, 0]))
    along = np.where(head, outputs[:, 1], outputs[:, 3])
    scale = np.exp(np.where(head, outputs[:, 2], outputs[:, 4]))
    x = rng.laplace(along, factor * scale)
    y = rng.laplace(outputs[:, 5], factor * np.exp(outputs[:, 6]))
    lon, lat, cosine, sine = outputs[:, 7:].T
    return np.column_stack([lon + x * cosine - y * sine, lat + x * sine + y * cosine])


def test_loss_is_the_density_of_the_mixture():
    rng = np.random.default_rng(0)
    outputs = outputs_of(40, rng, angle=0.0)
    x, y = rng.normal(0, 1, (2, 40))
    weight = 1 / (1 + np.exp(-outputs[:, 0].astype(float)))
    density = weight * laplace(outputs[:, 1], np.exp(outputs[:, 2])).pdf(x)
    density += (1 - weight) * laplace(outputs[:, 3], np.exp(outputs[:, 4])).pdf(x)
    density *= laplace(outputs[:, 5], np.exp(outputs[:, 6])).pdf(y)
    targets = np.column_stack([x, y]) + outputs[:, 7:9]
    assert float(HeadTailLikelihood()(targets, outputs)) == pytest.approx(-np.log(density).mean(), rel=1e-4)


def test_a_turned_camera_sees_the_same_likelihood():
    rng = np.random.default_rng(1)
    outputs, angle = outputs_of(40, rng), 0.7
    targets = drawn(outputs, rng)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], dtype=np.float32)
    turned = outputs.copy()
    turned[:, 7:9], turned[:, 9:11] = outputs[:, 7:9] @ turn, outputs[:, 9:11] @ turn
    for function in (HeadTailLikelihood(reduction=None), separation, right_side):
        np.testing.assert_allclose(function(targets, outputs), function(targets @ turn, turned), rtol=1e-3, atol=1e-3)


def test_separation_is_that_of_the_point():
    rng = np.random.default_rng(2)
    outputs = outputs_of(40, rng)
    targets = drawn(outputs, rng)
    lon, lat, *_ = head_tail_point(outputs)
    expected = np.hypot(targets[:, 0] - lon, targets[:, 1] - lat)
    np.testing.assert_allclose(separation(targets, outputs), expected, rtol=1e-3, atol=1e-4)


def test_an_untrained_network_has_a_side_each():
    frame = np.array([[0.5, -0.5, 0.6, 0.8]], dtype=np.float32)
    outputs = keras.ops.convert_to_numpy(HeadTailOutput([0, 0], [1, 1])([np.zeros((1, 7), np.float32), frame]))
    assert outputs.shape == (1, len(COLUMNS))
    np.testing.assert_allclose(outputs[0, [0, 1, 3, 5]], [0, 1, -1, 0], atol=1e-6)
    np.testing.assert_allclose(outputs[:, 7:], frame)


@pytest.mark.parametrize("raw", [-1e30, 1e30])
def test_no_raw_number_breaks_the_scales(raw):
    frame = np.array([[0.0, 0.0, 1.0, 0.0]], dtype=np.float32)
    outputs = HeadTailOutput([0, 0], [1, 1])([np.full((1, 7), raw, np.float32), frame])
    assert np.isfinite(keras.ops.convert_to_numpy(outputs)).all()


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_calibrated_radii_hold_what_they_say(factor):
    rng = np.random.default_rng(3)
    outputs = outputs_of(4000, rng)
    targets = drawn(outputs, rng, factor)
    constants = LIKELIHOODS["head_tail"].calibrate(outputs[:2000], targets[:2000], np.ones(2000))
    layer = HeadTailOutput([0, 0], [1, 1])
    layer.set_constants(constants)
    fresh = outputs[2000:].astype(float)
    likely = np.abs(np.where(fresh[:, 0] > 0, fresh[:, 1], fresh[:, 3]))
    log_factor = np.interp(likely, constants["factor_places"][0], constants["log_factors"][0])
    fresh[:, 0] /= constants["temperature"]
    fresh[:, [2, 4, 6]] += log_factor[:, np.newaxis]
    lon, lat, radius, _ = head_tail_point(fresh)
    held = np.hypot(*(targets[2000:] - np.column_stack([lon, lat])).T) <= radius
    assert held.mean() == pytest.approx(0.6827, abs=0.04)


def test_right_side_tells_right_from_wrong():
    """Head and tail 1 deg from the centre, the axis along lon; the first two are sure of the head."""
    outputs = np.zeros((4, 11), dtype=np.float32)
    outputs[:, [0, 1, 3, 9]] = [[3, 1, -1, 1], [3, 1, -1, 1], [-3, 1, -1, 1], [-3, 1, -1, 1]]
    targets = np.array([[0.9, 0], [-0.9, 0], [0.9, 0], [-0.9, 0]], dtype=np.float32)
    np.testing.assert_array_equal(right_side(keras.ops.convert_to_tensor(targets), outputs), [1, 0, 0, 1])
