"""All methods on every fold of a repeated, grouped, stratified cross-validation, and the ensemble of each fold.

In each fold, networks are stopped by its validation images, which also give temperature and anomaly limits; its test
images are predicted by models that have seen neither them nor other alerts of their bursts. Thresholds need images of
their own. Where there are none, those of a fold are fitted to the predictions of the other folds' test images: no image
is among those of its own threshold, though the models of the other folds have learnt from it.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
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
        ``valid_fraction``, ``snr_mismatch``, for each method ``logit_<name>``, ``probability_ensemble``, ``verdict``.
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
    # of a fold only what is said of images is kept, not its networks
    ensembles, tested, for_thresholds, judged = [], [], [], {name: [] for name in others or {}}
    for repeat, number, splits in cross_validation(images.table, parameters):
        logger.info("Repeat %d, fold %d of %d.", repeat + 1, number + 1, parameters.folds)
        trained = {
            name: train_method(f"{name}, fold {repeat + 1}.{number + 1}", images, splits, method, folder, pretraining)
            for name, method in methods.items()
        }
        fold = _Fold(repeat, number, images, splits, trained, ensemble, parameters.by)
        ensembles.append(fold.pooled)
        tested.append(fold.table(images, np.flatnonzero(splits == "test")))
        if calibration is not None:
            for_thresholds.append(fold.table(calibration, np.arange(len(calibration)), ensemble.members))
        for name, some in (others or {}).items():
            judged[name].append(fold.table(some, np.arange(len(some))))
    if calibration is None:
        for_thresholds = [
            vstack([other for other in tested if other["repeat"][0] == own["repeat"][0] and other is not own])
            for own in tested
        ]
    for fitted, known, *tables in zip(ensembles, for_thresholds, tested, *judged.values(), strict=True):
        pooled = _with_thresholds(fitted, known)
        for table in tables:
            table["verdict"] = _decide(pooled, table)
    return CrossValidated(vstack(tested), {name: vstack(tables) for name, tables in judged.items()})


@dataclass(frozen=True)
class _Fold:
    """The models of one fold."""

    repeat: int
    number: int
    images: SubImages
    splits: np.ndarray
    trained: Mapping[str, TrainedMethod]
    ensemble: EnsembleParameters
    by: str

    @cached_property
    def pooled(self) -> Pooled:
        """The ensemble, without thresholds."""
        validation = np.flatnonzero(self.splits == "validation")
        logits = {name: self.trained[name].logits[validation] for name in self.ensemble.members}
        is_real = np.asarray(self.images.table["is_real"], dtype=bool)[validation]
        scores = {name: self.trained[name].score(self.images[validation]) for name in self.ensemble.detectors}
        limits = fit_limits(scores, self.ensemble)
        temperature = fit_temperature(logits, is_real, self.ensemble.members)
        return Pooled(self.ensemble.members, temperature, {}, limits, self.ensemble)

    def table(self, images: SubImages, rows: np.ndarray, methods: Iterable[str] | None = None) -> Table:
        """Predictions of some images, by the ensemble and by all methods, or by those that are named."""
        own = images is self.images
        some = images[rows]
        asked = {name: self.trained[name] for name in methods or self.trained}
        logits = {name: one.logits[rows] if own else one.logit(some) for name, one in asked.items()}
        table = Table(
            {
                "row": rows,
                "repeat": np.full(len(rows), self.repeat),
                "fold": np.full(len(rows), self.number),
                "group": groups(images.table, self.by)[rows],
                "is_real": np.asarray(images.table["is_real"], dtype=bool)[rows],
                **some.quality,
                **{f"logit_{name}": values for name, values in logits.items()},
                "probability_ensemble": self.pooled.probability(logits),
            }
        )
        for name, limit in self.pooled.limits.items():
            table[f"anomaly_{name}"] = self.trained[name].score(some) / limit
        return table


def _with_thresholds(pooled: Pooled, known: Table) -> Pooled:
    """Complete the ensemble of a fold, by predictions of images that its models have not seen."""
    # the tables hold scores over their fold's limits
    pooled = replace(pooled, limits=dict.fromkeys(pooled.limits, 1.0))
    thresholds = find_thresholds(
        np.asarray(known["probability_ensemble"]),
        np.asarray(known["is_real"]),
        np.asarray(known["group"]),
        pooled.is_usable(_logits(known, pooled), known, _scores(known, pooled)),
        pooled.parameters,
    )
    return replace(pooled, thresholds=thresholds)


def _decide(pooled: Pooled, table: Table) -> np.ndarray:
    return pooled.decide(_logits(table, pooled), table, _scores(table, pooled))


def _logits(table: Table, pooled: Pooled) -> dict[str, np.ndarray]:
    return {name: np.asarray(table[f"logit_{name}"]) for name in pooled.members}


def _scores(table: Table, pooled: Pooled) -> dict[str, np.ndarray]:
    return {name: np.asarray(table[f"anomaly_{name}"]) for name in pooled.limits}
