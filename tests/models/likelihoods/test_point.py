import numpy as np
import pytest
from scipy.integrate import dblquad

from cherenkov_pipeline.directions import POINT_RADIUS
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, PointLikelihood, PointOutput
from cherenkov_pipeline.models.likelihoods.point import distance


def density(x, y, scale):
    outputs = np.array([[0.0, 0.0, np.log(scale)]], dtype=np.float32)
    return np.exp(-float(PointLikelihood()(np.array([[x, y]]), outputs)))


def test_density_is_one_and_the_radius_holds_its_share():
    def inside(radius):
        return 4 * dblquad(lambda r, angle: r * density(r * np.cos(angle), r * np.sin(angle), 0.4),
                           0, np.pi / 2, 0, radius, epsrel=1e-3)[0]  # fmt: skip

    assert inside(0.4 * POINT_RADIUS) == pytest.approx(0.6827, abs=2e-3)


def test_gradient_at_the_point_is_finite():
    outputs = np.array([[1.0, 2.0, 0.0]], dtype=np.float32)
    assert float(distance(np.array([[1.0, 2.0]]), outputs)[0]) == pytest.approx(0, abs=1e-5)


def test_output_speaks_the_targets_units():
    layer = PointOutput([1.0, -1.0], [2.0, 2.0])
    outputs = keras.ops.convert_to_numpy(layer(np.array([[0.5, 0.5, 0.0]], dtype=np.float32)))
    np.testing.assert_allclose(outputs[0, :2], [2.0, 0.0], atol=1e-6)


def test_calibrated_radii_hold_what_they_say():
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.05, 0.3, 6000)
    radius, angle = rng.gamma(2, 2 * scale), rng.uniform(0, 2 * np.pi, 6000)  # twice as far as predicted
    targets = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    outputs = np.column_stack([np.zeros((6000, 2)), np.log(scale)])
    constants = LIKELIHOODS["point"].calibrate(outputs[:3000], targets[:3000], np.ones(3000))
    factor = np.exp(np.interp(outputs[3000:, 2], constants["factor_places"][0], constants["log_factors"][0]))
    assert (radius[3000:] < POINT_RADIUS * scale[3000:] * factor).mean() == pytest.approx(0.6827, abs=0.03)
    assert factor.mean() == pytest.approx(2, rel=0.1)
