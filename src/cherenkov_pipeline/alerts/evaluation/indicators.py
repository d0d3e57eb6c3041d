"""The talk's indicators of one training: A quality, B overfitting, C stability, D distribution of probabilities."""

from dataclasses import asdict, dataclass

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.alerts.verdict import sigmoid
from cherenkov_pipeline.performance import classification

LAST_EPOCHS = 10
"""Epochs at the end of a training that overfitting and stability are read from."""


@dataclass(frozen=True)
class Indicators:
    """Indicators of one training; NaN where a method has no epochs.

    Attributes
    ----------
    accuracy, precision, recall, f1 : float
        A, of the test images.
    gap : float
        B, training less validation accuracy, mean of the last epochs.
    instability : float
        C, standard deviation of the validation accuracy in the last epochs.
    separation : float
        D, the share of the right decisions that are more certain than nine in ten of the wrong ones; NaN without any.
    """

    accuracy: float
    precision: float
    recall: float
    f1: float
    gap: float
    instability: float
    separation: float

    def as_dict(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


def indicators(logits: np.ndarray, is_real: np.ndarray, history: QTable | None) -> Indicators:
    """Compute the indicators.

    Parameters
    ----------
    logits : ndarray
        (n,), of test images.
    is_real : ndarray of bool
        (n,), their labels.
    history : QTable or None
        One row an epoch, with ``accuracy`` and ``val_accuracy``.
    """
    positive, score = np.asarray(is_real, dtype=float), (logits > 0).astype(float)
    gap = instability = float("nan")
    if history is not None and "val_accuracy" in history.colnames:
        last = history[-LAST_EPOCHS:]
        gap = float(np.mean(last["accuracy"] - last["val_accuracy"]))
        instability = float(np.std(last["val_accuracy"]))
    winning, is_right = winning_probability(logits), score == positive
    wrong = winning[~is_right]
    separation = float(np.mean(winning[is_right] > np.quantile(wrong, 0.9))) if len(wrong) else float("nan")
    return Indicators(
        *(
            float(function(positive, score))
            for function in (
                classification.accuracy,
                classification.precision,
                classification.recall,
                classification.f1,
            )
        ),
        gap,
        instability,
        separation,
    )


def winning_probability(logits: np.ndarray) -> np.ndarray:
    """Probability of the class that is more probable."""
    return sigmoid(np.abs(logits))
