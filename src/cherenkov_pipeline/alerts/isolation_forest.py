"""How unlike all that was seen a sub-image is: an isolation forest on its features.

Liu, Ting & Zhou 2008, doi:10.1109/ICDM.2008.17: what few random cuts set apart from all else is an anomaly.
scikit-learn grows the trees; they are kept as plain arrays and read by numpy, with the same score.
"""

import os
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.trees import Trees, read_trees, write_trees


class IsolationForestParameters(Parameters):
    """How the forest is grown."""

    n_trees: int = Field(300, ge=1, le=5000, description="Trees.")
    n_samples: int = Field(256, ge=2, description="Images that each tree is grown on, at most.")
    seed: int = Field(0, ge=0, lt=2**32, description="Of the cuts.")


@dataclass(frozen=True)
class IsolationForest:
    """A grown forest.

    Attributes
    ----------
    trees : Trees
        The first value of a leaf is the expected number of cuts that set apart what reaches it.
    n_samples : int
        Images that each tree was grown on.
    """

    trees: Trees
    n_samples: int

    def score(self, features: np.ndarray) -> np.ndarray:
        """Score images by their features (n, n_features): near 1 for anomalies, 0.5 and less for the usual; (n,)."""
        cuts = self.trees.leaf_values(features)[..., 0].mean(axis=1, dtype=float)
        return 2 ** (-cuts / expected_cuts(np.array([self.n_samples]))[0])


def grow_isolation_forest(features: np.ndarray, parameters: IsolationForestParameters) -> IsolationForest:
    """Grow a forest on the features (n, n_features) of the training images.

    Raises
    ------
    UserError
        If there are fewer than two.
    """
    from sklearn.ensemble import IsolationForest as Estimator

    from cherenkov_pipeline.training.trees import trees_of

    if len(features) < 2:
        raise UserError(f"An isolation forest needs at least two training images. Received: {len(features)}")
    n_samples = min(parameters.n_samples, len(features))
    estimator = Estimator(n_estimators=parameters.n_trees, max_samples=n_samples, random_state=parameters.seed)
    estimator.fit(np.asarray(features, dtype=np.float32))
    cuts = [_depths(tree.tree_) + expected_cuts(tree.tree_.n_node_samples) for tree in estimator.estimators_]
    value = np.concatenate(cuts)
    return IsolationForest(trees_of(estimator, np.stack([value, np.zeros_like(value)], axis=1)), n_samples)


def write_isolation_forest(forest: IsolationForest, path: str | os.PathLike) -> None:
    """Write a forest as an ``.npz`` file of arrays."""
    write_trees(forest.trees, path, n_samples=forest.n_samples)


def read_isolation_forest(path: str | os.PathLike) -> IsolationForest:
    """Read a forest; raises `UserError` where that is not possible."""
    trees, numbers = read_trees(path)
    if "n_samples" not in numbers:
        raise UserError(f"{path} holds trees, but no isolation forest: write it anew.")
    return IsolationForest(trees, int(numbers["n_samples"]))


def expected_cuts(n: np.ndarray) -> np.ndarray:
    """Mean number of random cuts that set one of ``n`` things apart: eq. 1 of the paper."""
    n = np.asarray(n, dtype=float)
    many = np.maximum(n, 3)
    cuts = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(n > 2, cuts, np.where(n == 2, 1.0, 0.0))


def _depths(tree: object) -> np.ndarray:
    """Cuts above each node of one of scikit-learn's trees, whose children come after their parents."""
    depths = np.zeros(tree.node_count)
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:
            depths[[left, right]] = depths[node] + 1
    return depths
