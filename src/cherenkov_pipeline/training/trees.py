"""Trees that scikit-learn grows, as arrays: nothing of scikit-learn is left in a trained model."""

from typing import TYPE_CHECKING

import numpy as np

from cherenkov_pipeline.models.options import ForestParameters
from cherenkov_pipeline.models.trees import Trees

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor


def grow(
    features: np.ndarray,
    targets: np.ndarray,
    parameters: ForestParameters,
    seed: int,
    weights: np.ndarray | None = None,
) -> Trees:
    """Grow a forest.

    Parameters
    ----------
    features : ndarray
        (n, n_features) float32, finite.
    targets : ndarray
        (n,); booleans grow classifiers, whose mean is the probability of True, numbers regressors.
    parameters : ForestParameters
    seed : int
        The same seed grows the same forest.
    weights : ndarray, optional
        (n,), of the events. Default: equal ones.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    common = parameters.model_dump(include={"max_depth", "min_samples_leaf", "min_samples_split", "n_jobs"})
    if targets.dtype == bool:
        estimator = RandomForestClassifier(parameters.n_trees_classification, random_state=seed, **common)
    else:
        estimator = RandomForestRegressor(parameters.n_trees_regression, random_state=seed, **common)
    return trees_of(estimator.fit(features, targets, sample_weight=weights))


def trees_of(
    estimator: "RandomForestClassifier | RandomForestRegressor | IsolationForest", value: np.ndarray | None = None
) -> Trees:
    """Take a grown forest apart; of classifiers, those of two classes.

    Parameters
    ----------
    estimator
        Fitted; each of its trees reads all features.
    value : ndarray, optional
        (n_nodes, 2), of the nodes of all trees. Default: mean and variance of the targets in each.
    """
    trees = [tree.tree_ for tree in estimator.estimators_]
    sizes = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    own = np.arange(sum(sizes))
    first = np.repeat(roots, sizes)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in trees])

    left, right, feature = joined("children_left"), joined("children_right"), joined("feature")
    is_leaf = left < 0
    return Trees(
        roots=roots.astype(np.int32),
        feature=np.where(is_leaf, 0, feature).astype(np.int32),
        threshold=rounded_down(np.where(is_leaf, 0, joined("threshold"))),
        left=np.where(is_leaf, own, left + first).astype(np.int32),
        right=np.where(is_leaf, own, right + first).astype(np.int32),
        value=_moments(estimator, joined("value"), joined("impurity")) if value is None else value.astype(np.float32),
        depth=max(tree.max_depth for tree in trees),
    )


def rounded_down(values: np.ndarray) -> np.ndarray:
    """Largest float32 that is not larger: a float32 is at most ``values`` if and only if it is at most this."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def _moments(
    estimator: "RandomForestClassifier | RandomForestRegressor", value: np.ndarray, impurity: np.ndarray
) -> np.ndarray:
    """Mean and variance of the targets in each node: (n_nodes, 2) float32."""
    if hasattr(estimator, "classes_"):
        shares = value[:, 0] / value[:, 0].sum(axis=1, keepdims=True)
        mean = shares @ estimator.classes_.astype(float)
        return np.stack([mean, mean * (1 - mean)], axis=1).astype(np.float32)
    return np.stack([value[:, 0, 0], impurity], axis=1).astype(np.float32)
