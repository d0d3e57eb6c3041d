"""The report of a model of the particle type."""

from collections.abc import Mapping

import matplotlib.figure
import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.plots import type as plots
from cherenkov_pipeline.performance.report.common import (
    Rows,
    bins_convention,
    bins_table,
    estimate,
    intervals_convention,
    key_numbers,
    results,
    rows_of,
    weights_convention,
)
from cherenkov_pipeline.performance.report.content import Drawing, Section
from cherenkov_pipeline.performance.report.gallery import TYPE_CAPTIONS, gallery_section
from cherenkov_pipeline.performance.report.tables import format_number
from cherenkov_pipeline.performance.report.task import TaskResult, illustrations

FIGURES = {
    "roc": ("ROC curve", "What is kept of the gammas over what is kept of the background."),
    "gammaness": ("Gammaness", "Gammas and other particles, each normalised to all of them."),
    "reliability": (
        "Calibration",
        "Share of gammas over the predicted probability, in the mixture of particles of these events.",
    ),
    "confusion": ("Decisions", "At gammaness 0.5 and at the threshold that keeps 80 % of the gammas.", True),
}
CURVES = {
    "auc": ("Area under the ROC curve per energy", "With its bootstrap interval."),
    "intensity": ("Area under the ROC curve per intensity", "With its bootstrap interval."),
    "efficiency": ("Efficiencies per energy", "What a cut at gammaness 0.5 keeps."),
}


def type_figures(
    tables: Mapping[str, QTable], model: str, published: str | None
) -> dict[str, matplotlib.figure.Figure]:
    """Draw every figure of the particle type.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.type.type_tables`.
    model : str
        Name for the legends.
    published : str or None
        As for the other tasks: nothing is published.

    Returns
    -------
    dict of str to Figure
        ``roc``, ``gammaness``, ``reliability``, ``confusion``, ``auc``, ``intensity``, ``efficiency``.
    """
    curves = {model: tables["per_energy"]}
    return {
        "roc": plots.roc({model: tables["roc"]}),
        "gammaness": plots.gammaness(tables["distribution"]),
        "reliability": plots.reliability({model: tables["calibration"]}),
        "confusion": plots.confusion(tables["confusion"]),
        "auc": plots.auc_per_energy(curves),
        "intensity": plots.auc_per_intensity({model: tables["per_intensity"]}),
        "efficiency": plots.efficiencies(curves),
    }


def type_result(tables: Mapping[str, QTable], figures: Mapping[str, Drawing]) -> TaskResult:
    """Make the particle type's part of a report.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.type.type_tables`.
    figures : mapping of str to Drawing
        From `type_figures` and `report.gallery.gallery_figures`; a figure that is not there is left out.
    """
    metrics = rows_of(tables["metrics"])
    energy = _ENERGIES[tables["per_energy"].meta["energy"]]
    sections = (
        Section(
            "Results",
            (
                *results(tables),
                *illustrations(FIGURES, figures),
            ),
        ),
        Section(
            "Performance per energy and intensity",
            (
                *illustrations(CURVES, figures),
                bins_table(tables["per_energy"], "energy", f"{energy[0]} [TeV]", _QUANTITIES),
                bins_table(tables["per_intensity"], "log_intensity", "log10(intensity / p.e.)", _QUANTITIES),
            ),
        ),
        gallery_section(tables["gallery"], figures, TYPE_CAPTIONS, {"gammaness": "Gammaness", "true_energy": "E_true"}),
    )
    summary = _summary(metrics, tables["metrics"].meta["confidence"])
    return TaskResult(summary, key_numbers(metrics, _KEY_NUMBERS), sections, _conventions(tables, energy[1]))


_ENERGIES = {"reco_energy": ("E_reco", "reconstructed energy"), "true_energy": ("E_true", "true energy")}
_QUANTITIES = {
    "auc": "AUC",
    "background_efficiency_70": "ε_p at ε_γ = 0.7",
    "gamma_efficiency": "ε_γ, gammaness 0.5",
    "background_efficiency": "ε_p, gammaness 0.5",
}
_KEY_NUMBERS = (
    ("Area under the ROC curve", "auc", 1, ""),
    ("Background at 70 % of the gammas", "background_efficiency_70", 100, " %"),
    ("Accuracy, gammaness 0.5", "accuracy", 100, " %"),
    ("Expected calibration error", "calibration_error", 1, ""),
)


def _conventions(tables: Mapping[str, QTable], energy: str) -> dict[str, str]:
    return {
        "Events": "images of the test set with a valid gammaness; no training or tuning saw them",
        "Positive": "gammas; every other particle is background",
        "Energy bins": bins_convention(tables["per_energy"], "energy", energy),
        "Intensity": "charge of the cleaned image; bins equal in its logarithm",
        "Background rejection": "one over the background efficiency",
        "Q": "gamma efficiency over the square root of the background efficiency",
        "Equal gammaness": "of gammas and others with exactly the gammaness of the threshold the same share is kept, "
        "so many that the gamma efficiency is the one that is named",
        "Calibration error": "mean of |share of gammas − gammaness| over ten equal bins, weighted by their events",
        "Mixture": "accuracy, precision, F1, Brier score, log loss and calibration are those of the mixture of "
        "particles among these events; area and efficiencies do not depend on it",
        "Weighted": weights_convention(tables["metrics_weighted"]),
        "Intervals": intervals_convention(tables["metrics"]),
    }


def _summary(metrics: Rows, confidence: float) -> str:
    n_gamma, n_background = (int(metrics[f"events_{name}"]["value"]) for name in ("gamma", "background"))
    numbers = f"{format_number(n_gamma)} gammas and {format_number(n_background)} other particles"
    if not np.isfinite(metrics["auc"]["value"]):
        return f"There are {numbers}: without both, there is no separation to evaluate."
    area, interval = estimate(metrics["auc"])
    kept, kept_interval = estimate(metrics["background_efficiency_70"], factor=100)
    text = (
        f"{numbers[0].upper()}{numbers[1:]} are separated with an area under the ROC curve of {area} ({interval}): "
        f"where 70 % of the gammas are kept, {kept} % ({kept_interval}) of the background are."
    )
    error, error_interval = estimate(metrics["calibration_error"])
    text += f" The expected calibration error is {error} ({error_interval})."
    if interval:
        text += f" In brackets: {100 * confidence:g} % intervals."
    return text.replace(" ()", "")
