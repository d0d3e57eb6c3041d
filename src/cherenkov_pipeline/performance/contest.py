"""Every model predicts the same test events: predictions, costs and histories, each from the model's own file.

What others predicted comes from their DL2 files, whose events are found again among the test events.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from astropy.table import QTable

from cherenkov_pipeline.dl1.provenance import COLUMNS
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.saved import load_model
from cherenkov_pipeline.performance.candidates import Candidate, check_distinct
from cherenkov_pipeline.performance.common_events import as_in
from cherenkov_pipeline.performance.comparison import MODEL, stacked
from cherenkov_pipeline.reconstruction.measure import predict_and_measure
from cherenkov_pipeline.reconstruction.others import fingerprints_of, method_provenance, read_method
from cherenkov_pipeline.store import EventStore, JoinedStores

CHUNK = 2048
HISTORY = ("epoch", "loss", "val_loss", "learning_rate")
COSTS = ("parameters", "layers", "gflops", "training_s", "inference_s", "inference_ms_per_event")


def contest(
    candidates: Sequence[Candidate], store: EventStore | JoinedStores | None
) -> tuple[QTable, QTable, QTable, QTable]:
    """Predict the test events of a store with every model, one after the other, and read what others predicted.

    Parameters
    ----------
    candidates : sequence of Candidate
    store : EventStore, JoinedStores or None
        None: there are no models, only DL2 files.

    Returns
    -------
    predictions : QTable
        Predictions tables below each other, with the column ``model``. Events of DL2 files have the names of the same
        events in the first table, see `performance.common_events.as_in`.
    costs : QTable
        One row a model: ``model``, ``fingerprint`` (of network and weights), ``parameters``, ``layers``, ``gflops``,
        ``training_s``, ``inference_s``, ``inference_ms_per_event``; NaN where not known. What the process holds is the
        memory of all of them, and left out. Of DL2 files no cost is known: they are left out.
    histories : QTable
        One row an epoch and model: ``model``, ``epoch``, ``loss``, ``val_loss``, ``learning_rate``; of models alone.
    provenance : QTable
        Of DL2 files alone, as `provenance_table` gives it.

    Raises
    ------
    UserError
        If a file is not the one that was chosen, two models are the same, or one does not fit the store.
    """
    predictions, fingerprints, costs, provenance = {}, {}, [], {}
    histories = {one.label: QTable({name: np.empty(0) for name in HISTORY}) for one in candidates}
    models = [one for one in candidates if one.method is None]
    if models:
        _read_once(store)
    for one in models:
        trained = load_model(one.path)
        _check_unchanged(one, trained.card.file_fingerprint == one.file_fingerprint)
        fingerprints[one.label] = trained.fingerprint
        check_distinct(fingerprints)
        predictions[one.label], measured = predict_and_measure(trained, store, "test")
        costs.append(_cost(one, trained.fingerprint, measured))
        histories[one.label] = _history(trained.history)
    for one in candidates:
        if one.method is not None:
            _check_unchanged(one, fingerprints_of(one.method.paths) == one.method.file_fingerprints)
            table = read_method(one.method)
            provenance[one.label] = method_provenance(one.method, table)
            predictions[one.label] = as_in(table, next(iter(predictions.values()))) if predictions else table
    return stacked(predictions), _cost_table(costs), stacked(histories), provenance_table(provenance)


def provenance_table(provenance: Mapping[str, pd.DataFrame]) -> QTable:
    """Join where the predictions of several methods come from.

    Parameters
    ----------
    provenance : mapping of str to DataFrame
        From `cherenkov_pipeline.reconstruction.others.method_provenance`, by label.

    Returns
    -------
    QTable
        ``model`` and `~cherenkov_pipeline.dl1.provenance.COLUMNS`; numbers that are not known are masked.
    """
    rows = [(label, *row) for label, found in provenance.items() for row in found.itertuples(index=False)]
    table = pd.DataFrame(rows, columns=[MODEL, *COLUMNS]).astype({"n_in": "Int64", "n_out": "Int64"})
    return QTable.from_pandas(table)


def _check_unchanged(candidate: Candidate, unchanged: bool) -> None:
    if not unchanged:
        raise UserError(
            f"{candidate.path} ({candidate.label}) was replaced after it had been chosen: start the comparison again."
        )


def _cost_table(rows: Sequence[Mapping[str, object]]) -> QTable:
    if rows:
        return QTable(rows=list(rows))
    return QTable(names=("model", "fingerprint", *COSTS), dtype=("U1", "U1", *[float] * len(COSTS)))


def _read_once(store: EventStore | JoinedStores) -> None:
    """Read the test events, so that the first model does not wait for the disk longer than the others."""
    rows = store.indices("test")
    for start in range(0, len(rows), CHUNK):
        store.records(rows[start : start + CHUNK])


def _cost(candidate: Candidate, fingerprint: str, measured: dict[str, float]) -> dict[str, object]:
    return {
        "model": candidate.label,
        "fingerprint": fingerprint,
        "parameters": candidate.parameters,
        "layers": candidate.layers,
        "gflops": np.nan if candidate.gflops is None else candidate.gflops,
        "training_s": candidate.training_s,
        "inference_s": measured["inference_s"],
        "inference_ms_per_event": measured["inference_ms_per_event"],
    }


def _history(history: QTable) -> QTable:
    columns = {
        name: np.asarray(history[name], dtype=float) if name in history.colnames else np.full(len(history), np.nan)
        for name in HISTORY
    }
    return QTable(columns)
