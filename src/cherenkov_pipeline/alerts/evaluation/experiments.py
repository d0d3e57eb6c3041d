"""The table of experiments: one row a training, with the talk's columns, growing run by run."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cherenkov_pipeline.alerts.methods import TrainedMethod
from cherenkov_pipeline.alerts.parameters import AutoencoderMethod, NetworkMethod
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path, locked
from cherenkov_pipeline.performance import classification

COLUMNS = (
    "experiment", "model_name", "accuracy", "precision", "recall", "f1", "train_time_sec", "batch_size", "lr", "epochs",
)  # fmt: skip
"""Of the talk's table; the accuracy is in percent, what does not apply to a method is empty."""


def experiment_row(experiment: str, trained: TrainedMethod, is_real: np.ndarray, tested: np.ndarray) -> dict[str, Any]:
    """Make the row of one training.

    Parameters
    ----------
    experiment : str
    trained : TrainedMethod
    is_real : ndarray of bool
        (n,), labels of the images that it was given.
    tested : ndarray of bool
        (n,), the test images.
    """
    positive = np.asarray(is_real, dtype=float)[tested]
    score = (trained.logits[tested] > 0).astype(float)
    method = trained.method
    learning = method.training if isinstance(method, NetworkMethod | AutoencoderMethod) else None
    return {
        "experiment": experiment,
        "model_name": method.method,
        "accuracy": 100 * float(classification.accuracy(positive, score)),
        "precision": float(classification.precision(positive, score)),
        "recall": float(classification.recall(positive, score)),
        "f1": float(classification.f1(positive, score)),
        "train_time_sec": trained.seconds,
        "batch_size": learning.batch_size if learning else None,
        "lr": learning.optimizer.learning_rate if learning else None,
        "epochs": len(trained.history) if trained.history is not None else None,
    }


def add_experiment(row: Mapping[str, Any], path: str | os.PathLike) -> list[dict[str, str]]:
    """Add a row to the table in a CSV file, which is made if there is none.

    A row that is there already is not added again: a pipeline that goes on where it was killed repeats itself.

    Parameters
    ----------
    row : mapping
        From `experiment_row`.
    path : path-like

    Returns
    -------
    list of dict
        All rows, as texts.

    Raises
    ------
    UserError
        If the file has other columns.
    """
    path = Path(path)
    texts = {name: _text(row[name]) for name in COLUMNS}
    with locked(path.parent, wait=True):
        rows = read_experiments(path)
        if texts not in rows:
            rows.append(texts)
            with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
    return rows


def read_experiments(path: str | os.PathLike) -> list[dict[str, str]]:
    """Read the rows of the table as texts; none if there is no file.

    Raises
    ------
    UserError
        If it has other columns.
    """
    path = Path(path)
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise UserError(f"{path} is no table of experiments ({', '.join(reader.fieldnames or ())}): move it away.")
    return rows


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) and 1e-3 <= abs(value) < 1e6 else str(value)
