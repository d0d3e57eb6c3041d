"""Several models as one: their logits averaged, one temperature, thresholds with a guarantee, limits of anomalies.

What is decided here is decided by `cherenkov_pipeline.alerts.verdict` for a bundle of exported networks: this module
fits the numbers that stand in the bundle, and tells the verdicts on many labelled images at once.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from pydantic import Field

from cherenkov_pipeline.alerts.guarantee import GRID, Threshold, find_threshold, one_each
from cherenkov_pipeline.alerts.verdict import FALSE, REAL, UNSURE, sigmoid
from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import UserError

logger = logging.getLogger(__name__)

FEWEST_TO_CALIBRATE = 20
"""Validation images that a temperature, a single number, is fitted to at least."""


class EnsembleParameters(Parameters):
    """What a verdict has to fulfil."""

    members: tuple[str, ...] = Field(min_length=1, description="Names of the models that are pooled.")
    detectors: tuple[str, ...] = Field(
        (), description="Names of autoencoders and isolation forests that say which images are anomalies."
    )
    alpha_real: float = Field(0.05, gt=0, lt=0.5, description="Largest share of wrong verdicts among true sources.")
    alpha_false: float = Field(0.05, gt=0, lt=0.5, description="Largest share of wrong verdicts among false alerts.")
    delta: float = Field(0.1, gt=0, lt=0.5, description="Probability that the share is larger all the same.")
    smallest_confidence: float = Field(
        0.8, ge=0.5, le=0.999, description="No threshold lies below, whatever it could promise on average."
    )
    largest_disagreement: float = Field(
        0.6, ge=0, le=1, description="Range of the members' probabilities above which they disagree."
    )
    smallest_valid_fraction: float = Field(
        0.15, ge=0, le=1, description="Share of usable pixels below which there are few."
    )
    largest_mismatch: float = Field(
        1.5, ge=1, description="Factor between snr_max and the trigger's pixel above which they do not belong together."
    )
    anomaly_quantile: float = Field(
        0.995, gt=0.5, le=1, description="Share of the validation images that are no anomaly, for each detector."
    )

    @property
    def alpha(self) -> dict[str, float]:
        """Largest share of wrong verdicts of each class."""
        return {REAL: self.alpha_real, FALSE: self.alpha_false}

    @property
    def grid(self) -> tuple[float, ...]:
        """Thresholds that are tried, from the strictest on."""
        return (*(threshold for threshold in GRID if threshold > self.smallest_confidence), self.smallest_confidence)


@dataclass(frozen=True)
class Pooled:
    """An ensemble, calibrated.

    Attributes
    ----------
    members : tuple of str
    temperature : float
        Divisor of the mean logit.
    thresholds : dict of str to Threshold
        Of the verdicts "real" and "false".
    limits : dict of str to float
        Anomaly detector -> score above which an image is an anomaly.
    parameters : EnsembleParameters
    """

    members: tuple[str, ...]
    temperature: float
    thresholds: dict[str, Threshold]
    limits: dict[str, float]
    parameters: EnsembleParameters

    def probability(self, logits: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probability of a real source, (n,), from the members' logits by name."""
        return sigmoid(_stacked(logits, self.members).mean(axis=0) / self.temperature)

    def is_usable(
        self,
        logits: Mapping[str, np.ndarray],
        quality: Mapping[str, np.ndarray] | Table,
        scores: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Tell where nothing but confidence decides: (n,) bool; see `decide`."""
        reasons = other_reasons(_stacked(logits, self.members), self, quality, scores)
        return ~np.any(list(reasons.values()), axis=0)

    def decide(
        self,
        logits: Mapping[str, np.ndarray],
        quality: Mapping[str, np.ndarray] | Table,
        scores: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Tell the verdicts.

        Parameters
        ----------
        logits : mapping
            Member -> (n,).
        quality : mapping or Table
            From `~cherenkov_pipeline.alerts.images.SubImages.quality`, or with such columns.
        scores : mapping, optional
            Anomaly detector -> (n,).

        Returns
        -------
        ndarray of str
            (n,), "real", "false" or "unsure".
        """
        probability = self.probability(logits)
        leaning = np.where(probability >= 0.5, REAL, FALSE)
        confidence = np.maximum(probability, 1 - probability)
        needed = np.full(len(confidence), np.inf)
        for name, threshold in self.thresholds.items():
            if threshold.value is not None:
                needed[leaning == name] = threshold.value
        unsure = ~(confidence >= needed) | ~self.is_usable(logits, quality, scores)
        return np.where(unsure, UNSURE, leaning)


def other_reasons(
    logits: np.ndarray,
    pooled: Pooled,
    quality: Mapping[str, np.ndarray] | Table,
    scores: Mapping[str, np.ndarray] | None,
) -> dict[str, np.ndarray]:
    """Find what makes unsure whatever the confidence: code of the reason -> (n,) bool."""
    own = sigmoid(logits / pooled.temperature)
    anomalous = np.zeros(logits.shape[1], dtype=bool)
    for name, values in (scores or {}).items():
        anomalous |= ~(np.asarray(values) <= pooled.limits[name])
    return {
        "members_disagree": np.ptp(own, axis=0) > pooled.parameters.largest_disagreement,
        "few_valid_pixels": np.asarray(quality["valid_fraction"]) < pooled.parameters.smallest_valid_fraction,
        "inconsistent_numbers": ~(np.asarray(quality["snr_mismatch"]) <= pooled.parameters.largest_mismatch),
        "anomalous": anomalous,
    }


def fit_temperature(logits: Mapping[str, np.ndarray], is_real: np.ndarray, members: tuple[str, ...]) -> float:
    """Fit the divisor of the mean logit, to validation images.

    Parameters
    ----------
    logits : mapping
        Member -> (n,).
    is_real : ndarray of bool
        (n,).
    members : tuple of str
    """
    from cherenkov_pipeline.models.likelihoods.calibration import temperature

    is_real = np.asarray(is_real, dtype=bool)
    if len(is_real) < FEWEST_TO_CALIBRATE or len(np.unique(is_real)) < 2:
        logger.warning(
            "The ensemble is not calibrated: there are %d validation images, and %d of both classes are needed.",
            len(is_real),
            FEWEST_TO_CALIBRATE,
        )
        return 1.0
    return temperature(_stacked(logits, members).mean(axis=0), is_real, np.ones(len(is_real)), FEWEST_TO_CALIBRATE)


def pool(
    logits: Mapping[str, np.ndarray],
    is_real: np.ndarray,
    groups: np.ndarray,
    validation: np.ndarray,
    calibration: np.ndarray,
    quality: Mapping[str, np.ndarray] | Table,
    parameters: EnsembleParameters,
    scores: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> Pooled:
    """Calibrate an ensemble.

    Parameters
    ----------
    logits : mapping
        Member -> (n,), of all images.
    is_real : ndarray of bool
        (n,), labels.
    groups : ndarray
        (n,), what images belong to: of each one image counts for the guarantee.
    validation : ndarray of bool
        (n,), images for temperature and limits; the networks' trainings were stopped by them.
    calibration : ndarray of bool
        (n,), images for the thresholds: nothing was fitted to them.
    quality : mapping or Table
        From `~cherenkov_pipeline.alerts.images.SubImages.quality`, or with such columns.
    parameters : EnsembleParameters
    scores : mapping, optional
        Anomaly detector -> (n,).
    seed : int
        Of the choice among the images of a group.

    Raises
    ------
    UserError
        If a member is missing, or validation and calibration images overlap.
    """
    if missing := [name for name in parameters.members if name not in logits]:
        raise UserError(
            f"The ensemble wants {missing[0]}, but there are {', '.join(logits)}: train it, or take it out."
        )
    if (validation & calibration).any():
        raise UserError("Thresholds need images of their own: validation images are among them.")
    is_real, scores = np.asarray(is_real, dtype=bool), scores or {}
    chosen = {name: np.asarray(logits[name]) for name in parameters.members}
    limits = fit_limits({name: np.asarray(values)[validation] for name, values in scores.items()}, parameters)
    own = {name: values[validation] for name, values in chosen.items()}
    temperature = fit_temperature(own, is_real[validation], parameters.members)
    before = Pooled(parameters.members, temperature, {}, limits, parameters)
    usable = calibration & before.is_usable(chosen, quality, scores)
    thresholds = find_thresholds(before.probability(chosen), is_real, groups, usable, parameters, seed)
    return Pooled(parameters.members, temperature, thresholds, limits, parameters)


def fit_limits(scores: Mapping[str, np.ndarray], parameters: EnsembleParameters) -> dict[str, float]:
    """Find the score of each anomaly detector above which an image is one, from validation images."""
    return {name: float(np.quantile(values, parameters.anomaly_quantile)) for name, values in scores.items()}


def find_thresholds(
    probability: np.ndarray,
    is_real: np.ndarray,
    groups: np.ndarray,
    usable: np.ndarray,
    parameters: EnsembleParameters,
    seed: int = 0,
) -> dict[str, Threshold]:
    """Find the thresholds of both verdicts.

    Parameters
    ----------
    probability : ndarray
        (n,), of a real source.
    is_real : ndarray of bool
        (n,), labels.
    groups : ndarray
        (n,), what images belong to: of each one image counts.
    usable : ndarray of bool
        (n,), images that nothing was fitted to, and that are not unsure for another reason.
    parameters : EnsembleParameters
    seed : int
        Of the choice among the images of a group.
    """
    rows = np.flatnonzero(usable)
    rows = rows[one_each(np.asarray(groups)[rows], seed)]
    thresholds = {}
    for name in (REAL, FALSE):
        leaning = rows[(probability[rows] >= 0.5) == (name == REAL)]
        confidence = np.maximum(probability, 1 - probability)[leaning]
        wrong = np.asarray(is_real, dtype=bool)[leaning] != (name == REAL)
        thresholds[name] = find_threshold(confidence, wrong, parameters.alpha[name], parameters.delta, parameters.grid)
    return thresholds


def _stacked(logits: Mapping[str, np.ndarray], members: tuple[str, ...]) -> np.ndarray:
    return np.stack([np.asarray(logits[name], dtype=float) for name in members])
