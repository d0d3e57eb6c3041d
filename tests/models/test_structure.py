"""A network is the same one, whatever the process has built before it."""

import numpy as np
import pytest
from tests.models import registered

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import REGISTRY
from cherenkov_pipeline.models.saved import load_network
from cherenkov_pipeline.models.structure import structure
from cherenkov_pipeline.tasks import TASKS

SHAPES = {"image": (8, 8, 2)}
SCALES = Scales([0.4], [0.6])


def nameless(inputs, width: int = 3):
    """Backbone of operations, layers, a wrapper and a network that have no names."""
    x = keras.layers.Conv2D(width, 3)(inputs["image"])
    rows = keras.layers.TimeDistributed(keras.layers.Flatten())(x)
    rows = keras.layers.Bidirectional(keras.layers.LSTM(2))(rows)
    maps = keras.ops.cast(keras.ops.mean(x, axis=(1, 2)) > 0.1, "float32") * x[:, 0, 0]
    inner = keras.Sequential([keras.Input((width,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    return keras.ops.concatenate([rows, inner(maps), keras.layers.Dense(2)(maps)], axis=-1)


def own(**options) -> keras.Model:
    return build_model(ModelParameters(name=f"{__name__}:nameless", options=options), TASKS["energy"], SHAPES, SCALES)


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if entry.trainer == "gradient"])
def test_registered_models_are_the_same_when_built_again(name):
    first, again = (registered.built(name)[0] for _ in range(2))
    assert structure(first) == structure(again)
    assert structure(first) == first.to_json()  # without a name that Keras gave


def test_own_models_are_the_same_when_built_again_and_loaded(tmp_path):
    first, again = own(), own()
    assert first.to_json() != again.to_json()
    assert structure(first) == structure(again) != structure(own(width=4))
    first.save(tmp_path / "model.keras")
    _, loaded = load_network(tmp_path / "model.keras")
    assert structure(loaded) == structure(first)
    events = {"image": np.random.default_rng(0).normal(size=(4, *SHAPES["image"]))}
    np.testing.assert_array_equal(loaded.predict_on_batch(events), first.predict_on_batch(events))


def test_what_is_joined_to_what_counts():
    def crossed(order: int) -> keras.Model:
        given = keras.Input((2,), name="given")
        one, two = keras.layers.Dense(2)(given), keras.layers.Dense(2, "relu")(given)
        return keras.Model(given, keras.ops.subtract(*(one, two)[::order]), name="crossed")

    assert structure(crossed(1)) == structure(crossed(1))
    assert structure(crossed(1)) != structure(crossed(-1))
