"""Every method by its name, trained and asked in the same way, so that they can be compared."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.alerts.autoencoder import TrainedAutoencoder, train_autoencoder
from cherenkov_pipeline.alerts.features import FEATURES, hand_features
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.isolation_forest import IsolationForest, grow_isolation_forest
from cherenkov_pipeline.alerts.parameters import (
    AutoencoderMethod,
    ForestMethod,
    IsolationForestMethod,
    Method,
    NetworkMethod,
)
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.training import TrainedNetwork, check_classes, train_network
from cherenkov_pipeline.training.trees import grow

logger = logging.getLogger(__name__)

SMALLEST_PROBABILITY = 1e-4
"""Trees that all agree say no more than this."""


@dataclass(frozen=True)
class TrainedMethod:
    """A method that has learnt.

    Attributes
    ----------
    name : str
    method : Method
        Its parameters.
    logits : ndarray
        (n,), of all images that it was given, in their order, of being a real source.
    seconds : float
        That the training took, in all processes that worked at it.
    history : QTable or None
        One row an epoch, of networks.
    trained : TrainedNetwork or TrainedAutoencoder or IsolationForest or None
        What may be kept of it.
    logit : callable
        ``SubImages -> (n,)``, for other images.
    score : callable or None
        ``SubImages -> (n,)``, of anomaly detectors: how unusual images are.
    """

    name: str
    method: Method
    logits: np.ndarray
    seconds: float
    history: QTable | None
    trained: TrainedNetwork | TrainedAutoencoder | IsolationForest | None
    logit: Callable[[SubImages], np.ndarray]
    score: Callable[[SubImages], np.ndarray] | None = None


def train_method(
    name: str,
    images: SubImages,
    splits: np.ndarray,
    method: Method,
    folder: Path,
    pretraining: Pretraining | None = None,
) -> TrainedMethod:
    """Train a method.

    Parameters
    ----------
    name : str
    images : SubImages
        Labelled.
    splits : ndarray of str
        (n,), see `~cherenkov_pipeline.alerts.splits.split`.
    method : Method
        From `~cherenkov_pipeline.alerts.parameters.preset`.
    folder : Path
        For states of trainings.
    pretraining : Pretraining, optional
        Of the weights ``simulated``, and of forests' frames.

    Raises
    ------
    UserError
        As `~cherenkov_pipeline.alerts.training.train_network`.
    """
    check_classes(images, splits)
    is_real = np.asarray(images.table["is_real"], dtype=bool)
    training, validation = splits == "train", splits == "validation"
    began = time.perf_counter()

    def measured() -> float:
        return time.perf_counter() - began

    if isinstance(method, NetworkMethod):
        simulated = pretraining.weights(method) if pretraining else None
        network = train_network(name, images, splits, method, folder, simulated)
        return TrainedMethod(
            name, method, network.logits, network.card.seconds, network.history, network, network.logit
        )
    if isinstance(method, ForestMethod):
        columns = [FEATURES.index(feature) for feature in method.features]
        known, labels = hand_features(images[training]), is_real[training]
        if method.frames and pretraining:
            frames = pretraining.images(method.frames)
            known = np.concatenate([known, hand_features(frames)])
            labels = np.concatenate([labels, np.asarray(frames.table["is_real"], dtype=bool)])
        trees = grow(known[:, columns], labels, method.forest, method.seed)

        def logit(others: SubImages) -> np.ndarray:
            share = trees.leaf_values(hand_features(others)[:, columns])[..., 0].mean(axis=1, dtype=float)
            share = np.clip(share, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
            return np.log(share / (1 - share))

        return TrainedMethod(name, method, logit(images), measured(), None, None, logit)
    usual = training & is_real if method.learn_from == "real" else training
    if isinstance(method, IsolationForestMethod):
        forest = grow_isolation_forest(hand_features(images[usual]), method.forest)
        trained, history = forest, None

        def score(others: SubImages) -> np.ndarray:
            return forest.score(hand_features(others))
    else:
        assert isinstance(method, AutoencoderMethod)
        trained = train_autoencoder(images, splits, method, folder)
        history, score = trained.history, trained.score
    scores = score(images)
    judge = _judge(scores[validation], is_real[validation])
    seconds = measured() if history is None else float(np.sum(history["seconds"]))

    def logit_of_score(others: SubImages) -> np.ndarray:
        return judge(score(others))

    return TrainedMethod(name, method, judge(scores), seconds, history, trained, logit_of_score, score)


def _judge(scores: np.ndarray, is_real: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Turn scores into logits, by a logistic regression of their logarithm on validation images (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    known = np.log(scores)
    mean, deviation = known.mean(), known.std() or 1.0
    fitted = LogisticRegression().fit((known[:, np.newaxis] - mean) / deviation, is_real)
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return lambda others: slope * (np.log(others) - mean) / deviation + offset
