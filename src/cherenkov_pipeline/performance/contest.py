"""Every model predicts the same test events: predictions, costs and histories, each from the model's own file."""

from collections.abc import Sequence

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.saved import load_model
from cherenkov_pipeline.performance.candidates import Candidate, check_distinct
from cherenkov_pipeline.performance.comparison import stacked
from cherenkov_pipeline.reconstruction.measure import predict_and_measure
from cherenkov_pipeline.store import EventStore, JoinedStores

CHUNK = 2048
HISTORY = ("epoch", "loss", "val_loss", "learning_rate")


def contest(candidates: Sequence[Candidate], store: EventStore | JoinedStores) -> tuple[QTable, QTable, QTable]:
    """Predict the test events of a store with every model, one after the other.

    Parameters
    ----------
    candidates : sequence of Candidate
    store : EventStore or JoinedStores

    Returns
    -------
    predictions : QTable
        Predictions tables below each other, with the column ``model``.
    costs : QTable
        One row a model: ``model``, ``fingerprint`` (of network and weights), ``parameters``, ``layers``, ``gflops``,
        ``training_s``, ``inference_s``, ``inference_ms_per_event``; NaN where not known. What the process holds is the
        memory of all of them, and left out.
    histories : QTable
        One row an epoch and model: ``model``, ``epoch``, ``loss``, ``val_loss``, ``learning_rate``.

    Raises
    ------
    UserError
        If a file is not the one that was chosen, two models are the same, or one does not fit the store.
    """
    predictions, histories, fingerprints, costs = {}, {}, {}, []
    _read_once(store)
    for one in candidates:
        trained = load_model(one.path)
        if trained.card.file_fingerprint != one.file_fingerprint:
            raise UserError(
                f"{one.path} ({one.label}) was replaced after it had been chosen: start the comparison again."
            )
        fingerprints[one.label] = trained.fingerprint
        check_distinct(fingerprints)
        predictions[one.label], measured = predict_and_measure(trained, store, "test")
        costs.append(_cost(one, trained.fingerprint, measured))
        histories[one.label] = _history(trained.history)
    return stacked(predictions), QTable(rows=costs), stacked(histories)


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
