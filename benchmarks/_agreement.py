"""How close a simulation comes to a reference: areas, rates, separation, and single events in a population.

Everything takes images or showers as tables and gives a value with its error; `Judged` sets it beside the
official figure. Errors count showers, not images: telescopes that see one shower, and the re-uses of a shower,
trigger together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.directions import plain
from cherenkov_pipeline.performance import statistics
from cherenkov_pipeline.performance.bootstrap import shower_labels
from cherenkov_pipeline.performance.direction import SIDE_METRICS
from cherenkov_pipeline.performance.metrics import grouped_metrics
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.published import Comparison
from cherenkov_pipeline.performance.sample import gammas, per_energy, sample_of
from cherenkov_pipeline.performance.type import AUC

CENTRAL_95 = 0.025, 0.5, 0.975


@dataclass(frozen=True)
class Judged(Comparison):
    """A comparison, and whether the figures agree.

    Attributes
    ----------
    limit : float
        Greatest deviation that is accepted; NaN if none is set.
    relative : bool
        Whether the limit is one on the ratio, as 0.25 for 25 %, or on the difference.
    """

    limit: float = np.nan
    relative: bool = True

    @property
    def within(self) -> bool | None:
        """Whether the deviation is accepted; None without a limit. A value that is missing is not."""
        if np.isnan(self.limit):
            return None
        deviation = self.ratio - 1 if self.relative else self.value - self.official
        return bool(abs(deviation) <= self.limit)


def comparison_rows(comparisons: Sequence[Judged]) -> list[dict[str, object]]:
    """Rows of a table for people: figure, official, ours, error, ratio, limit, within."""
    answers = {True: "yes", False: "NO", None: ""}
    return [
        {
            "figure": c.label,
            "official": c.official,
            "ours": c.value,
            "error": c.error,
            "ratio": c.ratio,
            "limit": "" if np.isnan(c.limit) else f"±{100 * c.limit:.0f} %" if c.relative else f"±{c.limit:.2g}",
            "within": answers[c.within],
        }
        for c in comparisons
    ]


def effective_area(showers: np.ndarray, n_showers: int, n_trials: int, thrown_area: u.Quantity) -> u.Quantity:
    """Effective area of one telescope, from counts of what was thrown.

    Parameters
    ----------
    showers : ndarray of int, shape (n_images,)
        Shower that each selected image belongs to.
    n_showers : int
        Showers that were thrown.
    n_trials : int
        Images that each could have given: telescopes times uses of the shower.
    thrown_area : astropy.units.Quantity
        Area over which the cores were thrown.

    Returns
    -------
    astropy.units.Quantity, shape (2,)
        Area in m2 and its standard error, from the scatter of the counts between showers.
    """
    _, counts = np.unique(showers, return_counts=True)
    mean = counts.sum() / n_showers
    variance = max((counts**2).sum() / n_showers - mean**2, 0) * n_showers / max(n_showers - 1, 1)
    share = np.array([mean, np.sqrt(variance / n_showers)]) / n_trials
    return (share * thrown_area).to(u.m**2)


def summed_rate(weights: u.Quantity, showers: np.ndarray, n_telescopes: int) -> u.Quantity:
    """Rate of one telescope and its standard error.

    Parameters
    ----------
    weights : astropy.units.Quantity, shape (n,)
        From `performance.weighting.flux_weights`, an image a row.
    showers : ndarray of int, shape (n,)
        Shower that each image belongs to.
    n_telescopes : int
        Telescopes that the images come from: their mean is taken.

    Returns
    -------
    astropy.units.Quantity, shape (2,)
    """
    _, label = np.unique(showers, return_inverse=True)
    per_shower = np.bincount(label, weights.value)
    return np.array([per_shower.sum(), np.sqrt((per_shower**2).sum())]) / n_telescopes * weights.unit


def auc_per_intensity(
    predictions: Table, edges: Sequence[float], parameters: EvaluationParameters, rng: np.random.Generator
) -> QTable:
    """Separation of gammas and hadrons in bins of the image's intensity.

    Parameters
    ----------
    predictions : Table
        ``gammaness``, ``hillas_intensity`` (p.e.), ``true_shower_primary_id`` and the keys of the shower
        (`performance.bootstrap.shower_labels`).
    edges : sequence of float
        Of log10(intensity), n_bins + 1.
    parameters : EvaluationParameters
    rng : numpy.random.Generator

    Returns
    -------
    QTable
        One row a bin: ``log_intensity_low``, ``log_intensity_high``, ``n``, ``n_gamma``, ``auc`` with ``auc_low`` and
        ``auc_high``.
    """
    is_gamma = np.asarray(predictions["true_shower_primary_id"]) == 0
    columns = {"is_gamma": is_gamma.astype(float), "gammaness": np.asarray(predictions["gammaness"], dtype=float)}
    with np.errstate(divide="ignore", invalid="ignore"):
        bins = np.digitize(np.log10(np.asarray(predictions["hillas_intensity"], dtype=float)), edges) - 1
    groups = [np.flatnonzero(bins == index) for index in range(len(edges) - 1)]
    table = QTable({"log_intensity_low": edges[:-1], "log_intensity_high": edges[1:]})
    found = grouped_metrics(columns, (AUC,), shower_labels(predictions), groups, parameters, rng)
    for name, column in found.columns.items():
        table[name] = column
    table["n_gamma"] = [int(is_gamma[rows].sum()) for rows in groups]
    return table


def direction_per_bin(predictions: Table, parameters: EvaluationParameters, rng: np.random.Generator) -> QTable:
    """Angular resolution per bin of true energy, of angles that are known already.

    Parameters
    ----------
    predictions : Table
        ``separation`` and ``true_energy`` with units, ``right_sign``, ``is_valid``, the keys of the shower
        (`performance.bootstrap.shower_labels`). Only gammas count.
    parameters : EvaluationParameters
    rng : numpy.random.Generator

    Returns
    -------
    QTable
        As `performance.sample.per_energy`, with ``angular_resolution_right``, ``angular_resolution`` [deg] and
        ``right_side``.
    """
    used = np.asarray(predictions["is_valid"], dtype=bool) & gammas(predictions)
    angle, right = plain(predictions, "separation"), np.asarray(predictions["right_sign"], dtype=float)
    columns = {
        "true_energy": plain(predictions, "true_energy"),
        "angle": angle,
        "angle_right": np.where(right == 1, angle, np.nan),
        "right_side": right,
    }
    return per_energy(sample_of(predictions, used, columns, {}), SIDE_METRICS, parameters, rng)


def membership(
    events: Mapping[str, np.ndarray], populations: Sequence[Mapping[str, np.ndarray]], quantities: Sequence[str]
) -> QTable:
    """Ask whether single events could come from a population of their like.

    Parameters
    ----------
    events : mapping of str to ndarray, shape (n,)
        The quantities of each event (a table will do).
    populations : sequence of mapping of str to ndarray
        For each event a population of the same energy, distance and conditions.
    quantities : sequence of str

    Returns
    -------
    QTable
        One row for each event and quantity: ``event`` (from 0), ``quantity``, ``value``, ``low``, ``median``, ``high``
        (2.5, 50 and 97.5 % of the population), ``n`` (its size), ``rank`` (the share of the population below, between 0
        and 1 exclusively: events of the population have ranks uniform there) and ``within``: whether the rank
        is inside the central 95 %. Without a population, or without a value, NaN and False.
    """
    rows = []
    for index, population in enumerate(populations):
        for quantity in quantities:
            value = float(events[quantity][index])
            sample = np.asarray(population[quantity], dtype=float)
            sample = sample[np.isfinite(sample)]
            low, median, high = (float(bound) for bound in statistics.quantiles(sample, CENTRAL_95))
            below = np.count_nonzero(sample < value) + 0.5 * np.count_nonzero(sample == value)
            rank = (below + 0.5) / (len(sample) + 1) if len(sample) and np.isfinite(value) else np.nan
            within = bool(CENTRAL_95[0] <= rank <= CENTRAL_95[-1])
            rows.append((index, quantity, value, low, median, high, len(sample), rank, within))
    names = ("event", "quantity", "value", "low", "median", "high", "n", "rank", "within")
    return QTable(rows=rows, names=names)
