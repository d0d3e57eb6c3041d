import json

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.decision_forest import DecisionForest, forest_features
from cherenkov_pipeline.models.forest_features import COLUMNS, FEATURES, feature_columns, feature_names
from cherenkov_pipeline.models.options import ForestParameters
from cherenkov_pipeline.training.trees import rounded_down, trees_of


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    # repeated values: thresholds fall on them
    features = np.concatenate([rng.normal(size=(600, 3)), rng.integers(0, 4, (600, 2))], axis=1).astype(np.float32)
    return features, features[:, 0] * features[:, 3] + 0.1 * rng.normal(size=600)


def outputs(layer, features):
    return keras.ops.convert_to_numpy(layer(features)).astype(float)


@pytest.mark.parametrize("depth", [None, 3])
def test_regressors_predict_as_scikit_learn(data, depth):
    features, target = data
    grown = RandomForestRegressor(12, max_depth=depth, min_samples_leaf=3, random_state=1).fit(features, target)
    mean, variance = outputs(DecisionForest.of(trees_of(grown)), features).T
    np.testing.assert_allclose(mean, grown.predict(features), rtol=1e-5, atol=1e-6)
    leaves = grown.apply(features)
    own = [tree.tree_.value[leaf, 0, 0] for tree, leaf in zip(grown.estimators_, leaves.T, strict=True)]
    within = [tree.tree_.impurity[leaf] for tree, leaf in zip(grown.estimators_, leaves.T, strict=True)]
    np.testing.assert_allclose(variance, np.mean(within, axis=0) + np.var(own, axis=0), rtol=1e-4)


def test_classifiers_predict_as_scikit_learn(data):
    features, target = data
    grown = RandomForestClassifier(15, min_samples_leaf=4, random_state=1).fit(features, target > 0)
    mean = outputs(DecisionForest.of(trees_of(grown)), features)[:, 0]
    np.testing.assert_allclose(mean, grown.predict_proba(features)[:, 1], rtol=1e-5, atol=1e-6)


def test_thresholds_send_every_float_the_same_way():
    rng = np.random.default_rng(1)
    values = rng.normal(size=1000).astype(np.float32)
    between = 0.5 * (values[:-1].astype(float) + values[1:].astype(float))
    thresholds = np.concatenate([between, values.astype(float)])
    for neighbour in (-np.inf, np.inf):
        nearby = np.nextafter(rounded_down(thresholds), np.float32(neighbour))
        np.testing.assert_array_equal(nearby <= thresholds, nearby <= rounded_down(thresholds))
    np.testing.assert_array_equal(rounded_down(thresholds) <= thresholds, True)


def test_forest_is_saved_and_loaded(data, tmp_path):
    features, target = data
    grown = RandomForestRegressor(5, random_state=1).fit(features[:, [2, 0]], target)
    inputs = keras.Input((5,))
    layer = DecisionForest.of(trees_of(grown), [2, 0])
    model = keras.Model(inputs, layer(inputs))
    assert not model.trainable_weights
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict_on_batch(features), model.predict_on_batch(features))
    np.testing.assert_allclose(
        loaded.predict_on_batch(features)[:, 0], grown.predict(features[:, [2, 0]]), rtol=1e-5, atol=1e-6
    )


def test_what_is_not_known_is_not_predicted(data):
    features, target = data
    layer = DecisionForest.of(trees_of(RandomForestRegressor(5, random_state=1).fit(features, target)))
    broken = features[:4].copy()
    broken[2, 1] = np.nan
    np.testing.assert_array_equal(np.isnan(outputs(layer, broken)).all(axis=1), [False, False, True, False])


def test_features_have_the_ratio_of_width_and_length():
    values = np.random.default_rng(0).uniform(0.1, 1, (3, len(COLUMNS))).astype(np.float32)
    width, length = COLUMNS.index("hillas_width"), COLUMNS.index("hillas_length")
    values[2] = 0  # an image without parameters
    features = keras.ops.convert_to_numpy(forest_features({"parameters": values}))
    np.testing.assert_array_equal(features[:2, -1], values[:2, width] / values[:2, length])
    assert np.isnan(features[2, -1])
    np.testing.assert_array_equal(features[:, :-1], values)
    with pytest.raises(UserError, match="hillas_width"):
        forest_features({"parameters": values}, COLUMNS[2:])


def test_columns_are_those_of_the_features():
    names = ("impact", *COLUMNS)
    known = [*names, "width_over_length"]
    for forest in FEATURES:
        for timing in (True, False):
            found = [known[column] for column in feature_columns(forest, names, timing=timing)]
            assert tuple(found) == feature_names(forest, timing=timing, further=["impact"])
            assert ("timing_slope" in found) is timing
            assert ("hillas_fov_lon" in found) is (forest in ("energy", "type"))


def test_features_are_those_of_the_collaboration(test_data):
    """sst1mpipe's mono features; it names the camera frame where ours are in the telescope frame."""
    config = json.loads((test_data / "sst1m" / "sst1mpipe_mc_config.json").read_text())
    ours = {
        "log_hillas_intensity": "log_camera_frame_hillas_intensity",
        "width_over_length": "camera_frame_hillas_wl",
        "hillas_fov_lon": "camera_frame_hillas_x",
        "hillas_fov_lat": "camera_frame_hillas_y",
        "leakage_intensity_width_2": "leakage_intensity_width_2",
    }
    for forest, key in (
        ("energy", "energy_regression_features"),
        ("type", "particle_classification_features"),
        ("disp", "disp_regression_features"),
        ("sign", "disp_classification_features"),
    ):
        expected = {name for name in config[key] if not name.startswith("HillasReconstructor")}
        assert {ours.get(n, f"camera_frame_{n}") for n in feature_names(forest, timing=True)} == expected
    regressor, classifier = (config[f"random_forest_{kind}_args"] for kind in ("regressor", "classifier"))
    defaults = ForestParameters()
    assert defaults.n_trees_regression == regressor["n_estimators"]
    assert defaults.n_trees_classification == classifier["n_estimators"]
    for name in ("max_depth", "min_samples_leaf", "min_samples_split"):
        assert getattr(defaults, name) == regressor[name] == classifier[name]
