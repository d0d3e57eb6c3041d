"""What a model predicts under each condition, and whether the drift check notices it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.table import QTable, vstack

from cherenkov_pipeline.dl1.contents import EVENT, with_events
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.performance.robustness.conditions import NOMINAL
from cherenkov_pipeline.reconstruction.drift import DriftCounter, drift_table
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.reconstruction.predict import NOT_SELECTED, predict_dl1
from cherenkov_pipeline.reconstruction.stereo import is_stereo, predict_stereo_dl1
from cherenkov_pipeline.simulation.parameters import MAX_USES

SHOWERS = 10**10
"""More than the showers of a run."""


def predict_conditions(
    task: str,
    files: FileSet,
    trained: TrainedModel,
    selection: SelectionParameters,
    parameters: ReconstructionParameters,
) -> tuple[QTable, QTable, QTable]:
    """Predict the events of all conditions.

    Parameters
    ----------
    task : str
    files : FileSet
        Of `robustness.conditions.plan_conditions`.
    trained : TrainedModel
        Of the task, or of several with it.
    selection : SelectionParameters
    parameters : ReconstructionParameters

    Returns
    -------
    predictions : QTable
        Predictions tables below each other, with ``condition``, ``setting``, ``nominal``, ``unit``, and ``shower``,
        which is the same for the same throw under all conditions.
    drift : QTable
        `cherenkov_pipeline.reconstruction.drift.drift_table` of each condition, below each other.
    counts : QTable
        One row a condition and particle, also without an event: ``condition``, ``setting``, ``nominal``, ``unit``;
        ``n_thrown``, ``n_triggered``, ``n_images``; ``n_predicted`` rows of predictions (images, or events of stereo
        models), of which ``n_cut`` were not selected, ``n_invalid`` could not be predicted and ``n_valid`` were.

    Raises
    ------
    UserError
        If the model does not fit, or no file of the nominal condition has an event.
    """
    if not any(record["n_images"] for record in files.records if record["condition"] == NOMINAL):
        raise UserError(
            "No event with an image under the nominal condition, which the others are compared with: simulate more "
            "showers (robustness.productions)."
        )
    predict = predict_stereo_dl1 if is_stereo(trained) else predict_dl1
    tables, counts, compared = [], [], {}
    for record in with_events(files).records:
        counter = DriftCounter([trained])
        table = predict([trained], record["path"], selection, parameters.chunk_size, counter.add)[task]
        tables.append(_labelled(table, record))
        compared.setdefault(_key(record), []).extend(counter.record())
    predictions = vstack(tables, metadata_conflicts="silent")
    for record in files.records:
        counts.append(_counts(record, predictions))
    drift = [_labelled(drift_table(found, parameters.drift), dict(key)) for key, found in compared.items()]
    return predictions, vstack(drift, metadata_conflicts="silent"), _summed(counts)


def _key(record: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, record[name]) for name in ("condition", "setting", "nominal", "unit"))


def _labelled(table: QTable, record: Mapping[str, Any]) -> QTable:
    """Add the condition, and the number of the shower where there are events."""
    table = QTable(table)
    for name, value in _key(record):
        if name in ("setting", "nominal"):
            table[name] = np.full(len(table), np.nan if value is None else value)
        else:
            table[name] = np.full(len(table), value)
    if "event_id" in table.colnames:
        obs_id, event_id = (np.asarray(table[name], dtype=np.int64) for name in EVENT)
        table["shower"] = obs_id * SHOWERS + event_id // MAX_USES
    return table


def _counts(record: Mapping[str, Any], predictions: QTable) -> dict[str, Any]:
    setting, nominal = (np.nan if record[name] is None else record[name] for name in ("setting", "nominal"))
    own = (np.asarray(predictions["condition"]) == record["condition"]) & (
        np.asarray(predictions["obs_id"]) == record["obs_id"]
    )
    if record["setting"] is not None:
        own &= np.isclose(np.asarray(predictions["setting"]), setting, rtol=1e-12)
    valid, reason = np.asarray(predictions["is_valid"])[own], np.asarray(predictions["reason"])[own]
    n_cut = int(np.sum(reason == NOT_SELECTED))
    return {
        "condition": record["condition"],
        "setting": setting,
        "nominal": nominal,
        "unit": record["unit"],
        "particle": record["particle"],
        "n_thrown": record["n_thrown"],
        "n_triggered": record["n_triggered"],
        "n_images": record["n_images"],
        "n_predicted": int(own.sum()),
        "n_cut": n_cut,
        "n_invalid": int(np.sum(~valid)) - n_cut,
        "n_valid": int(np.sum(valid)),
    }


def _summed(counts: list[dict[str, Any]]) -> QTable:
    """Join the files of one condition and particle."""
    joined: dict[tuple, dict[str, Any]] = {}
    for one in counts:
        key = (one["condition"], str(one["setting"]), one["particle"])
        known = joined.setdefault(key, {name: 0 if name.startswith("n_") else value for name, value in one.items()})
        for name in (name for name in one if name.startswith("n_")):
            known[name] += one[name]
    return QTable(rows=list(joined.values()))
