"""The report of an energy model."""

from collections.abc import Mapping

import matplotlib.figure
from astropy.table import QTable

from cherenkov_pipeline.performance.plots import energy as plots
from cherenkov_pipeline.performance.plots import uncertainty
from cherenkov_pipeline.performance.plots.curves import shared_legend
from cherenkov_pipeline.performance.published import random_forest_energy
from cherenkov_pipeline.performance.report.common import (
    Rows,
    bins_convention,
    estimate,
    intervals_convention,
    key_numbers,
    regression_sections,
    rows_of,
    weights_convention,
)
from cherenkov_pipeline.performance.report.content import Drawing
from cherenkov_pipeline.performance.report.gallery import ERROR_CAPTIONS, gallery_section
from cherenkov_pipeline.performance.report.tables import format_number
from cherenkov_pipeline.performance.report.task import TaskResult

FIGURES = {
    "resolution": (
        "Energy resolution",
        "Full line: half of the central 68.27 % interval, with its bootstrap interval. Broken lines: 68.27 % quantile "
        "of the absolute error, as the published reference defines its resolution.",
    ),
    "bias": ("Bias and standard deviation", "Of E_reco/E_true − 1, with their bootstrap intervals."),
    "migration": ("Migration matrix", "Reconstructed against true energy; the line marks equality."),
    "distribution": ("Energy distribution", "The same events by true and by reconstructed energy."),
}
UNCERTAINTY_FIGURES = {
    "pulls": ("Pull distribution", "Errors in units of the predicted error. The outermost bins hold what lies beyond."),
    "quarters": (
        "Quarters by predicted error",
        "Events sorted by their predicted relative error: a good prediction tells good events from bad ones.",
    ),
    "coverage": ("Coverage per energy", "Fraction of events inside their predicted 68.27 % interval."),
    "pulls_per_energy": ("Pull per energy", "Mean and standard deviation of the pull: 0 and 1, if all is right."),
}


def energy_figures(
    tables: Mapping[str, QTable], model: str, published: str | None
) -> dict[str, matplotlib.figure.Figure]:
    """Draw every figure of the energy task.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.energy.energy_tables`.
    model : str
        Name for the legends.
    published : str or None
        Published curve that is drawn for reference, from `performance.published.published_for`.

    Returns
    -------
    dict of str to Figure
        ``resolution``, ``bias``, ``migration``, ``distribution``, ``pulls``, ``quarters``, ``coverage``,
        ``pulls_per_energy``.
    """
    forest = random_forest_energy(published) if published else None
    curves = {model: tables["per_energy"]}
    return {
        "resolution": shared_legend(plots.energy_resolution(curves, forest)),
        "bias": shared_legend(plots.energy_bias(curves, forest)),
        "migration": plots.migration_matrix(tables["migration"]),
        "distribution": plots.energy_distribution(tables["distribution"]),
        "pulls": uncertainty.pull_distribution(tables["pulls"]),
        "quarters": uncertainty.error_quarters(tables["quarters"]),
        "coverage": uncertainty.coverage(curves),
        "pulls_per_energy": uncertainty.pull_per_energy(curves),
    }


def energy_result(tables: Mapping[str, QTable], figures: Mapping[str, Drawing]) -> TaskResult:
    """Make the energy task's part of a report.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.energy.energy_tables`.
    figures : mapping of str to Drawing
        From `energy_figures` and `report.gallery.gallery_figures`; a figure that is not there is left out.
    """
    metrics = rows_of(tables["metrics"])
    conventions = _conventions(tables)
    summary = _summary(metrics, tables["metrics"].meta["confidence"])
    sections = regression_sections(
        tables, figures, FIGURES, UNCERTAINTY_FIGURES, _QUANTITIES, "Quarters by predicted relative error."
    )
    events = gallery_section(tables["gallery"], figures, ERROR_CAPTIONS, _EVENT_QUANTITIES)
    return TaskResult(summary, key_numbers(metrics, _KEY_NUMBERS), (*sections, events), conventions)


_QUANTITIES = {
    "predicted_error": "Predicted error",
    "resolution": "Resolution",
    "quantile_68": "68 % quantile",
    "bias": "Bias",
    "standard_deviation": "Std. dev.",
    "coverage_68": "Coverage",
}
_EVENT_QUANTITIES = {
    "true_energy": "E_true",
    "reco_energy": "E_reco",
    "relative_error": "E_reco/E_true − 1",
    "predicted_error": "Predicted relative error",
    "pull": "Pull",
}
_KEY_NUMBERS = (
    ("Energy resolution", "resolution", 1, ""),
    ("Median bias", "bias", 1, ""),
    ("Coverage of 68 % intervals", "coverage_68", 100, " %"),
    ("R² of log10(E/TeV)", "r2_log", 1, ""),
)


def _conventions(tables: Mapping[str, QTable]) -> dict[str, str]:
    return {
        "Events": "gammas of the test set with a valid energy; no training or tuning saw them",
        "Energy bins": bins_convention(tables["per_energy"]),
        "Bias": "median of E_reco/E_true − 1 (pyirf)",
        "Resolution": "half of the central 68.27 % interval of E_reco/E_true − 1 (pyirf)",
        "68 % quantile": "68.27 % quantile of |E_reco/E_true − 1|, a bias counts (ctaplot, sst1mpipe)",
        "RMSLE": "root mean square of ln(1 + E_reco/TeV) − ln(1 + E_true/TeV)",
        "Pull": "(ln E_reco − ln E_true) / (σ_E / E_reco), σ_E the predicted error",
        "Coverage": "fraction of events with |pull| ≤ 1; 68.27 % if the predicted errors are right",
        "Weighted": weights_convention(tables["metrics_weighted"]),
        "Intervals": intervals_convention(tables["metrics"]),
    }


def _summary(metrics: Rows, confidence: float) -> str:
    n_valid, n_invalid = int(metrics["events_valid"]["value"]), int(metrics["events_invalid"]["value"])
    if not n_valid:
        return "No gamma event has a valid energy: there is nothing to evaluate."
    resolution, interval = estimate(metrics["resolution"])
    bias, bias_interval = estimate(metrics["bias"])
    text = (
        f"On {format_number(n_valid)} of {format_number(n_valid + n_invalid)} gammas the energy is reconstructed "
        f"with a resolution of {resolution} ({interval}) and a median bias of {bias} ({bias_interval})."
    )
    if metrics["coverage_68"]["n"]:
        coverage, coverage_interval = estimate(metrics["coverage_68"], factor=100)
        text += f" The predicted 68 % intervals hold {coverage} % ({coverage_interval}) of the true energies."
    if interval:
        text += f" In brackets: {100 * confidence:g} % intervals."
    return text.replace(" ()", "")
