import numpy as np
import pytest

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    GaussianLikelihood,
    HeadTailLikelihood,
    calibrate_model,
    output_layer,
)
from cherenkov_pipeline.models.likelihoods.joint import JointOutput, parse

THREE = "gaussian(1)+bernoulli(1)+head_tail(2)"


def network(name, n_targets=4):
    likelihood = LIKELIHOODS[name]
    features, frame = keras.Input((6,), name="features"), keras.Input((4,), name="shower_frame")
    raw = keras.layers.Dense(likelihood.n_raw(n_targets), name="raw")(features)
    layer = likelihood.output_layer([0.5] * n_targets, [0.4] * n_targets, name="head")
    inputs = {"features": features} | ({"shower_frame": frame} if likelihood.needs_frame else {})
    return keras.Model(inputs, layer([raw, frame] if likelihood.needs_frame else raw))


def events(n, rng):
    """A third are protons: of them, only the type is learnt."""
    angle = rng.uniform(0, 6, n)
    inputs = {
        "features": rng.normal(size=(n, 6)).astype(np.float32),
        "shower_frame": np.column_stack([*rng.normal(size=(2, n)), np.cos(angle), np.sin(angle)]).astype(np.float32),
    }
    targets = rng.normal(size=(n, 4)).astype(np.float32)
    proton = np.arange(n) % 3 == 0
    targets[:, 1] = ~proton
    targets[proton] = np.where([False, True, False, False], targets[proton], np.nan)
    return inputs, targets


def test_columns_stand_side_by_side():
    parts = parse(THREE)
    assert [(part.targets.stop, part.raw.stop, part.outputs.stop) for part in parts] == [
        (1, 2, 2), (2, 3, 3), (4, 10, 14)
    ]  # fmt: skip
    assert network(THREE).output_shape == (None, LIKELIHOODS[THREE].n_outputs(4)) == (None, 14 + 6)


@pytest.mark.parametrize("name", ["gauss(1)+point(2)", "gaussian(1)+2*bernoulli(1)", "gaussian(1)+"])
def test_what_is_no_likelihood_is_refused(name):
    with pytest.raises(ValueError, match="Received"):
        LIKELIHOODS[name]
    with pytest.raises(KeyError):
        LIKELIHOODS["cauchy"]


def test_given_weights_count_and_missing_targets_do_not():
    rng = np.random.default_rng(0)
    name = "2.0*gaussian(1)+0.5*bernoulli(1)"
    model = network(name, 2)
    inputs, targets = events(30, rng)
    outputs, targets = model.predict({"features": inputs["features"]}, verbose=0), targets[:, :2]
    loss = keras.ops.convert_to_numpy(LIKELIHOODS[name].loss()(targets, outputs))
    gamma = np.isfinite(targets[:, 0])
    energy = float(GaussianLikelihood()(targets[gamma, :1], outputs[gamma, :2])) * gamma.sum()
    kind = float(BernoulliLikelihood()(targets[:, 1:], outputs[:, 2:3])) * 30
    assert float(loss) == pytest.approx((2 * energy + 0.5 * kind) / 30, rel=1e-4)


def test_learned_weights_learn_and_no_gradient_is_lost():
    rng = np.random.default_rng(1)
    model, (inputs, targets) = network(THREE), events(90, rng)
    likelihood = LIKELIHOODS[THREE]
    model.compile(keras.optimizers.Adam(0.05), likelihood.loss(), metrics=likelihood.metrics)
    history = model.fit(inputs, targets, epochs=15, batch_size=30, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    variances = keras.ops.convert_to_numpy(output_layer(model).log_variances)
    assert (variances != 0).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_metrics_leave_out_what_is_missing():
    rng = np.random.default_rng(2)
    model, (inputs, targets) = network(THREE), events(60, rng)
    (metric,) = (found for found in LIKELIHOODS[THREE].metrics if found.name == "gaussian_0_absolute_error")
    outputs = model.predict(inputs, verbose=0)
    metric.update_state(targets, outputs)
    assert float(metric.result()) == pytest.approx(np.nanmean(np.abs(targets[:, 0] - outputs[:, 0])), rel=1e-4)


def test_calibration_is_saved_and_done_once(tmp_path):
    rng = np.random.default_rng(3)
    model, (inputs, targets) = network(THREE), events(600, rng)
    likelihood = LIKELIHOODS[THREE]
    batches = [({name: values[::2] for name, values in inputs.items()}, targets[::2])]
    constants = calibrate_model(model, likelihood, batches)
    assert {name.split(".")[1] for name in constants} == {"factor_places", "log_factors", "temperature"}
    again = calibrate_model(model, likelihood, batches)
    for name, value in constants.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-3, atol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0), rtol=1e-5)


def test_calibration_weighs_events_as_the_training_does():
    """Weights of whole numbers count as often as events that are repeated."""
    rng = np.random.default_rng(4)
    likelihood = LIKELIHOODS[THREE]
    inputs, targets = events(600, rng)
    weights = np.where(targets[:, 1] == 0, 4, 1)
    model = network(THREE)
    logit = model.get_layer("raw").get_weights()[0][:, parse(THREE)[1].raw][:, 0]
    inputs["features"] += 1.5 * targets[:, 1:2] * logit / np.sum(logit**2)  # the larger the surer
    repeated = np.repeat(np.arange(600), weights)
    found, expected, unweighted = (
        calibrate_model(model, likelihood, batches)
        for batches in (
            [(inputs, targets, weights)],
            [({name: values[repeated] for name, values in inputs.items()}, targets[repeated])],
            [(inputs, targets)],
        )
    )
    np.testing.assert_allclose(found["1.temperature"], expected["1.temperature"], rtol=1e-3)
    assert abs(np.log(found["1.temperature"] / unweighted["1.temperature"])) > 0.05


def test_too_few_events_to_calibrate_are_told(caplog):
    inputs, targets = events(60, np.random.default_rng(5))
    constants = calibrate_model(network(THREE), LIKELIHOODS[THREE], [(inputs, targets)])
    assert not constants["0.log_factors"].any()
    assert [record.message for record in caplog.records if record.name.startswith("cherenkov")] == [
        "The model is not calibrated: there are 60 validation events, and 100 are needed."
    ]


def test_unknown_constants_are_refused():
    layer = JointOutput([0.0] * 2, [1.0] * 2, "gaussian(1)+bernoulli(1)")
    with pytest.raises(ValueError, match="Received"):
        layer.set_constants({"1.heat": [1.0]})
    with pytest.raises(ValueError, match="shape"):
        layer.set_constants({"1.temperature": [1.0, 2.0]})


def test_learned_weights_are_those_of_homoscedastic_noise():
    model, (inputs, targets) = network(THREE), events(30, np.random.default_rng(6))
    given = np.array([0.5, -0.8, 1.1], dtype=np.float32)
    output_layer(model).log_variances.assign(given)
    outputs = model.predict(inputs, verbose=0)
    s = 4 * np.tanh(given / 4)
    lowest = np.log(0.4 * 0.05) + 0.5 * np.log(2 * np.pi), 0.0, 2 * np.log(0.02)
    expected = np.zeros(30)
    parts = (GaussianLikelihood, 0, 1, 0, 2), (BernoulliLikelihood, 1, 2, 2, 3), (HeadTailLikelihood, 2, 4, 3, 14)
    for number, (loss, t0, t1, o0, o1) in enumerate(parts):
        present = np.isfinite(targets[:, t0:t1]).all(axis=1)
        own = np.asarray(loss().call(targets[present, t0:t1], outputs[present, o0:o1]))
        expected[present] += np.exp(-s[number]) * (own - lowest[number]) + s[number]
    found = keras.ops.convert_to_numpy(LIKELIHOODS[THREE].loss().call(targets, outputs))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
