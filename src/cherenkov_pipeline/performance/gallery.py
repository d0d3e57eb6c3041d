"""Single events that are worth looking at: the best, the worst, the least certain, the most surprising ones.

The choice is made from predictions alone; the images are those of the event store that the events came from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import QTable, Row, Table

from cherenkov_pipeline.dl1.contents import IMAGE
from cherenkov_pipeline.performance.sample import Sample

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

    from cherenkov_pipeline.store import EventStore, JoinedStores

NOTHING: Mapping[str, str] = MappingProxyType({})

N_EVENTS = 4
"""Events of each kind."""

BEST, WORST, UNCERTAIN, SURPRISING = "best", "worst", "uncertain", "surprising"
MISSED, FALSE = "missed", "false"
"""Of the particle type, gammas and others: with one probability a wrong event is as surprising as it is bad."""

_NOT_KEPT = ("is_valid", "reason", "outside_validity")


@dataclass(frozen=True)
class CameraImage:
    """The image of an event, the brightest one where several telescopes saw it.

    Attributes
    ----------
    camera : ctapipe.instrument.CameraGeometry
        In the camera frame.
    image : ndarray
        (n_pixels,), p.e.
    mask : ndarray of bool
        (n_pixels,), pixels that survived the cleaning.
    row : astropy.table.Row
        The image's row of the store: parameters, pointing.
    """

    camera: "CameraGeometry"
    image: np.ndarray
    mask: np.ndarray
    row: Row


def error_kinds(error: np.ndarray, predicted_error: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of the kinds of a quantity with a predicted error, see `choose_events`.

    The most surprising events have the largest error in units of the predicted one.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        surprise = error / predicted_error
    return {BEST: -error, WORST: error, UNCERTAIN: predicted_error, SURPRISING: surprise}


def probability_kinds(is_gamma: np.ndarray, gammaness: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of the kinds of a probability, see `choose_events`."""
    gamma = is_gamma > 0
    return {
        BEST: np.where(gamma, gammaness, 1 - gammaness),
        UNCERTAIN: -np.abs(gammaness - 0.5),
        MISSED: np.where(gamma, 1 - gammaness, np.nan),
        FALSE: np.where(gamma, np.nan, gammaness),
    }


def choose_events(
    predictions: Table, sample: Sample, scores: Mapping[str, np.ndarray], errors: Mapping[str, str] = NOTHING
) -> QTable:
    """Choose the events with the largest scores of each kind.

    Parameters
    ----------
    predictions : Table
        Predictions table.
    sample : Sample
        The events of it that count.
    scores : mapping of str to ndarray
        By the kind: one value an event of the sample; NaN is never chosen.
    errors : mapping of str to str
        Columns of the sample that are kept, with their units.

    Returns
    -------
    QTable
        Up to `N_EVENTS` rows a kind, each of another shower: ``kind``, ``number`` (from 1), ``errors``, and the row of
        the predictions.
    """
    chosen = {kind: _largest(score, sample.showers) for kind, score in scores.items()}
    rows = np.concatenate([np.zeros(0, dtype=int), *chosen.values()])
    table = QTable(
        {
            "kind": np.array([kind for kind, found in chosen.items() for _ in found], dtype=str),
            "number": np.array([number for found in chosen.values() for number in range(1, len(found) + 1)], dtype=int),
        }
    )
    for name, unit in errors.items():
        values = sample.columns[name][rows]
        table[name] = values << u.Unit(unit) if unit else values
    events = predictions[sample.rows[rows]]
    for name in events.colnames:
        if name not in _NOT_KEPT and events[name].ndim == 1:
            table[name] = events[name]
    return table


def _largest(score: np.ndarray, showers: np.ndarray) -> np.ndarray:
    """Rows with the largest scores, one a shower."""
    order = np.argsort(-score, kind="stable")  # NaN comes last
    order = order[: np.isfinite(score).sum()]
    _, first = np.unique(showers[order], return_index=True)
    return order[np.sort(first)[:N_EVENTS]]


def find_images(events: Table, store: "EventStore | JoinedStores") -> list[CameraImage | None]:
    """Read the images of some events.

    Parameters
    ----------
    events : Table
        ``production`` (name), ``obs_id``, ``event_id``; ``tel_id`` where a row is one image.
    store : EventStore or JoinedStores

    Returns
    -------
    list
        For each event; None where the store does not have it.
    """
    if not len(events):
        return []
    keys = store.columns(["production", *IMAGE, "hillas_intensity"])
    productions = list(store.productions)
    return [_read(store, _row(event, keys, productions)) for event in events]


def _row(event: Row, keys: Table, productions: list[str]) -> int | None:
    if event["production"] not in productions:
        return None
    same = np.asarray(keys["production"]) == productions.index(event["production"])
    for name in IMAGE:
        if name in event.colnames:
            same &= np.asarray(keys[name]) == event[name]
    rows = np.flatnonzero(same)
    intensity = np.nan_to_num(np.asarray(keys["hillas_intensity"])[rows], nan=-1)
    return int(rows[np.argmax(intensity)]) if len(rows) else None


def _read(store: "EventStore | JoinedStores", row: int | None) -> CameraImage | None:
    if row is None:
        return None
    found = store.read(np.array([row]))
    ((name, chunk),) = found.items() if isinstance(found, dict) else [(store.telescope_type, found)]
    camera = next(one.camera for one in store.stores if one.telescope_type == name)
    return CameraImage(camera, chunk.image[0], chunk.image_mask[0], chunk.table[0])
