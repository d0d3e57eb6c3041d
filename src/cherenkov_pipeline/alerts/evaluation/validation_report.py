"""The report of a cross-validation: what may be expected of the ensemble on images that it does not know."""

from datetime import datetime

import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.alerts.evaluation import parts, plots, scores
from cherenkov_pipeline.alerts.evaluation.cross_validation import ENSEMBLE
from cherenkov_pipeline.alerts.evaluation.gallery import gallery, wrong_images
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.alerts.verdict import sigmoid
from cherenkov_pipeline.alerts.workflow import CALIBRATION, HELD_BACK, SAMPLE, sample_rows
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.report.common import Rows, intervals_convention, rows_of
from cherenkov_pipeline.performance.report.content import Facts, Figure, ReportContent, Section
from cherenkov_pipeline.performance.report.tables import event_facts, metrics_table
from cherenkov_pipeline.performance.report.task import footer

LABEL, SIMULATED = "label", "simulated"
"""What predictions are held against: the labels, some of which are wrong, or what was simulated."""


def report(
    images: SubImages,
    splits: Table,
    predictions: QTable,
    metrics: QTable,
    parameters: AlertParameters,
    created: datetime,
) -> ReportContent:
    """Put the report together.

    Parameters
    ----------
    images, splits
        From the first steps of `~cherenkov_pipeline.alerts.workflow`.
    predictions, metrics : QTable
        From `~cherenkov_pipeline.alerts.workflow.cross_validate`.
    parameters : AlertParameters
    created : datetime
        With time zone.
    """
    own = images[sample_rows(splits)]
    sample = predictions[predictions["part"] == SAMPLE]
    is_real, probability = np.asarray(sample["is_real"]), np.asarray(sample["probability_ensemble"])
    once = np.asarray(sample["repeat"]) == 0
    rights = {
        name: (values >= 0.5) == is_real
        for name, values in {
            ENSEMBLE: probability,
            **{name: sigmoid(sample[f"logit_{name}"]) for name in parameters.chosen},
        }.items()
    }
    settings = EvaluationParameters(resamples=parameters.resamples)
    strata = scores.strata_table(
        scores.probability_columns(probability, is_real),
        scores.METRICS[:1],
        scores.strata_of(own.table[sample["row"]], np.asarray(sample["valid_fraction"])),
        np.asarray(sample["group"]),
        settings,
    )
    first = sample[once]
    judged = own[np.asarray(first["row"])]
    wrong = wrong_images(judged.table, np.asarray(first["probability_ensemble"]))
    found, truth = (rows_of(_of(metrics, SAMPLE, against)) for against in (LABEL, SIMULATED))
    simulated = parameters.path is None
    rounds = parameters.cross_validation
    n_calibration = int(np.sum(np.asarray(splits["split"]) == CALIBRATION))
    thresholds = (
        f"{n_calibration:,} images of their own" if n_calibration else "the predictions of the other folds' test images"
    )
    text = f"{len(own):,} images, each judged by an ensemble that saw neither it nor other alerts of its burst. "
    sections = [_section("Images that the ensemble did not know", metrics, SAMPLE)]
    if (predictions["part"] == HELD_BACK).any():
        sections.append(_section("Another mask pattern, judged by the ensembles of all folds", metrics, HELD_BACK))
    return ReportContent(
        kind="Alerts",
        title="ECLAIRs: cross-validation",
        summary=text
        + f"It is right in {_percent(found, 'accuracy')} by the labels and unsure in {_percent(found, 'unsure')}."
        + (f" By what was simulated it is right in {_percent(truth, 'accuracy')}." if truth else "")
        + (" Simulated sub-images, not flight data." if simulated else ""),
        key_numbers=parts.ensemble_numbers(found),
        sections=(
            *sections,
            Section(
                "Calibration",
                (
                    Figure(
                        plots.reliability({ENSEMBLE: scores.reliability_table(probability, is_real)}),
                        "Calibration",
                        "Share of true sources over the predicted probability; bars: 68 % intervals (Wilson).",
                    ),
                    Figure(
                        plots.risk_coverage({ENSEMBLE: scores.risk_coverage(probability, is_real)}),
                        "Risk over coverage",
                        "Wrong verdicts if the most certain images alone get one.",
                    ),
                ),
            ),
            Section(
                "Methods",
                (
                    parts.comparison(
                        scores.comparison_table(rights, ENSEMBLE, np.asarray(sample["group"]), settings, once),
                        "Against the labels; the counts are of the first repeat.",
                    ),
                ),
            ),
            Section(
                "Where it is good and where not",
                (
                    Figure(plots.strata(strata), "Accuracy of the ensemble", "In brackets: images.", True),
                    parts.strata(strata, "Of the ensemble, against the labels."),
                ),
            ),
            Section(
                "Errors of the ensemble",
                (
                    Figure(
                        gallery(judged, wrong),
                        "Images that it has wrong",
                        "First repeat, the most certain errors first, each in its own scale; grey: no data; rings:"
                        " known sources.",
                        True,
                    ),
                ),
            ),
            Section(
                "Conventions",
                (
                    Facts(
                        {
                            "Folds": f"{rounds.folds}, {rounds.repeats} times; no burst stands on both sides",
                            "Thresholds": f"of a fold: from {thresholds}",
                            "Positive": parts.positive(parameters),
                            "Intervals": intervals_convention(metrics, parts.DRAWN),
                        }
                    ),
                ),
            ),
        ),
        footer=footer(created),
        data="simulated sub-images, not flight data" if simulated else f"sub-images of {parameters.path}",
    )


def _percent(rows: Rows, metric: str) -> str:
    return f"{100 * float(rows[metric]['value']):.1f} %"


def _of(metrics: QTable, part: str, against: str) -> QTable:
    return metrics[(metrics["part"] == part) & (metrics["against"] == against)]


def _section(title: str, metrics: QTable, part: str) -> Section:
    """Metrics of one part, against the labels and against what was simulated."""
    label, simulated = (_of(metrics, part, against) for against in (LABEL, SIMULATED))
    blocks = [metrics_table(label, "Against the labels, some of which are wrong."), event_facts(label)]
    if len(simulated):
        blocks.append(metrics_table(simulated, "Against what was simulated: a wrong label is no error here."))
    return Section(title, tuple(blocks))
