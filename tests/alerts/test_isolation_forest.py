import subprocess
import sys

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as Estimator

from cherenkov_pipeline.alerts.isolation_forest import (
    IsolationForestParameters,
    grow_isolation_forest,
    read_isolation_forest,
    write_isolation_forest,
)
from cherenkov_pipeline.errors import UserError

PARAMETERS = IsolationForestParameters(n_trees=40, n_samples=64, seed=3)


def _features(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 5)).astype(np.float32)


@pytest.mark.parametrize("n", [300, 20])
def test_score_is_that_of_scikit_learn(n, tmp_path):
    forest = grow_isolation_forest(_features(n), PARAMETERS)
    estimator = Estimator(n_estimators=40, max_samples=min(n, 64), random_state=3).fit(_features(n))
    events = np.concatenate([3 * _features(500, 1), _features(n)])
    np.testing.assert_allclose(forest.score(events), -estimator.score_samples(events), rtol=1e-6)
    write_isolation_forest(forest, tmp_path / "forest.npz")
    np.testing.assert_array_equal(read_isolation_forest(tmp_path / "forest.npz").score(events), forest.score(events))


def test_what_is_far_away_scores_higher():
    forest = grow_isolation_forest(_features(400), PARAMETERS)
    assert forest.score(np.full((1, 5), 8.0)) > np.quantile(forest.score(_features(200, 2)), 0.99)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "forest.npz"
    with pytest.raises(UserError, match="Cannot read"):
        read_isolation_forest(path)
    write_isolation_forest(grow_isolation_forest(_features(50), PARAMETERS), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="Cannot read"):
        read_isolation_forest(path)
    arrays = {"roots": np.array([0]), "feature": np.array([0]), "threshold": np.zeros(1), "value": np.zeros((1, 2))}
    np.savez(path, **arrays, left=np.array([7]), right=np.array([0]), depth=1, n_samples=3)
    with pytest.raises(UserError, match="lead nowhere"):
        read_isolation_forest(path)
    np.savez(path, **arrays, left=np.array([0]), right=np.array([0]), depth=1)
    with pytest.raises(UserError, match="no isolation forest"):
        read_isolation_forest(path)
    np.savez(path, roots=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="Cannot read"):
        read_isolation_forest(path)


def test_one_image_is_too_few():
    with pytest.raises(UserError, match="two training images"):
        grow_isolation_forest(_features(1), PARAMETERS)


def test_scoring_needs_neither_keras_nor_scikit_learn():
    code = (
        "import sys, cherenkov_pipeline.alerts.isolation_forest, cherenkov_pipeline.alerts.features,"
        " cherenkov_pipeline.alerts.preparation;"
        "print([name for name in ('keras', 'tensorflow', 'sklearn', 'ctapipe') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
