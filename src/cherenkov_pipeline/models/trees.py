"""Grown trees as plain arrays, read by numpy alone: nothing of what grew them is left, and nothing is unpickled."""

import os
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path

ARRAYS = ("roots", "feature", "threshold", "left", "right", "value")
"""Names of the arrays of `Trees`."""


@dataclass(frozen=True)
class Trees:
    """The nodes of all trees of a forest, one tree after the other.

    Attributes
    ----------
    roots : ndarray of int32
        (n_trees,), first node of each tree.
    feature : ndarray of int32
        (n_nodes,), number of the feature that a node compares.
    threshold : ndarray of float32
        (n_nodes,); a feature at most as large goes left.
    left, right : ndarray of int32
        (n_nodes,), the next node; a leaf's is itself.
    value : ndarray of float32
        (n_nodes, 2), mean and variance of the training targets in a node.
    depth : int
        Steps to the deepest leaf.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    depth: int

    def leaf_values(self, features: np.ndarray) -> np.ndarray:
        """Go down all trees.

        Parameters
        ----------
        features : ndarray
            (n, n_features), compared in single precision.

        Returns
        -------
        ndarray
            (n, n_trees, 2), the ``value`` of the leaves reached.
        """
        features = np.asarray(features, dtype=np.float32)
        nodes = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        for _ in range(self.depth):
            goes_left = np.take_along_axis(features, self.feature[nodes], axis=1) <= self.threshold[nodes]
            nodes = np.where(goes_left, self.left[nodes], self.right[nodes])
        return self.value[nodes]


def write_trees(trees: Trees, path: str | os.PathLike, **numbers: float) -> None:
    """Write trees, and numbers that belong to them, as one ``.npz`` file of arrays."""
    with atomic_path(path) as part, part.open("wb") as stream:
        arrays = {name: getattr(trees, name) for name in ARRAYS}
        np.savez_compressed(stream, depth=trees.depth, **arrays, **numbers)


def read_trees(path: str | os.PathLike) -> tuple[Trees, dict[str, float]]:
    """Read what `write_trees` has written.

    Returns
    -------
    trees : Trees
    numbers : dict

    Raises
    ------
    UserError
        If the file is missing, cut off or something else, or its nodes lead nowhere.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            content = dict(archive)
        arrays = {name: content.pop(name) for name in ARRAYS}
        trees = Trees(**arrays, depth=int(content.pop("depth")))
        numbers = {name: float(value) for name, value in content.items()}
        n_nodes = len(trees.feature)
        places = (trees.roots, trees.left, trees.right)
        sizes = {len(arrays[name]) for name in ARRAYS[1:]}
        if sizes != {n_nodes} or any(place.min() < 0 or place.max() >= n_nodes for place in places):
            raise ValueError("nodes lead nowhere")
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, BadZipFile) as error:
        raise UserError(f"Cannot read the trees in {path} ({error}): write them anew.") from error
    return trees, numbers
