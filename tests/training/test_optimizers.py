import numpy as np
import pytest

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.training.optimizers import learning_rate, make_optimizer, plateau_callback
from cherenkov_pipeline.training.parameters import OptimizerParameters, TrainingParameters

GRADIENT = np.array([0.5, -2.0], dtype=np.float32)


def stepped(optimizer: keras.optimizers.Optimizer, n_variables: int = 1, steps: int = 1) -> list[np.ndarray]:
    """Variables that began at 1, after some steps with the same gradient."""
    variables = [keras.Variable(np.ones(2, dtype=np.float32)) for _ in range(n_variables)]
    optimizer.build(variables)
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(GRADIENT) for _ in variables])
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def rates(steps_per_epoch: int, **parameters) -> np.ndarray:
    chosen = TrainingParameters(**parameters)
    schedule = learning_rate(chosen, steps_per_epoch)
    return np.array([float(schedule(step)) for step in range(chosen.epochs * steps_per_epoch)])


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "sgd", "rmsprop"])
def test_every_optimizer_goes_down_the_gradient_and_decays_if_it_shall(name):
    options = {"name": name, "learning_rate": 0.01, "clip_norm": None}
    (plain,) = stepped(make_optimizer(OptimizerParameters(weight_decay=0, **options)))
    (decayed,) = stepped(make_optimizer(OptimizerParameters(weight_decay=0.5, **options)))
    assert (np.sign(plain - 1) == -np.sign(GRADIENT)).all()
    np.testing.assert_allclose(plain - decayed, 0.01 * 0.5, rtol=1e-3)


def test_muon_makes_the_steps_of_matrices_orthogonal_but_not_those_of_the_last_layer():
    network = keras.Sequential(
        [keras.Input((24,)), keras.layers.Dense(16, use_bias=False), keras.layers.Dense(3, name="head_raw")]
    )
    rng = np.random.default_rng(3)
    # singular values over three decades
    steep = rng.normal(size=(24, 16)) * np.geomspace(1, 1e-3, 16)
    gradients = [steep, rng.normal(size=(16, 3)), rng.normal(size=3)]
    before = [variable.numpy() for variable in network.trainable_variables]
    optimizer = make_optimizer(
        OptimizerParameters(name="muon", learning_rate=0.01, weight_decay=0, clip_norm=None), factors=(0.5, 1.0, 1.0)
    )
    optimizer.build(network.trainable_variables)
    optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32)) for gradient in gradients])
    hidden, *last = (old - variable.numpy() for old, variable in zip(before, network.trainable_variables, strict=True))
    stretch = np.linalg.svd(hidden, compute_uv=False)
    assert stretch.max() < 3 * np.median(stretch)
    assert np.sum(hidden * steep) > 0
    # the size of Adam's steps (Liu et al. 2025, arXiv:2502.16982), times the factor
    assert np.sqrt(np.mean(hidden**2)) == pytest.approx(0.2 * 0.01 * 0.5, rel=0.3)
    for step, gradient in zip(last, gradients[1:], strict=True):
        np.testing.assert_allclose(step, 0.01 / 3 * np.sign(gradient), rtol=1e-2)


def test_momentum_goes_on():
    options = {"name": "sgd", "learning_rate": 0.01, "clip_norm": None}
    moved = {
        label: 1 - stepped(make_optimizer(OptimizerParameters(**options, **more)), steps=2)[0]
        for label, more in (
            ("none", {}),
            ("momentum", {"momentum": 0.9}),
            ("nesterov", {"momentum": 0.9, "nesterov": True}),
        )
    }
    np.testing.assert_allclose(moved["none"], 0.02 * GRADIENT, rtol=1e-5)
    np.testing.assert_allclose(moved["momentum"], 0.01 * (1 + 1.9) * GRADIENT, rtol=1e-4)
    np.testing.assert_allclose(moved["nesterov"], 0.01 * (1.9 + 1 + 0.9 * 1.9) * GRADIENT, rtol=1e-4)


def test_clipping():
    options = {"name": "sgd", "learning_rate": 1.0}
    by_norm, by_value = (
        1 - stepped(make_optimizer(OptimizerParameters(**options, **clip)))[0]
        for clip in ({"clip_norm": 0.1}, {"clip_norm": None, "clip_value": 0.7})
    )
    assert np.linalg.norm(by_norm) == pytest.approx(0.1, rel=1e-5)
    np.testing.assert_allclose(by_value, [0.5, -0.7], rtol=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "sgd", "rmsprop"])
def test_factors_multiply_the_step_and_leave_old_weights_undecayed(name):
    parameters = OptimizerParameters(name=name, learning_rate=0.01, clip_norm=None, weight_decay=0.5)
    slow, normal = stepped(make_optimizer(parameters, factors=(0.1, 1.0)), n_variables=2, steps=3)
    (plain,) = stepped(make_optimizer(parameters.model_copy(update={"weight_decay": 0})), steps=3)
    (decayed,) = stepped(make_optimizer(parameters), steps=3)
    np.testing.assert_allclose(1 - slow, 0.1 * (1 - plain), rtol=1e-3)
    np.testing.assert_allclose(normal, decayed, rtol=1e-5)


def test_cosine_rises_then_falls_to_the_end():
    values = rates(
        10,
        epochs=8,
        optimizer={"learning_rate": 0.2},
        schedule={"name": "cosine", "warmup_epochs": 1.5, "final_fraction": 0.05},
    )
    assert values[0] == pytest.approx(0.002)
    np.testing.assert_allclose(np.diff(values[:15]), (0.2 - 0.002) / 15, rtol=1e-3)
    assert np.argmax(values) == 15
    assert values.max() == pytest.approx(0.2)
    assert (np.diff(values[15:]) < 0).all()
    assert values[15 + 33] == pytest.approx(0.2 * (0.05 + 0.95 * 0.5), rel=0.03)
    assert values[-1] == pytest.approx(0.2 * 0.05, rel=0.05)


def test_cosine_without_warm_up_begins_at_the_top():
    values = rates(5, epochs=4, schedule={"name": "cosine", "warmup_epochs": 0})
    assert values[0] == pytest.approx(1e-3)
    assert (np.diff(values) < 0).all()


def test_steps_are_taken_after_their_epochs():
    values = rates(4, epochs=6, schedule={"name": "steps", "epochs": [2, 4.5], "factor": 0.1})
    np.testing.assert_allclose(values[:8], 1e-3, rtol=1e-5)
    np.testing.assert_allclose(values[8:18], 1e-4, rtol=1e-5)
    np.testing.assert_allclose(values[18:], 1e-5, rtol=1e-5)


def test_constant_and_plateau_are_numbers():
    assert learning_rate(TrainingParameters(schedule={"name": "constant"}), 5) == 1e-3
    assert plateau_callback(TrainingParameters(schedule={"name": "constant"})) is None
    parameters = TrainingParameters(schedule={"name": "plateau", "patience": 7, "min_learning_rate": 1e-5})
    assert learning_rate(parameters, 5) == 1e-3
    assert (plateau_callback(parameters).patience, plateau_callback(parameters).min_lr) == (7, 1e-5)
