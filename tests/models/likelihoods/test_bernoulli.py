import numpy as np
import pytest

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, BernoulliLikelihood, BernoulliOutput, calibrate_model
from cherenkov_pipeline.models.likelihoods.bernoulli import accuracy


def test_loss_is_the_cross_entropy():
    rng = np.random.default_rng(0)
    logit, target = rng.normal(0, 3, (50, 1)).astype(np.float32), rng.integers(0, 2, (50, 1))
    probability = 1 / (1 + np.exp(-logit))
    expected = -np.log(np.where(target, probability, 1 - probability)).mean()
    assert float(BernoulliLikelihood()(target, logit)) == pytest.approx(expected, rel=1e-4)


def test_certainty_does_not_overflow():
    loss = BernoulliLikelihood()(np.array([[0.0], [1.0]]), np.array([[1e4], [1e4]], dtype=np.float32))
    assert float(loss) == pytest.approx(5000)


def test_an_untrained_network_knows_how_many_there_are():
    outputs = keras.ops.convert_to_numpy(BernoulliOutput([0.8], [0.4])(np.zeros((1, 1), dtype=np.float32)))
    assert 1 / (1 + np.exp(-outputs[0, 0])) == pytest.approx(0.8)


def test_calibration_cools_the_layer():
    rng = np.random.default_rng(1)
    logit = rng.normal(0, 4, (5000, 1))
    target = rng.random((5000, 1)) < 1 / (1 + np.exp(-logit / 2))
    layer = BernoulliOutput([0.5], [0.5])
    layer.set_constants(LIKELIHOODS["bernoulli"].calibrate(logit, target, np.ones(len(logit))))
    cooled = keras.ops.convert_to_numpy(layer(logit.astype(np.float32)))
    np.testing.assert_allclose(cooled, logit / 2, rtol=0.1)


def test_an_event_without_a_prediction_does_not_count_in_the_calibration():
    rng = np.random.default_rng(3)
    logit = rng.normal(0, 2, (1000, 1)).astype(np.float32)
    target = (rng.random((1000, 1)) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    raw = keras.Input((1,), name="raw")
    model = keras.Model({"raw": raw}, BernoulliOutput([0.5], [0.5])(raw))
    found = [calibrate_model(model, LIKELIHOODS["bernoulli"], [({"raw": logit}, target)])["temperature"]]
    logit[7] = np.nan
    found.append(calibrate_model(model, LIKELIHOODS["bernoulli"], [({"raw": logit}, target)])["temperature"])
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_it_has_one_target():
    with pytest.raises(ValueError, match="one target"):
        LIKELIHOODS["bernoulli"].n_raw(2)


def test_accuracy_tells_right_from_wrong():
    truth, logits = np.array([[1, 0, 1, 0], [2, 2, -2, -2]], dtype=np.float32)[..., np.newaxis]
    np.testing.assert_array_equal(accuracy(truth, logits), [1, 0, 0, 1])
