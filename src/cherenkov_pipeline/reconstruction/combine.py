"""One prediction an event from those of its telescopes.

Each telescope has a weight: by its predicted error (1 / error^2), by the charge of its image, or all the same.

- ``mean``: weighted mean of the values; ``log_mean``: of their logarithms (energy, its errors being relative);
- ``logit_mean``: mean of the logits of a probability, the more decided telescope counting more;
- ``direction``: weighted mean of the directions as vectors. One image leaves open on which side of it the source lies,
  with a probability for each side. By predicted error, of all choices of sides the one with the greatest joint
  probability of sides and distances is taken, so that two telescopes decide what one cannot.

The telescopes' errors are taken as independent. Where ctapipe has such a mean (`ctapipe.reco.StereoMeanCombiner`), the
values are the same for equal weights or those by charge; ctapipe's errors are the scatter of the telescopes, which is
zero for a single one.
"""

from collections.abc import Callable
from itertools import product
from typing import Literal

import astropy.units as u
import numpy as np
from astropy.table import Table
from ctapipe.containers import Container
from ctapipe.reco.telescope_event_handling import get_subarray_index
from ctapipe.reco.utils import add_defaults_and_meta

from cherenkov_pipeline.dl1.contents import EVENT
from cherenkov_pipeline.tasks import Task

Weighting = Literal["predicted_error", "intensity", "none"]

GAUSSIAN_RADIUS = 1.5151
"""Radius that holds 68.27 % of a circular Gaussian, in standard deviations of one coordinate."""

MOST_SIDES = 6
"""Telescopes of an event whose sides are tried out, the most precise ones: 64 choices."""


def combine(images: Table, task: Task, prefix: str, weighting: Weighting, container: type[Container]) -> Table:
    """Combine the telescopes of each event.

    Parameters
    ----------
    images : Table
        Telescope rows, those of an event side by side: keys, ``<prefix>_tel_<field>`` for the task's fields,
        ``<prefix>_tel_is_valid``, ``hillas_intensity``.
    task : Task
    prefix : str
    weighting : {"predicted_error", "intensity", "none"}
    container : type
        ctapipe's container of the property.

    Returns
    -------
    Table
        One row an event, in the order of ``images``, as ctapipe's combiners give it.
    """
    obs_ids, event_ids, _, event = get_subarray_index(images)
    valid = np.asarray(images[f"{prefix}_tel_is_valid"], dtype=bool)
    used, event = images[valid], np.asarray(event, dtype=int)[valid]
    columns = {
        name.removeprefix(f"{prefix}_tel_"): used[name].quantity if used[name].unit else np.asarray(used[name])
        for name in used.colnames
        if name.startswith(f"{prefix}_tel_")
    }
    columns["hillas_intensity"] = np.asarray(used["hillas_intensity"], dtype=float)
    found = _COMBINATIONS[task.combination](columns, task, weighting, event, len(obs_ids))
    combined = Table({"obs_id": obs_ids, "event_id": event_ids})
    for name in EVENT:
        combined[name].description = images[name].description
    for field in task.dl2_columns:
        combined[f"{prefix}_{field}"] = found[field]
    combined[f"{prefix}_is_valid"] = np.bincount(event, minlength=len(obs_ids)) > 0
    combined[f"{prefix}_goodness_of_fit"] = np.nan
    tel_ids = [[] for _ in obs_ids]
    for number, tel_id in zip(event, used["tel_id"], strict=True):
        tel_ids[number].append(tel_id)
    combined[f"{prefix}_telescopes"] = tel_ids
    add_defaults_and_meta(combined, container, prefix)
    return combined


def _weights(columns: dict, weighting: Weighting, error: np.ndarray | None) -> np.ndarray:
    if weighting == "intensity":
        return columns["hillas_intensity"]
    if weighting == "none" or error is None:
        return np.ones(len(columns["hillas_intensity"]))
    return 1 / error**2


def _weighted(values: np.ndarray, weights: np.ndarray, event: np.ndarray, n: int) -> np.ndarray:
    """Weighted mean in each event; NaN where there is nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.bincount(event, weights * values, minlength=n) / np.bincount(event, weights, minlength=n)


def _error(errors: np.ndarray, weights: np.ndarray, event: np.ndarray, n: int) -> np.ndarray:
    """Error of the weighted mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(np.bincount(event, (weights * errors) ** 2, minlength=n)) / np.bincount(
            event, weights, minlength=n
        )


def _mean(columns: dict, task: Task, weighting: Weighting, event: np.ndarray, n: int) -> dict:
    found = {}
    for name, error_name in task.errors.items():
        unit = columns[name].unit
        value, error = columns[name].value, columns[error_name].to_value(unit)
        weights = _weights(columns, weighting, error)
        found[name] = _weighted(value, weights, event, n) << unit
        found[error_name] = _error(error, weights, event, n) << unit
    return found


def _log_mean(columns: dict, task: Task, weighting: Weighting, event: np.ndarray, n: int) -> dict:
    found = {}
    for name, error_name in task.errors.items():
        unit = columns[name].unit
        value = columns[name].value
        error = columns[error_name].to_value(unit) / value
        weights = _weights(columns, weighting, error)
        mean = np.exp(_weighted(np.log(value), weights, event, n))
        found[name], found[error_name] = mean << unit, mean * _error(error, weights, event, n) << unit
    return found


def _logit_mean(columns: dict, task: Task, weighting: Weighting, event: np.ndarray, n: int) -> dict:
    weights = _weights(columns, weighting, None)
    if weighting != "predicted_error":
        return {name: _weighted(columns[name], weights, event, n) for name in task.dl2_columns}
    found = {}
    for name in task.dl2_columns:
        probability = np.clip(columns[name].astype(float), 1e-12, 1 - 1e-12)
        logit = _weighted(np.log(probability / (1 - probability)), weights, event, n)
        found[name] = 1 / (1 + np.exp(-logit))
    return found


def _direction(columns: dict, task: Task, weighting: Weighting, event: np.ndarray, n: int) -> dict:
    vectors = _vectors(columns["alt"], columns["az"])
    radius = columns["ang_distance_uncert"].to_value(u.deg)
    if weighting == "predicted_error" and "other_alt" in columns:
        vectors, radius = _resolve_sides(columns, vectors, radius, event)
    weights = _weights(columns, weighting, radius)
    x, y, z = (_weighted(axis, weights, event, n) for axis in vectors.T)
    return {
        "alt": np.rad2deg(np.arctan2(z, np.hypot(x, y))) << u.deg,
        "az": np.rad2deg(np.arctan2(y, x)) % 360 << u.deg,
        "ang_distance_uncert": _error(radius, weights, event, n) << u.deg,
    }


def _vectors(altitude: u.Quantity, azimuth: u.Quantity) -> np.ndarray:
    altitude, azimuth = altitude.to_value(u.rad), azimuth.to_value(u.rad)
    return np.stack([np.cos(altitude) * np.cos(azimuth), np.cos(altitude) * np.sin(azimuth), np.sin(altitude)], axis=-1)


def _resolve_sides(
    columns: dict, vectors: np.ndarray, radius: np.ndarray, event: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the side of each telescope of events that several saw.

    Returns
    -------
    vectors : ndarray
        (n_images, 3), of the chosen side.
    radius : ndarray
        (n_images,), deg, of that side alone; of both where there is no other telescope.
    """
    likely = np.maximum(columns["head_probability"], 1 - columns["head_probability"])
    sides = np.stack([vectors, _vectors(columns["other_alt"], columns["other_az"])])
    radii = np.stack([columns[name].to_value(u.deg) for name in ("side_uncert", "other_uncert")])
    probability = np.stack([likely, 1 - likely])
    known = np.isfinite(sides).all(axis=(0, 2)) & np.isfinite(radii).all(axis=0) & np.isfinite(likely)
    chosen_vectors, chosen_radius = vectors.copy(), radius.copy()
    # the most precise telescopes of each event first
    order = np.lexsort((radii[0], event))
    order = order[known[order]]
    rank = np.arange(len(order)) - np.searchsorted(event[order], event[order])
    order = order[rank < MOST_SIDES]
    _, first, multiplicity = np.unique(event[order], return_index=True, return_counts=True)
    for m in np.unique(multiplicity[multiplicity > 1]):
        rows = order[first[multiplicity == m][:, np.newaxis] + np.arange(m)]  # (events, telescopes)
        choices = np.array(list(product((0, 1), repeat=m)))
        scores = [_score(sides[choice, rows], radii[choice, rows], probability[choice, rows]) for choice in choices]
        best = choices[np.argmax(scores, axis=0)]
        chosen_vectors[rows], chosen_radius[rows] = sides[best, rows], radii[best, rows]
    return chosen_vectors, chosen_radius


def _score(vectors: np.ndarray, radius: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Logarithm of the joint probability of some sides: (events, telescopes, 3) and twice (events, telescopes)."""
    sigma = radius / GAUSSIAN_RADIUS
    weights = (1 / sigma**2)[..., np.newaxis]
    mean = (weights * vectors).sum(axis=1, keepdims=True) / weights.sum(axis=1, keepdims=True)
    distance = np.rad2deg(np.linalg.norm(vectors - mean, axis=-1))
    with np.errstate(divide="ignore"):
        return (np.log(probability) - 0.5 * (distance / sigma) ** 2 - 2 * np.log(sigma)).sum(axis=1)


_COMBINATIONS: dict[str, Callable[..., dict]] = {
    "mean": _mean,
    "log_mean": _log_mean,
    "logit_mean": _logit_mean,
    "direction": _direction,
}
