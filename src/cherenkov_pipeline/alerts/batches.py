"""Batches of sub-images in several orientations, from images or from features that were computed before."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from cherenkov_pipeline.alerts.augmentation import AugmentationParameters, turned
from cherenkov_pipeline.models.backend import keras


class Source(Protocol):
    """Where the inputs of a network are from."""

    def take(self, rows: np.ndarray, orientations: np.ndarray) -> dict[str, np.ndarray]:
        """Give the inputs of images, each in its orientation."""


class Images:
    """Prepared images, turned when they are asked for.

    Parameters
    ----------
    inputs : mapping
        From `~cherenkov_pipeline.alerts.preparation.prepare`.
    """

    def __init__(self, inputs: Mapping[str, np.ndarray]):
        self._inputs = inputs

    def take(self, rows: np.ndarray, orientations: np.ndarray) -> dict[str, np.ndarray]:
        """Give the inputs of images, each in its orientation."""
        taken = {name: values[rows] for name, values in self._inputs.items()}
        for orientation in np.unique(orientations):
            chosen = orientations == orientation
            taken["image"][chosen] = turned(taken["image"][chosen], int(orientation))
        return taken


class Features:
    """Features of images in every orientation, computed before.

    Parameters
    ----------
    name : str
        Of the input.
    values : ndarray
        (orientations, n, rows, columns, features).
    others : mapping
        Inputs that do not turn: name -> (n, ...).
    """

    def __init__(self, name: str, values: np.ndarray, others: Mapping[str, np.ndarray]):
        self._name, self._values, self._others = name, values, others

    def take(self, rows: np.ndarray, orientations: np.ndarray) -> dict[str, np.ndarray]:
        """Give the inputs of images, each in its orientation."""
        others = {name: values[rows] for name, values in self._others.items()}
        return {self._name: self._values[orientations, rows].astype(np.float32), **others}


class AlertBatches(keras.utils.PyDataset):
    """Batches of (inputs, targets).

    Parameters
    ----------
    source : Source
    rows : ndarray of int
        (n,), the images.
    targets : ndarray
        (n, ...), of these images; None: the image itself and its usable pixels, of the same orientation.
    batch_size : int
    augmentation : AugmentationParameters, optional
        Of training images, which come in another order in every epoch. Default: as they are, in their order.
    seed : int
        Of order and orientations.
    """

    def __init__(
        self,
        source: Source,
        rows: np.ndarray,
        targets: np.ndarray | None,
        batch_size: int,
        augmentation: AugmentationParameters | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self._source, self._rows, self._targets = source, np.asarray(rows), targets
        self._batch_size, self._augmentation, self._seed = batch_size, augmentation, seed
        self.set_epoch(0)

    @property
    def n_images(self) -> int:
        """In an epoch."""
        return len(self._order)

    def set_epoch(self, epoch: int) -> None:
        """Draw order and orientations, which depend on seed and epoch alone."""
        order, orientations = np.arange(len(self._rows)), np.zeros(len(self._rows), dtype=int)
        if self._augmentation is not None:
            rng = np.random.default_rng([self._seed, epoch])
            known = np.array(self._augmentation.orientations)
            if self._augmentation.when == "ahead":
                order, orientations = np.repeat(order, len(known)), np.tile(known, len(order))
                shuffled = rng.permutation(len(order))
                order, orientations = order[shuffled], orientations[shuffled]
            else:
                order, orientations = rng.permutation(order), rng.choice(known, len(order))
        self._order, self._orientations = order, orientations

    def __len__(self) -> int:
        return -(-len(self._order) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        chosen = slice(index * self._batch_size, (index + 1) * self._batch_size)
        order = self._order[chosen]
        inputs = self._source.take(self._rows[order], self._orientations[chosen])
        if self._targets is not None:
            return inputs, self._targets[order]
        # the mask rides along as the image's last channel
        return {"image": inputs["image"][..., :1]}, inputs["image"]
