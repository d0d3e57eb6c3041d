"""Metrics and curves of the particle type, from its predictions.

Conventions: gammas are positive, every other particle is negative; ``gammaness`` is the predicted probability of a
gamma. Numbers that depend on a decision are given at gammaness 0.5 and at the threshold that keeps 80 % of the gammas.
Accuracy, precision, F1, Brier score, log loss and calibration depend on the mixture of particles in the sample; the
efficiencies and the area under the ROC curve do not. Energy bins are in reconstructed energy where the predictions have
it, as a cut on data would be, else in true energy.
"""

from functools import partial

import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.dl1.contents import PRODUCTION_EVENT
from cherenkov_pipeline.performance import classification, statistics
from cherenkov_pipeline.performance.gallery import choose_events, probability_kinds
from cherenkov_pipeline.performance.metrics import Metric, metrics_table
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.sample import (
    PRIMARY,
    Sample,
    check_columns,
    generators,
    per_bin,
    per_energy,
    sample_of,
    share,
    values_in,
)
from cherenkov_pipeline.performance.weighting import weighted_metrics

BOTH = ("is_gamma", "gammaness")
EFFICIENCY = 0.8
EFFICIENCIES = (0.5, 0.7, 0.9)

AUC = Metric("auc", "Area under the ROC curve", BOTH, statistics.roc_auc)
PROTON_EFFICIENCY_70 = Metric(
    "background_efficiency_70",
    "Background efficiency at 70 % gamma efficiency",
    BOTH,
    partial(classification.background_efficiency, efficiency=0.7),
)

DECISIONS = {
    "accuracy": ("Accuracy", classification.accuracy),
    "precision": ("Precision", classification.precision),
    "recall": ("Recall (gamma efficiency)", classification.recall),
    "f1": ("F1", classification.f1),
    "background_efficiency": ("Background efficiency", classification.background_efficiency),
}
SUMMARY_METRICS = (
    AUC,
    *(
        metric
        for efficiency in EFFICIENCIES
        for percent in [round(100 * efficiency)]
        for metric in (
            Metric(
                f"background_efficiency_{percent}", f"Background efficiency at {percent} % gamma efficiency", BOTH,
                partial(classification.background_efficiency, efficiency=efficiency),
            ),
            Metric(
                f"background_rejection_{percent}", f"Background rejection at {percent} % gamma efficiency", BOTH,
                partial(classification.background_rejection, efficiency=efficiency),
            ),
            Metric(
                f"quality_factor_{percent}", f"Q = ε_γ/√ε_p at {percent} % gamma efficiency", BOTH,
                partial(classification.quality_factor, efficiency=efficiency),
            ),
        )
    ),
    *(Metric(name, f"{label}, gammaness 0.5", BOTH, function) for name, (label, function) in DECISIONS.items()),
    Metric(
        "threshold_80", "Gammaness that keeps 80 % of the gammas", BOTH,
        partial(classification.threshold_at, efficiency=EFFICIENCY),
    ),
    *(
        Metric(f"{name}_at_80", f"{label}, 80 % gamma efficiency", BOTH, partial(function, efficiency=EFFICIENCY))
        for name, (label, function) in DECISIONS.items()
        if name != "recall"
    ),
    Metric("brier", "Brier score", BOTH, classification.brier),
    Metric("log_loss", "Log loss", BOTH, classification.log_loss),
    Metric("calibration_error", "Expected calibration error, ten bins", BOTH, classification.calibration_error),
)  # fmt: skip
BIN_METRICS = (
    AUC,
    PROTON_EFFICIENCY_70,
    Metric("gamma_efficiency", "Gamma efficiency, gammaness 0.5", BOTH, classification.recall),
    Metric("background_efficiency", "Background efficiency, gammaness 0.5", BOTH, classification.background_efficiency),
)
INTENSITY_METRICS = (AUC, PROTON_EFFICIENCY_70)

SCORES = np.linspace(0, 1, 51)
INTENSITIES = np.linspace(1.5, 4.5, 13)
CURVE_POINTS = 401
"""Points of the ROC curve: steps of a quarter of a percent in the gamma efficiency."""


def type_sample(predictions: Table) -> Sample:
    """Select the events that a classification can be judged by, and count the rest.

    Parameters
    ----------
    predictions : Table
        Keys, ``gammaness``, ``is_valid``, ``true_shower_primary_id`` (-1 where it is not known), and, where there are
        any, ``reco_energy``, ``true_energy`` with units, ``hillas_intensity``.

    Returns
    -------
    Sample
        Columns ``is_gamma``, ``gammaness``, ``energy`` [TeV], ``log_intensity`` (of p.e.); NaN where there is none.

    Raises
    ------
    UserError
        If a column or a unit is missing.
    """
    check_columns(predictions, (*PRODUCTION_EVENT, "gammaness", "is_valid", PRIMARY))
    primary, score = np.asarray(predictions[PRIMARY]), np.asarray(predictions["gammaness"], dtype=float)
    known = primary >= 0
    predicted = np.asarray(predictions["is_valid"], dtype=bool) & np.isfinite(score)
    used, gamma = known & predicted, primary == 0
    counts = {
        "events_total": ("Events in the predictions", len(predictions)),
        "events_gamma": ("Gammas with a valid gammaness", int((used & gamma).sum())),
        "events_background": ("Other particles with a valid gammaness", int((used & ~gamma).sum())),
        "events_invalid": ("Events without a valid gammaness", int((known & ~predicted).sum())),
        "events_without_truth": ("Events of an unknown particle, left out", int((~known).sum())),
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        intensity = np.log10(_column(predictions, "hillas_intensity"))
    columns = {
        "is_gamma": gamma.astype(float),
        "gammaness": score,
        "energy": _energy(predictions),
        "log_intensity": intensity,
    }
    return sample_of(predictions, used, columns, counts)


def energy_of(predictions: Table) -> str:
    """Name of the energy that bins are made of."""
    return "reco_energy" if "reco_energy" in predictions.colnames else "true_energy"


def _energy(predictions: Table) -> np.ndarray:
    name = energy_of(predictions)
    return values_in(predictions, name, "TeV") if name in predictions.colnames else np.full(len(predictions), np.nan)


def _column(predictions: Table, name: str) -> np.ndarray:
    if name not in predictions.colnames:
        return np.full(len(predictions), np.nan)
    return np.asarray(predictions[name], dtype=float)


def roc_curve(sample: Sample) -> QTable:
    """Efficiencies over the threshold.

    Returns
    -------
    QTable
        From nothing that is kept to all: `CURVE_POINTS` rows from none of the gammas to all, one before them and one
        behind: ``gamma_efficiency``, ``threshold`` (gammaness that keeps this fraction), ``background_efficiency`` and
        ``n``, the background events that are kept (expected, where several have the same); ``meta`` has ``auc``.
    """
    columns = [sample.columns[name] for name in BOTH]
    efficiency = np.linspace(0, 1, CURVE_POINTS)
    threshold, background = classification.background_at(*columns, efficiency)
    n_background = int((columns[0] == 0).sum())
    table = QTable(
        {
            "gamma_efficiency": [0, *efficiency, 1],
            "threshold": [np.inf, *threshold, 0],
            "background_efficiency": [0, *background, 1],
            "n": [0, *(background * n_background), n_background],
        }
    )
    table.meta["auc"] = float(statistics.roc_auc(*columns))
    return table


def distribution(sample: Sample) -> QTable:
    """Count by gammaness: ``gammaness_low``, ``gammaness_high``, ``n_gamma``, ``n_background``."""
    gamma, score = sample.columns["is_gamma"] > 0, sample.columns["gammaness"]
    table = QTable({"gammaness_low": SCORES[:-1], "gammaness_high": SCORES[1:]})
    for name, rows in (("n_gamma", gamma), ("n_background", ~gamma)):
        table[name] = np.histogram(score[rows], SCORES)[0]
    return table


def calibration(sample: Sample, parameters: EvaluationParameters) -> QTable:
    """Compare the predicted probability with the share of gammas.

    Returns
    -------
    QTable
        Ten rows: ``gammaness_low``, ``gammaness_high``, ``n``, ``gammaness`` (mean in the bin), ``gamma_share`` with
        ``_low`` and ``_high``.
    """
    edges = np.linspace(0, 1, classification.CALIBRATION_BINS + 1)
    score, gamma = sample.columns["gammaness"], sample.columns["is_gamma"] > 0
    bins = np.clip((score * classification.CALIBRATION_BINS).astype(int), 0, classification.CALIBRATION_BINS - 1)
    groups = [np.flatnonzero(bins == number) for number in range(classification.CALIBRATION_BINS)]
    table = QTable({"gammaness_low": edges[:-1], "gammaness_high": edges[1:], "n": [len(rows) for rows in groups]})
    table["gammaness"] = [statistics.mean(score[rows]) for rows in groups]
    deviations = statistics.deviations(parameters.confidence)
    shares = np.array([share(gamma[rows], sample.showers[rows], deviations) for rows in groups])
    for name, values in zip(("gamma_share", "gamma_share_low", "gamma_share_high"), shares.T, strict=True):
        table[name] = values
    return table


def confusion(sample: Sample) -> QTable:
    """Count decisions: ``decision``, ``threshold``, ``particle``, ``n``, ``n_as_gamma``, ``n_as_background``."""
    columns = [sample.columns[name] for name in BOTH]
    at_80 = float(classification.threshold_at(*columns, EFFICIENCY))
    rows = []
    for decision, threshold, efficiency in (("At one half", 0.5, None), ("At 80 % of the gammas", at_80, EFFICIENCY)):
        gammas, others, *lost = classification.decisions(*columns, efficiency)
        for particle, kept, rejected in (("gamma", gammas, lost[0]), ("background", others, lost[1])):
            rows.append((decision, threshold, particle, round(float(kept + rejected)), round(float(kept))))
    table = QTable(rows=rows, names=("decision", "threshold", "particle", "n", "n_as_gamma"))
    table["n_as_background"] = table["n"] - table["n_as_gamma"]
    return table


def type_gallery(predictions: Table, sample: Sample) -> QTable:
    """Choose events worth looking at by their gammaness, see `performance.gallery.choose_events`."""
    return choose_events(predictions, sample, probability_kinds(*(sample.columns[name] for name in BOTH)))


def type_tables(predictions: Table, parameters: EvaluationParameters) -> dict[str, QTable]:
    """Make every table of the type task.

    Parameters
    ----------
    predictions : Table
        See `type_sample`.
    parameters : EvaluationParameters
        Its seed makes the intervals reproducible.

    Returns
    -------
    dict of str to QTable
        ``metrics``, ``metrics_weighted``, ``per_energy``, ``per_intensity``, ``roc``, ``distribution``,
        ``calibration``, ``confusion``, ``gallery``.

    Raises
    ------
    UserError
        If a column or a unit is missing.
    """
    sample = type_sample(predictions)
    streams = generators(parameters, 4)
    by_energy = per_energy(sample, BIN_METRICS, parameters, streams[1], "energy", classes="is_gamma")
    by_energy.meta["energy"] = energy_of(predictions)
    return {
        "metrics": metrics_table(
            sample.columns, SUMMARY_METRICS, sample.showers, sample.counts, parameters, streams[0]
        ),
        "metrics_weighted": weighted_metrics(predictions, sample, SUMMARY_METRICS, parameters, streams[3]),
        "per_energy": by_energy,
        "per_intensity": per_bin(
            sample, INTENSITY_METRICS, "log_intensity", INTENSITIES, parameters, streams[2], classes="is_gamma"
        ),
        "roc": roc_curve(sample),
        "distribution": distribution(sample),
        "calibration": calibration(sample, parameters),
        "confusion": confusion(sample),
        "gallery": type_gallery(predictions, sample),
    }
