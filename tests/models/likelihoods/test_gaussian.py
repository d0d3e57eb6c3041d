import numpy as np
import pytest
from scipy.stats import norm

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, GaussianLikelihood, GaussianOutput, absolute_error


def numbers(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_likelihood_is_the_normal_one():
    rng = np.random.default_rng(0)
    true, mean, scale = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), rng.uniform(0.1, 2, (20, 3))
    outputs = np.concatenate([mean, np.log(scale)], axis=1).astype(np.float32)
    expected = -norm(mean, scale).logpdf(true).sum(axis=1).mean()
    assert float(GaussianLikelihood()(true, outputs)) == pytest.approx(expected, rel=1e-4)


def test_minimum_is_at_mean_and_scale_of_the_targets():
    true = np.random.default_rng(1).normal(2, 0.3, (20_000, 1)).astype(np.float32)

    def loss(mean, scale):
        return float(GaussianLikelihood()(true, np.tile([[mean, np.log(scale)]], (len(true), 1)).astype(np.float32)))

    best = loss(2, 0.3)
    assert best < min(loss(2.02, 0.3), loss(1.98, 0.3), loss(2, 0.32), loss(2, 0.28))


@pytest.mark.parametrize("raw", [-1e30, -1e4, 0.0, 1e4, 1e30])
def test_no_raw_number_breaks_the_scale(raw):
    outputs = GaussianOutput([0.0], [0.5])(np.array([[0.1, raw]], dtype=np.float32))
    assert np.isfinite(numbers(outputs)).all()


def test_output_speaks_the_targets_units():
    raw = np.array([[0.0, 0.0], [1.0, 0.0]], dtype=np.float32)
    small, large = (numbers(GaussianOutput([mean], [10.0 * mean])(raw)) for mean in (1.0, 100.0))
    np.testing.assert_allclose(large[:, 0], 100 * small[:, 0], rtol=1e-6)
    np.testing.assert_allclose(large[:, 1] - small[:, 1], np.log(100), rtol=1e-5)


def test_scale_stays_in_single_precision():
    layer = GaussianOutput([0.0], [1.0])
    assert layer(np.zeros((1, 2), dtype=np.float16)).dtype == "float32"


def test_absolute_error_reads_the_means():
    outputs = np.array([[1.0, 2.0, -9.0, -9.0]], dtype=np.float32)
    assert numbers(absolute_error(np.array([[1.5, 2.0]], dtype=np.float32), outputs)) == pytest.approx([0.25])


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_losses_are_serializable(name):
    loss = LIKELIHOODS[name].loss()
    restored = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(restored) is type(loss)
