"""What a part of a method is good for: variants that differ in it, cross-validated on the same folds."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.alerts.evaluation.scores import comparison_table
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.methods import train_method
from cherenkov_pipeline.alerts.parameters import Method
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.splits import CrossValidationParameters, cross_validation, groups
from cherenkov_pipeline.performance.parameters import EvaluationParameters

logger = logging.getLogger(__name__)


def ablation_table(
    images: SubImages,
    variants: Mapping[str, Method],
    parameters: CrossValidationParameters,
    folder: Path,
    pretraining: Pretraining,
    settings: EvaluationParameters,
) -> QTable:
    """Cross-validate variants of a method; what was trained before is not trained again.

    Parameters
    ----------
    images : SubImages
        Labelled.
    variants : mapping
        Name -> parameters; the first one is what the others are compared with.
    parameters : CrossValidationParameters
    folder : Path
        For states of trainings.
    pretraining : Pretraining
        Of the weights ``simulated``.
    settings : EvaluationParameters
        Of the intervals, over bursts.

    Returns
    -------
    QTable
        One row a variant: ``variant``; ``accuracy`` and ``gain`` (over the first variant, on the same images), of the
        labels, each with ``_low`` and ``_high``; ``true_accuracy`` in the same way where it is known what was
        simulated; ``only_it``, ``only_first``, ``p_value`` of McNemar's test in the first repeat; ``seconds`` of all
        trainings.
    """
    is_real = np.asarray(images.table["is_real"], dtype=bool)
    said = {name: [] for name in variants}
    rows, repeats, seconds = [], [], dict.fromkeys(variants, 0.0)
    for repeat, fold, splits in cross_validation(images.table, parameters):
        logger.info("Repeat %d, fold %d of %d.", repeat + 1, fold + 1, parameters.folds)
        tested = np.flatnonzero(splits == "test")
        rows.append(tested)
        repeats.append(np.full(len(tested), repeat))
        for name, method in variants.items():
            trained = train_method(f"{name}, fold {repeat + 1}.{fold + 1}", images, splits, method, folder, pretraining)
            said[name].append(trained.logits[tested] > 0)
            seconds[name] += trained.seconds
    row, repeat = np.concatenate(rows), np.concatenate(repeats)
    truths = {"accuracy": is_real}
    if "true_is_real" in images.table.colnames:
        truths["true_accuracy"] = np.asarray(images.table["true_is_real"], dtype=bool)
    group = groups(images.table, parameters.by)[row]
    first, found = next(iter(variants)), {}
    for column, truth in truths.items():
        rights = {name: np.concatenate(parts) == truth[row] for name, parts in said.items()}
        found[column] = comparison_table(rights, first, group, settings, repeat == 0)
    table = found.pop("accuracy")
    table.rename_columns(["method", "only_reference"], ["variant", "only_first"])
    for column, other in found.items():
        for part in ("", "_low", "_high"):
            table[column + part] = other[f"accuracy{part}"]
    table["seconds"] = [seconds[name] for name in table["variant"]]
    return table
