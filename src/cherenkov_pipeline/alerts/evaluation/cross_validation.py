"""All methods on every fold of a repeated, grouped, stratified cross-validation, and the ensemble of each fold.

In each fold, networks are stopped by its validation images, which also give temperature and anomaly limits; its test
images are predicted by models that have seen neither them nor other alerts of their bursts. Thresholds need images of
their own. Where there are none, those of a fold are fitted to the predictions of the other folds' test images, so that
no image has a say in its own threshold.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from cherenkov_pipeline.alerts.ensemble import (
    EnsembleParameters,
    Pooled,
    find_thresholds,
    fit_limits,
    fit_temperature,
)
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.methods import TrainedMethod, train_method
from cherenkov_pipeline.alerts.parameters import Method
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.splits import CrossValidationParameters, cross_validation, groups
from cherenkov_pipeline.errors import UserError

logger = logging.getLogger(__name__)

ENSEMBLE = "ensemble"
"""Name of the ensemble among the methods."""


@dataclass(frozen=True)
class CrossValidated:
    """Predictions of images by models that did not know them.

    Attributes
    ----------
    predictions : Table
        One row an image and repeat: ``row`` (of the images), ``repeat``, ``fold``, ``group``, ``is_real`` (label),
        ``valid_fraction``, for each method ``logit_<name>``, ``probability_ensemble`` and ``verdict``.
    others : dict of str to Table
        The same of other images, such as those of the mask pattern that was held back, judged by the models of every
        fold.
    """

    predictions: Table
    others: dict[str, Table]


def validate(
    images: SubImages,
    methods: Mapping[str, Method],
    ensemble: EnsembleParameters,
    parameters: CrossValidationParameters,
    folder: Path,
    pretraining: Pretraining | None = None,
    others: Mapping[str, SubImages] | None = None,
    calibration: SubImages | None = None,
) -> CrossValidated:
    """Cross-validate methods and their ensemble; what was trained before is not trained again.

    Parameters
    ----------
    images : SubImages
        Labelled.
    methods : mapping
        Name -> parameters; members and detectors of the ensemble are among them.
    ensemble : EnsembleParameters
    parameters : CrossValidationParameters
    folder : Path
        For states of trainings.
    pretraining : Pretraining, optional
        Of the weights ``simulated``.
    others : mapping, optional
        Name -> labelled images that no model is trained on.
    calibration : SubImages, optional
        Labelled images for the thresholds alone; without them those of other folds are taken.

    Raises
    ------
    UserError
        If a member or detector of the ensemble is not among the methods; otherwise as the trainings.
    """
    if missing := [name for name in (*ensemble.members, *ensemble.detectors) if name not in methods]:
        raise UserError(f"The ensemble wants {missing[0]}, but the methods are {', '.join(methods)}.")
    folds = []
    for repeat, fold, splits in cross_validation(images.table, parameters):
        logger.info("Repeat %d, fold %d of %d.", repeat + 1, fold + 1, parameters.folds)
        trained = {
            name: train_method(f"{name}, fold {repeat + 1}.{fold + 1}", images, splits, method, folder, pretraining)
            for name, method in methods.items()
        }
        folds.append(_Fold(repeat, fold, images, splits, trained, ensemble, others or {}))
    tested = [fold.table(fold.images, np.flatnonzero(fold.splits == "test")) for fold in folds]
    predictions = vstack(tested)
    verdicts, judged = np.full(len(predictions), "unsure"), {name: [] for name in others or {}}
    for fold in folds:
        of_fold = (predictions["repeat"] == fold.repeat) & (predictions["fold"] == fold.fold)
        if calibration is None:
            pooled = fold.with_thresholds(predictions[(predictions["repeat"] == fold.repeat) & ~of_fold])
        else:
            everything = np.arange(len(calibration))
            pooled = fold.with_thresholds(fold.table(calibration, everything, ensemble.members))
        verdicts[of_fold] = _decide(pooled, predictions[of_fold])
        for name, some in fold.others.items():
            table = fold.table(some, np.arange(len(some)))
            table["verdict"] = _decide(pooled, table)
            judged[name].append(table)
    predictions["verdict"] = verdicts
    return CrossValidated(predictions, {name: vstack(tables) for name, tables in judged.items()})


@dataclass(frozen=True)
class _Fold:
    """The models of one fold."""

    repeat: int
    fold: int
    images: SubImages
    splits: np.ndarray
    trained: Mapping[str, TrainedMethod]
    ensemble: EnsembleParameters
    others: Mapping[str, SubImages]

    @property
    def detectors(self) -> list[str]:
        """Names of the anomaly detectors."""
        return list(self.ensemble.detectors)

    def table(self, images: SubImages, rows: np.ndarray, methods: Iterable[str] | None = None) -> Table:
        """Predictions of some images, by the ensemble and by all methods, or by those that are named."""
        own = images is self.images
        some = images[rows]
        asked = {name: self.trained[name] for name in methods or self.trained}
        logits = {name: one.logits[rows] if own else one.logit(some) for name, one in asked.items()}
        pooled = self._pooled()
        table = Table(
            {
                "row": rows,
                "repeat": np.full(len(rows), self.repeat),
                "fold": np.full(len(rows), self.fold),
                "group": groups(images.table)[rows],
                "is_real": np.asarray(images.table["is_real"], dtype=bool)[rows],
                "valid_fraction": some.valid_fraction,
                **{f"logit_{name}": values for name, values in logits.items()},
                "probability_ensemble": pooled.probability(logits),
            }
        )
        for name in self.detectors:
            table[f"anomaly_{name}"] = self.trained[name].score(some) / pooled.limits[name]
        return table

    def with_thresholds(self, calibration: Table) -> Pooled:
        """Complete the ensemble of the fold, by predictions of images that its models have not seen."""
        fitted = self._pooled()
        # the tables hold scores over their fold's limits
        pooled = replace(fitted, limits=dict.fromkeys(fitted.limits, 1.0))
        logits = {name: np.asarray(calibration[f"logit_{name}"]) for name in self.ensemble.members}
        thresholds = find_thresholds(
            np.asarray(calibration["probability_ensemble"]),
            np.asarray(calibration["is_real"]),
            np.asarray(calibration["group"]),
            pooled.is_usable(logits, calibration["valid_fraction"], _scores(calibration, self.detectors)),
            self.ensemble,
        )
        return replace(pooled, thresholds=thresholds)

    def _pooled(self) -> Pooled:
        validation = np.flatnonzero(self.splits == "validation")
        logits = {name: self.trained[name].logits[validation] for name in self.ensemble.members}
        is_real = np.asarray(self.images.table["is_real"], dtype=bool)[validation]
        scores = {name: self.trained[name].score(self.images[validation]) for name in self.detectors}
        limits = fit_limits(scores, self.ensemble)
        temperature = fit_temperature(logits, is_real, self.ensemble.members)
        return Pooled(self.ensemble.members, temperature, {}, limits, self.ensemble)


def _scores(table: Table, detectors: list[str]) -> dict[str, np.ndarray]:
    return {name: np.asarray(table[f"anomaly_{name}"]) for name in detectors}


def _decide(pooled: Pooled, table: Table) -> np.ndarray:
    logits = {name: np.asarray(table[f"logit_{name}"]) for name in pooled.members}
    return pooled.decide(logits, np.asarray(table["valid_fraction"]), _scores(table, list(pooled.limits)))
