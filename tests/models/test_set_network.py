import numpy as np
import pytest

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.options import SetNetworkOptions
from cherenkov_pipeline.models.set_network import set_network
from cherenkov_pipeline.store.brightest import FEATURES

ALONG, ACROSS = FEATURES.index("along"), FEATURES.index("across")
N_PIXELS, N_EVENTS, N_ODD = 24, 20, 4
OPTIONS = {"width": 16, "exchanges": 2, "heads": 4, "units": (12, 8), "odd_units": N_ODD, "dropout": 0.0}


def build(parameters=3, **changes):
    shapes = {"brightest": (N_PIXELS, len(FEATURES)), "brightest_mask": (N_PIXELS,), "shower_frame": (4,)}
    if parameters:
        shapes["parameters"] = (parameters,)
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    keras.utils.set_random_seed(1)
    return keras.Model(inputs, set_network(inputs, **OPTIONS | changes))


def events(rng, n=N_EVENTS):
    mask = (np.arange(N_PIXELS) < rng.integers(3, N_PIXELS, (n, 1))).astype(np.float32)
    pixels = rng.normal(size=(n, N_PIXELS, len(FEATURES))) * mask[..., np.newaxis]
    pixels[..., FEATURES.index("cleaned")] = np.arange(N_PIXELS) < 3
    angle = rng.uniform(0, 2 * np.pi, n)
    return {
        "brightest": pixels.astype(np.float32),
        "brightest_mask": mask,
        "shower_frame": np.column_stack([*rng.normal(size=(2, n)), np.cos(angle), np.sin(angle)]).astype(np.float32),
        "parameters": rng.normal(size=(n, 3)).astype(np.float32),
    }


@pytest.fixture
def sample():
    return events(np.random.default_rng(0))


def features(model, inputs):
    return keras.ops.convert_to_numpy(model({name: inputs[name] for name in model.input}, training=False))


def test_the_order_of_the_pixels_does_not_count(sample):
    model, order = build(), np.random.default_rng(1).permutation(N_PIXELS)
    mixed = sample | {name: sample[name][:, order] for name in ("brightest", "brightest_mask")}
    np.testing.assert_allclose(features(model, mixed), features(model, sample), rtol=1e-3, atol=1e-4)


def test_absent_pixels_do_not_count(sample):
    model = build()
    pixels = sample["brightest"] + 5 * (1 - sample["brightest_mask"])[..., np.newaxis]
    pixels[..., FEATURES.index("cleaned")] = sample["brightest"][..., FEATURES.index("cleaned")]
    np.testing.assert_allclose(
        features(model, sample | {"brightest": pixels}), features(model, sample), rtol=1e-3, atol=1e-4
    )


def test_a_mirrored_shower_differs_in_the_sign_of_the_odd_features_alone(sample):
    model = build()
    pixels, frame = sample["brightest"].copy(), sample["shower_frame"].copy()
    pixels[..., ACROSS] *= -1
    frame[:, [1, 3]] *= -1
    one, other = features(model, sample), features(model, sample | {"brightest": pixels, "shower_frame": frame})
    np.testing.assert_allclose(other[:, :-N_ODD], one[:, :-N_ODD], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(other[:, -N_ODD:], -one[:, -N_ODD:], rtol=1e-3, atol=1e-4)
    assert np.abs(one[:, -N_ODD:]).max() > 1e-3


def test_a_turned_camera_sees_the_same_shower(sample):
    model, angle = build(), 1.1
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    frame = np.hstack([sample["shower_frame"][:, :2] @ turn, sample["shower_frame"][:, 2:] @ turn])
    turned = sample | {"shower_frame": frame.astype(np.float32)}
    np.testing.assert_allclose(features(model, turned), features(model, sample), rtol=1e-3, atol=1e-4)


def test_an_image_without_light_or_a_single_pixel_has_finite_features(sample):
    nothing = {name: np.zeros_like(values) for name, values in sample.items()}
    single = {name: values.copy() for name, values in sample.items()}
    single["brightest_mask"][:, 1:], single["brightest"][:, 1:] = 0, 0
    for inputs in (nothing, single):
        assert np.isfinite(features(build(), inputs)).all()


def test_gradients_are_finite_without_light(sample):
    model = build()
    inputs = {name: np.zeros_like(values) for name, values in sample.items()}
    model.compile("sgd", "mse")
    model.fit(inputs, np.ones((N_EVENTS, 8 + N_ODD), dtype=np.float32), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize(
    "changes", [{}, {"parameters": 0}, {"odd_units": 0, "heads": 0}, {"exchanges": 0, "dropout": 0.5}]
)
def test_it_is_saved(sample, changes, tmp_path):
    model = build(**changes)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(features(loaded, sample), features(model, sample), rtol=1e-5)


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="multiple of heads"):
        SetNetworkOptions(width=30, heads=4)
