"""Metrics and curves of the energy task, from its predictions.

Conventions: gammas only; relative error E_reco/E_true - 1; bias is its median; resolution is half of its central
68.27 % interval (`pyirf.benchmarks.energy_bias_resolution`), with the 68.27 % quantile of its absolute value
(ctaplot, sst1mpipe) beside it; bins are in true energy.

The network predicts a Gaussian in the logarithm of the energy, so the pull is taken there:
(ln E_reco - ln E_true) / (sigma_E / E_reco), and the 68 % interval covers an event if its pull is within ±1.
"""

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from pyirf.benchmarks import energy_bias_resolution

from cherenkov_pipeline.dl1.contents import PRODUCTION_EVENT
from cherenkov_pipeline.performance import statistics
from cherenkov_pipeline.performance.binning import bins_table, energy_edges
from cherenkov_pipeline.performance.bootstrap import shower_labels
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
    values_in,
)
from cherenkov_pipeline.performance.weighting import weighted_metrics

ENERGIES = ("true_energy", "reco_energy", "reco_energy_uncert")

BIAS = Metric("bias", "Median bias of E_reco/E_true − 1", ("relative_error",), statistics.median)
RESOLUTION = Metric(
    "resolution",
    "Energy resolution: half of the central 68.27 % interval",
    ("relative_error",),
    statistics.half_width_68,
)
QUANTILE_68 = Metric(
    "quantile_68", "68.27 % quantile of |E_reco/E_true − 1|", ("relative_error",), statistics.quantile_68
)
STANDARD_DEVIATION = Metric(
    "standard_deviation",
    "Standard deviation of E_reco/E_true − 1",
    ("relative_error",),
    statistics.standard_deviation,
)
COVERAGE = Share("coverage_68", "Coverage of the predicted 68.27 % interval", ("covered",), statistics.mean)
PULL_MEAN = Metric("pull_mean", "Pull, mean", ("pull",), statistics.mean)
PULL_WIDTH = Metric("pull_width", "Pull, standard deviation", ("pull",), statistics.standard_deviation)
PREDICTED_ERROR = Metric("predicted_error", "Median predicted relative error", ("predicted_error",), statistics.median)

SUMMARY_METRICS = (
    RESOLUTION,
    QUANTILE_68,
    BIAS,
    STANDARD_DEVIATION,
    Metric("mse", "MSE of E", ("error",), statistics.mean_square, "TeV2"),
    Metric("mae", "MAE of E", ("error",), statistics.mean_absolute, "TeV"),
    Metric("r2", "R² of E", ("true_energy", "reco_energy"), statistics.r_squared),
    Metric("mse_log", "MSE of log10(E/TeV)", ("log_error",), statistics.mean_square),
    Metric("mae_log", "MAE of log10(E/TeV)", ("log_error",), statistics.mean_absolute),
    Metric("r2_log", "R² of log10(E/TeV)", ("log_true", "log_reco"), statistics.r_squared),
    Metric("rmsle", "RMSLE: RMS error of ln(1 + E/TeV)", ("log1p_error",), statistics.root_mean_square),
    COVERAGE,
    PULL_MEAN,
    PULL_WIDTH,
)
BIN_METRICS = (BIAS, RESOLUTION, QUANTILE_68, STANDARD_DEVIATION, COVERAGE, PULL_MEAN, PULL_WIDTH)
QUARTER_METRICS = (BIAS, RESOLUTION, QUANTILE_68, COVERAGE)

#: Edges of the pull histogram; the outermost bins also hold what lies beyond.
PULL_EDGES = np.linspace(-5, 5, 41)


def energy_sample(predictions: Table) -> Sample:
    """Select the events that energies can be judged by, and count the rest.

    Parameters
    ----------
    predictions : Table
        Predictions table; energies with units. Without ``true_shower_primary_id`` all events count as gammas.

    Returns
    -------
    Sample
        Columns ``true_energy`` and ``reco_energy`` in TeV and what follows from them.

    Raises
    ------
    UserError
        If a column or the unit of an energy is missing.
    """
    check_columns(predictions, (*PRODUCTION_EVENT, *ENERGIES, "is_valid"))
    true, reco, uncertainty = (values_in(predictions, name, "TeV") for name in ENERGIES)
    known = np.isfinite(true) & (true > 0)
    used, counts = choose_gammas(predictions, known, np.isfinite(reco) & (reco > 0), "energy")
    columns = _columns(true[used], reco[used], uncertainty[used])
    return Sample(columns, shower_labels(predictions)[used], counts, np.flatnonzero(used))


def _columns(true: np.ndarray, reco: np.ndarray, uncertainty: np.ndarray) -> dict[str, np.ndarray]:
    log_true, log_reco = np.log10(true), np.log10(reco)
    predicted_error = np.where(np.isfinite(uncertainty) & (uncertainty > 0), uncertainty, np.nan) / reco
    pull = np.log(reco / true) / predicted_error
    return {
        "true_energy": true,
        "reco_energy": reco,
        "error": reco - true,
        "relative_error": reco / true - 1,
        "log_true": log_true,
        "log_reco": log_reco,
        "log_error": log_reco - log_true,
        "log1p_error": np.log1p(reco) - np.log1p(true),
        "predicted_error": predicted_error,
        "pull": pull,
        "covered": np.where(np.isfinite(pull), np.abs(pull) <= 1, np.nan),
    }


def energy_metrics(predictions: Table | Sample, parameters: EvaluationParameters, rng: np.random.Generator) -> QTable:
    """Metrics over all energies, with bootstrap intervals.

    Returns
    -------
    QTable
        ``metric``, ``label``, ``value``, ``low``, ``high``, ``unit``, ``n``; the last rows count events.
    """
    sample = _sample(predictions)
    return metrics_table(sample.columns, SUMMARY_METRICS, sample.showers, sample.counts, parameters, rng)


def energy_per_bin(predictions: Table | Sample, parameters: EvaluationParameters, rng: np.random.Generator) -> QTable:
    """Bias, resolution, spread and calibration of the predicted error per bin of true energy.

    Returns
    -------
    QTable
        One row a bin: ``true_energy_low``, ``true_energy_high`` and ``true_energy_center`` (geometric) in TeV, ``n``,
        each of `BIN_METRICS` with ``_low`` and ``_high``, and ``drawn``: whether the bin has enough events.
    """
    sample = _sample(predictions)
    table = per_energy(sample, BIN_METRICS, parameters, rng)
    # the field's own implementation gives the values, the bootstrap their intervals
    energies = QTable({name: sample.columns[name] * u.TeV for name in ("true_energy", "reco_energy")})
    reference = energy_bias_resolution(energies, energy_edges(parameters))
    table["bias"] = reference["bias"]
    table["resolution"] = reference["resolution"]
    return table


def energy_distribution(predictions: Table | Sample, parameters: EvaluationParameters) -> QTable:
    """Count the events per energy bin, by true and by reconstructed energy.

    Returns
    -------
    QTable
        ``energy_low``, ``energy_high``, ``energy_center`` in TeV, ``n_true``, ``n_reco``.
    """
    sample = _sample(predictions)
    edges = energy_edges(parameters, parameters.migration_bins_per_decade)
    table = bins_table("energy", edges)
    table["n_true"] = np.histogram(sample.columns["true_energy"], edges.value)[0]
    table["n_reco"] = np.histogram(sample.columns["reco_energy"], edges.value)[0]
    return table


def migration_matrix(predictions: Table | Sample, parameters: EvaluationParameters) -> QTable:
    """Count the events by true and reconstructed energy.

    Returns
    -------
    QTable
        One row a bin of true energy: ``true_energy_low``, ``true_energy_high``, ``true_energy_center`` in TeV, ``n``
        (with those reconstructed outside the bins), ``n_reco`` (a vector over the same bins of reconstructed energy).
    """
    sample = _sample(predictions)
    edges = energy_edges(parameters, parameters.migration_bins_per_decade)
    table = bins_table("true_energy", edges)
    table["n"] = np.histogram(sample.columns["true_energy"], edges.value)[0]
    table["n_reco"] = np.histogram2d(
        sample.columns["true_energy"], sample.columns["reco_energy"], bins=(edges.value, edges.value)
    )[0].astype(np.int64)
    return table


def energy_pulls(predictions: Table | Sample) -> QTable:
    """Histogram of the pulls; the outermost bins also hold what lies beyond.

    Returns
    -------
    QTable
        ``pull_low``, ``pull_high``, ``n``; in ``meta`` the ``mean``, ``width``, ``coverage_68`` and ``n``.
    """
    columns = _sample(predictions).columns
    pull = columns["pull"][np.isfinite(columns["pull"])]
    table = QTable({"pull_low": PULL_EDGES[:-1], "pull_high": PULL_EDGES[1:]})
    table["n"] = np.histogram(np.clip(pull, PULL_EDGES[0], PULL_EDGES[-1]), PULL_EDGES)[0]
    table.meta.update(
        mean=float(PULL_MEAN(columns)),
        width=float(PULL_WIDTH(columns)),
        coverage_68=float(COVERAGE(columns)),
        n=len(pull),
    )
    return table


def energy_quarters(predictions: Table | Sample, parameters: EvaluationParameters, rng: np.random.Generator) -> QTable:
    """Metrics of the events split in quarters by their predicted relative error, smallest first.

    Returns
    -------
    QTable
        ``quarter`` (1 to 4), ``n``, ``predicted_error`` and each of `QUARTER_METRICS` with ``_low`` and ``_high``.
    """
    sample = _sample(predictions)
    return quarters(sample, PREDICTED_ERROR, QUARTER_METRICS, parameters, rng)


def energy_gallery(predictions: Table, sample: Sample) -> QTable:
    """Choose events worth looking at by |ln(E_reco/E_true)|, see `performance.gallery.choose_events`."""
    error = np.abs(sample.columns["log_error"]) * np.log(10)
    scores = error_kinds(error, sample.columns["predicted_error"])
    return choose_events(predictions, sample, scores, {"relative_error": "", "predicted_error": "", "pull": ""})


def energy_tables(predictions: Table, parameters: EvaluationParameters) -> dict[str, QTable]:
    """Make every table of the energy task.

    Parameters
    ----------
    predictions : Table
        Predictions table.
    parameters : EvaluationParameters
        Its seed makes the intervals reproducible.

    Returns
    -------
    dict of str to QTable
        ``metrics``, ``metrics_weighted``, ``per_energy``, ``distribution``, ``migration``, ``pulls``, ``quarters``,
        ``gallery``.

    Raises
    ------
    UserError
        If a column or the unit of an energy is missing.
    """
    sample = energy_sample(predictions)
    streams = generators(parameters, 4)
    return {
        "metrics": energy_metrics(sample, parameters, streams[0]),
        "metrics_weighted": weighted_metrics(predictions, sample, SUMMARY_METRICS, parameters, streams[3]),
        "per_energy": energy_per_bin(sample, parameters, streams[1]),
        "distribution": energy_distribution(sample, parameters),
        "migration": migration_matrix(sample, parameters),
        "pulls": energy_pulls(sample),
        "quarters": energy_quarters(sample, parameters, streams[2]),
        "gallery": energy_gallery(predictions, sample),
    }


def _sample(predictions: Table | Sample) -> Sample:
    return predictions if isinstance(predictions, Sample) else energy_sample(predictions)
