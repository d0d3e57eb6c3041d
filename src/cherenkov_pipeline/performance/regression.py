"""Metrics and curves of any quantity with a predicted error: core position, depth of the shower maximum.

Conventions: gammas only; the error is reconstructed minus true; bias is its median, the resolution half of its central
68.27 % interval; of two coordinates also the 68.27 % containment of their distance; bins are in true energy.
"""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.dl1.contents import PRODUCTION_EVENT
from cherenkov_pipeline.performance import statistics
from cherenkov_pipeline.performance.gallery import choose_events, error_kinds
from cherenkov_pipeline.performance.metrics import Metric, Share, metrics_table
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.sample import (
    Sample,
    check_columns,
    choose_gammas,
    generators,
    per_energy,
    quarters,
    sample_of,
    values_in,
)
from cherenkov_pipeline.performance.weighting import weighted_metrics


@dataclass(frozen=True)
class Coordinate:
    """One number that is predicted.

    Attributes
    ----------
    name, label : str
        ``core_x``, ``core x``; columns are ``true_<name>``, ``reco_<name>``.
    error : str
        Column of the predicted error.
    """

    name: str
    label: str
    error: str


@dataclass(frozen=True)
class Quantity:
    """What is judged.

    Attributes
    ----------
    title : str
        ``Core position``.
    unit : str
    coordinates : tuple of Coordinate
    """

    title: str
    unit: str
    coordinates: tuple[Coordinate, ...]

    @property
    def resolution(self) -> Metric:
        """The one number that describes the sample."""
        if len(self.coordinates) > 1:
            return Metric(
                "distance_68", "68.27 % containment of the distance", ("distance",), statistics.quantile_68, self.unit
            )
        (one,) = self.coordinates
        return Metric("resolution", "Resolution: half of the central 68.27 % interval", (f"{one.name}_error",),
                      statistics.half_width_68, self.unit)  # fmt: skip

    @property
    def predicted_error(self) -> Metric:
        """Median of the predicted error, of all coordinates together."""
        return Metric("predicted_error", "Median predicted error", ("predicted_error",), statistics.median, self.unit)

    def metrics(self, *, detailed: bool) -> tuple[Metric, ...]:
        """Metrics of all coordinates; ``detailed`` ones for the whole sample."""
        found = [self.resolution]
        for one in self.coordinates:
            error = (f"{one.name}_error",)
            found.append(Metric(f"bias_{one.name}", f"Median bias of {one.label}", error, statistics.median, self.unit))
            found.append(
                Metric(f"resolution_{one.name}", f"Half of the central 68.27 % interval of {one.label}", error,
                       statistics.half_width_68, self.unit)
            )  # fmt: skip
            covered = (f"{one.name}_covered",)
            found.append(Share(f"coverage_68_{one.name}", f"Coverage of the predicted 68.27 % interval of {one.label}",
                                covered, statistics.mean))  # fmt: skip
            if detailed:
                both = (f"{one.name}_true", f"{one.name}_reco")
                found += [
                    Metric(f"mae_{one.name}", f"MAE of {one.label}", error, statistics.mean_absolute, self.unit),
                    Metric(f"rmse_{one.name}", f"RMSE of {one.label}", error, statistics.root_mean_square, self.unit),
                    Metric(f"r2_{one.name}", f"R² of {one.label}", both, statistics.r_squared),
                ]
        return tuple(found)


CORE = Quantity(
    "Core position",
    "m",
    (Coordinate("core_x", "core x", "reco_core_uncert_x"), Coordinate("core_y", "core y", "reco_core_uncert_y")),
)
XMAX = Quantity("Depth of the shower maximum", "g / cm2", (Coordinate("x_max", "X_max", "reco_x_max_uncert"),))


def regression_sample(predictions: Table, quantity: Quantity) -> Sample:
    """Select the events that a quantity can be judged by, and count the rest.

    Parameters
    ----------
    predictions : Table
        Keys, true and reconstructed values and predicted errors with units, ``true_energy``, ``is_valid``.
    quantity : Quantity

    Returns
    -------
    Sample
        ``true_energy`` [TeV]; for each coordinate its name with ``_true``, ``_reco``, ``_error``, ``_covered``;
        ``distance`` and ``predicted_error`` over all of them.

    Raises
    ------
    UserError
        If a column or a unit is missing.
    """
    wanted = [name for one in quantity.coordinates for name in (f"true_{one.name}", f"reco_{one.name}", one.error)]
    check_columns(predictions, (*PRODUCTION_EVENT, *wanted, "true_energy", "is_valid"))
    columns = {"true_energy": values_in(predictions, "true_energy", "TeV")}
    known = predicted = np.ones(len(predictions), dtype=bool)
    errors, squares = [], []
    for one in quantity.coordinates:
        true, reco, error = (
            values_in(predictions, name, quantity.unit) for name in (f"true_{one.name}", f"reco_{one.name}", one.error)
        )
        error = np.where(error > 0, error, np.nan)
        known, predicted = known & np.isfinite(true), predicted & np.isfinite(reco)
        covered = np.where(np.isfinite(error), np.abs(reco - true) <= error, np.nan)
        values = {"true": true, "reco": reco, "error": reco - true, "covered": covered}
        columns |= {f"{one.name}_{kind}": value for kind, value in values.items()}
        errors.append(error**2)
        squares.append((reco - true) ** 2)
    columns["distance"], columns["predicted_error"] = np.sqrt(sum(squares)), np.sqrt(sum(errors))
    used, counts = choose_gammas(predictions, known, predicted, quantity.title.lower())
    return sample_of(predictions, used, columns, counts)


def regression_tables(predictions: Table, parameters: EvaluationParameters, quantity: Quantity) -> dict[str, QTable]:
    """Make every table of a quantity that is regressed.

    These are ``metrics``, ``metrics_weighted``, ``per_energy``, ``distribution`` (of the errors), ``quarters`` and
    ``gallery``.

    Parameters
    ----------
    predictions : Table
        See `regression_sample`.
    parameters : EvaluationParameters
        Its seed makes the intervals reproducible.
    quantity : Quantity

    Raises
    ------
    UserError
        If a column or a unit is missing.
    """
    sample = regression_sample(predictions, quantity)
    streams = generators(parameters, 4)
    metrics = quantity.metrics(detailed=True)
    return {
        "metrics": metrics_table(sample.columns, metrics, sample.showers, sample.counts, parameters, streams[0]),
        "metrics_weighted": weighted_metrics(predictions, sample, metrics, parameters, streams[3]),
        "per_energy": per_energy(sample, quantity.metrics(detailed=False), parameters, streams[1]),
        "distribution": error_distribution(sample, quantity),
        "quarters": quarters(sample, quantity.predicted_error, (quantity.resolution,), parameters, streams[2]),
        "gallery": regression_gallery(predictions, sample, quantity),
    }


def regression_gallery(predictions: Table, sample: Sample, quantity: Quantity) -> QTable:
    """Choose events worth looking at by their distance to the truth, see `performance.gallery.choose_events`."""
    scores = error_kinds(sample.columns["distance"], sample.columns["predicted_error"])
    return choose_events(predictions, sample, scores, dict.fromkeys(("distance", "predicted_error"), quantity.unit))


def error_distribution(sample: Sample, quantity: Quantity) -> QTable:
    """Count the errors of each coordinate: ``error_low``, ``error_high`` with unit, ``n_<coordinate>``."""
    errors = {one.name: sample.columns[f"{one.name}_error"] for one in quantity.coordinates}
    together = np.abs(np.concatenate(list(errors.values())))
    limit = float(np.quantile(together, 0.98)) if len(together) else 1.0
    edges = np.linspace(-1, 1, 41) * max(limit, 1e-6)
    unit = u.Unit(quantity.unit)
    table = QTable({"error_low": edges[:-1] * unit, "error_high": edges[1:] * unit})
    for name, values in errors.items():
        table[f"n_{name}"] = np.histogram(values, edges)[0]
    table.meta["n"] = len(sample.showers)
    return table


def core_tables(predictions: Table, parameters: EvaluationParameters) -> dict[str, QTable]:
    """Make every table of the core position, see `regression_tables`."""
    return regression_tables(predictions, parameters, CORE)


def xmax_tables(predictions: Table, parameters: EvaluationParameters) -> dict[str, QTable]:
    """Make every table of the depth of the shower maximum, see `regression_tables`."""
    return regression_tables(predictions, parameters, XMAX)
