"""The report of methods and ensemble: the talk's indicators and table, scores with intervals, what they rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import matplotlib.figure
import numpy as np
from astropy.table import QTable, Table, vstack
from scipy.special import logit

from cherenkov_pipeline.alerts.ensemble import Pooled
from cherenkov_pipeline.alerts.evaluation import parts, plots, scores
from cherenkov_pipeline.alerts.evaluation.experiments import COLUMNS
from cherenkov_pipeline.alerts.evaluation.gallery import gallery, wrong_images
from cherenkov_pipeline.alerts.evaluation.indicators import LAST_EPOCHS, indicators
from cherenkov_pipeline.alerts.evaluation.promise import promise_table
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.alerts.verdict import NAMES, sigmoid
from cherenkov_pipeline.alerts.workflow import (
    CALIBRATION,
    HELD_BACK,
    calibration_rows,
    logits_of,
    pool_members,
    scores_of,
)
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.report.common import intervals_convention, rows_of
from cherenkov_pipeline.performance.report.content import (
    Facts,
    Figure,
    ReportContent,
    Section,
    Text,
)
from cherenkov_pipeline.performance.report.content import Table as ReportTable
from cherenkov_pipeline.performance.report.tables import cell, event_facts, metrics_table, table_of
from cherenkov_pipeline.performance.report.task import footer

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Evaluated:
    """What is known of methods and ensemble.

    Attributes
    ----------
    tables : dict of str to Table
        ``scores`` and ``verdicts`` (metrics of the ensemble, on the test images), ``held_back`` (both, of the other
        mask pattern), ``truth`` (both, of the test images against what was simulated, where that is known),
        ``strata``, ``comparison``, ``indicators``, ``promise``, ``wrong`` (test images that the ensemble has wrong).
    figures : dict of str to Figure
        ``winning`` (of the ensemble), ``reliability``, ``risk_coverage``, ``strata``, ``wrong``; ``curves_<method>``,
        ``winning_<method>``.
    pooled : Pooled
    """

    tables: dict[str, Table]
    figures: dict[str, matplotlib.figure.Figure]
    pooled: Pooled


def evaluate(images: SubImages, predictions: QTable, histories: QTable, parameters: AlertParameters) -> Evaluated:
    """Evaluate methods and ensemble on images that they were not trained on.

    Parameters
    ----------
    images, predictions, histories
        From the steps of `~cherenkov_pipeline.alerts.workflow`.
    parameters : AlertParameters
    """
    settings = EvaluationParameters(resamples=parameters.resamples)
    pooled = pool_members(predictions, parameters)
    tested = np.asarray(predictions["split"]) == "test"
    tables: dict[str, Table] = {}
    tables["scores"], tables["verdicts"] = _scored(predictions[tested], pooled, settings)
    if (held_back := np.asarray(predictions["split"]) == HELD_BACK).any():
        tables["held_back"] = vstack(_scored(predictions[held_back], pooled, settings), metadata_conflicts="silent")
    test = predictions[tested]
    if "true_is_real" in images.table.colnames:
        true = test.copy()
        true["is_real"] = np.asarray(images.table["true_is_real"], dtype=bool)[tested]
        tables["truth"] = vstack(_scored(true, pooled, settings), metadata_conflicts="silent")
    is_real = np.asarray(test["is_real"])
    probabilities = {
        ENSEMBLE: pooled.probability(logits_of(test, pooled.members)),
        **{name: sigmoid(test[f"logit_{name}"]) for name in parameters.chosen},
    }
    rights = {name: (values >= 0.5) == is_real for name, values in probabilities.items()}
    tables["comparison"] = scores.comparison_table(rights, ENSEMBLE, np.asarray(test["group"]), settings)
    tables["strata"] = scores.strata_table(
        scores.probability_columns(probabilities[ENSEMBLE], is_real),
        scores.METRICS[:1],
        scores.strata_of(images.table[tested], np.asarray(test["valid_fraction"])),
        np.asarray(test["group"]),
        settings,
    )
    tables["wrong"] = wrong_images(images.table[tested], probabilities[ENSEMBLE])
    tables["promise"] = _promise(predictions, pooled)
    said = {NAMES[name]: one.value for name, one in pooled.thresholds.items() if one.value is not None}
    figures = {
        "winning": plots.winning_probabilities(logit(probabilities[ENSEMBLE]), is_real, said),
        "wrong": gallery(images[tested], tables["wrong"]),
        "reliability": plots.reliability({ENSEMBLE: scores.reliability_table(probabilities[ENSEMBLE], is_real)}),
        "risk_coverage": plots.risk_coverage(
            {name: scores.risk_coverage(values, is_real) for name, values in list(probabilities.items())[:6]}
        ),
        "strata": plots.strata(tables["strata"]),
    }
    found = []
    for name in parameters.chosen:
        history = histories[histories["method"] == name] if len(histories) else histories
        has_curves = "val_accuracy" in history.colnames and np.isfinite(history["val_accuracy"]).any()
        logits = np.asarray(test[f"logit_{name}"])
        one = indicators(logits, is_real, history if has_curves else None)
        found.append({"method": name, **one.as_dict()})
        figures[f"winning_{name}"] = plots.winning_probabilities(logits, is_real)
        if has_curves:
            figures[f"curves_{name}"] = plots.accuracy_curves(history, name)
    tables["indicators"] = Table(rows=found)
    return Evaluated(tables, figures, pooled)


def _scored(predictions: QTable, pooled: Pooled, settings: EvaluationParameters) -> tuple[QTable, QTable]:
    """Metrics of the ensemble's probabilities and of its verdicts."""
    is_real, own = np.asarray(predictions["is_real"]), np.asarray(predictions["group"])
    logits = logits_of(predictions, pooled.members)
    verdicts = pooled.decide(logits, predictions, scores_of(predictions, tuple(pooled.limits)))
    columns = scores.probability_columns(pooled.probability(logits), is_real)
    return (
        scores.score_table(columns, scores.METRICS, own, settings),
        scores.score_table(scores.verdict_columns(verdicts, is_real), scores.VERDICT_METRICS, own, settings),
    )


def _promise(predictions: QTable, pooled: Pooled) -> QTable:
    """How often the promise is broken when the images for the thresholds are drawn anew."""
    logits, scored = logits_of(predictions, pooled.members), scores_of(predictions, tuple(pooled.limits))
    chosen = calibration_rows(predictions) & pooled.is_usable(logits, predictions, scored)
    columns = (np.asarray(predictions[name])[chosen] for name in ("is_real", "group"))
    return promise_table(pooled.probability(logits)[chosen], *columns, pooled.parameters)


def flat_metrics(evaluated: Evaluated) -> dict[str, float]:
    """Numbers for MLflow: metrics of the ensemble, and the accuracy of each method."""
    found = {
        f"{ENSEMBLE}_{row['metric']}": float(row["value"])
        for name in ("scores", "verdicts")
        for row in evaluated.tables[name]
        if not str(row["metric"]).startswith("events_") and np.isfinite(row["value"])
    }
    if "truth" in evaluated.tables:
        found[f"{ENSEMBLE}_true_accuracy"] = float(rows_of(evaluated.tables["truth"])["accuracy"]["value"])
    return found | {f"{row['method']}_accuracy": float(row["accuracy"]) for row in evaluated.tables["indicators"]}


def report(
    evaluated: Evaluated,
    predictions: QTable,
    experiments: Sequence[Mapping[str, Any]],
    parameters: AlertParameters,
    created: datetime,
) -> ReportContent:
    """Put the report together.

    Parameters
    ----------
    evaluated : Evaluated
    predictions : QTable
        Of all images, for their numbers.
    experiments : sequence of mapping
        All rows of the table of experiments.
    parameters : AlertParameters
    created : datetime
        With time zone.
    """
    tables, figures, pooled = evaluated.tables, evaluated.figures, evaluated.pooled
    split = np.asarray(predictions["split"])
    simulated = parameters.path is None
    data = "simulated sub-images, not flight data" if simulated else f"sub-images of {parameters.path}"
    calibrated = "images of their own" if (split == CALIBRATION).any() else "the test images, which they were fitted to"
    metrics = rows_of(tables["scores"]) | rows_of(tables["verdicts"])
    thresholds = Facts(
        {
            f"Threshold of “{name}”": (
                "no valid threshold"
                if one.value is None
                else f"{100 * one.value:g} %: {one.n_errors} wrong of {one.n_accepted} accepted"
            )
            for name, one in (("true source", pooled.thresholds["real"]), ("false alert", pooled.thresholds["false"]))
        }
        | {
            "Promise": f"at most {100 * parameters.ensemble.alpha_real:g} % of “true source” and"
            f" {100 * parameters.ensemble.alpha_false:g} % of “false alert” are wrong, one alert a burst, each with a"
            f" probability of {100 * (1 - parameters.ensemble.delta):g} %",
            "Temperature": f"{pooled.temperature:.2f}",
            "Members": ", ".join(pooled.members),
        }
    )
    held_back = (
        (
            Section(
                "Another mask pattern",
                (
                    Text("Images seen through a mask pattern that no training image was seen through."),
                    metrics_table(parts.without_counts(tables["held_back"], tables["scores"])),
                ),
            ),
        )
        if "held_back" in tables
        else ()
    )
    truth = (
        (
            Section(
                "Without wrong labels",
                (
                    Text(
                        "The same test images against what was simulated: a wrong label is no error of the models here."
                    ),
                    metrics_table(parts.without_counts(tables["truth"], tables["scores"])),
                ),
            ),
        )
        if "truth" in tables
        else ()
    )
    return ReportContent(
        kind="Alerts",
        title="ECLAIRs: true source or false alert",
        summary=f"Methods that judge {data}. " + _summary(metrics, simulated),
        key_numbers=parts.ensemble_numbers(metrics),
        sections=(
            Section(
                "Ensemble",
                (
                    metrics_table(tables["scores"], "Test images; intervals by bootstrap over bursts."),
                    metrics_table(tables["verdicts"], f"Verdicts; the thresholds are from {calibrated}."),
                    Figure(
                        figures["winning"],
                        "Probabilities of the ensemble",
                        "Indicator D: probability of the class that wins, right in blue and wrong in orange, and the"
                        " thresholds of the verdicts.",
                    ),
                    thresholds,
                    _redraws(tables["promise"]),
                    event_facts(tables["scores"]),
                    Figure(
                        figures["reliability"],
                        "Calibration",
                        "Share of true sources over the predicted probability; bars: 68 % intervals (Wilson).",
                    ),
                    Figure(
                        figures["risk_coverage"],
                        "Risk over coverage",
                        "Wrong verdicts if the most certain images alone get one.",
                    ),
                ),
            ),
            *truth,
            Section(
                "Methods",
                (
                    parts.comparison(tables["comparison"]),
                    _indicators(tables["indicators"]),
                    *_pictures(figures, parameters),
                ),
            ),
            Section(
                "Where it is good and where not",
                (
                    Figure(
                        figures["strata"],
                        "Accuracy of the ensemble",
                        "In brackets: test images; bars: intervals.",
                        True,
                    ),
                    parts.strata(tables["strata"]),
                ),
            ),
            Section(
                "Errors of the ensemble",
                (
                    Figure(
                        figures["wrong"],
                        "Test images that it has wrong",
                        "The most certain errors first, each in its own scale; grey: no data; rings: known sources.",
                        True,
                    ),
                    _wrong(tables["wrong"]),
                ),
            ),
            *held_back,
            Section("Experiments", (_experiments(experiments),)),
            Section(
                "Conventions",
                (
                    Facts(
                        {
                            "Positive": parts.positive(parameters),
                            "Labels": "as they were given; some are wrong, and count as errors of the models",
                            "Split": "no burst stands on both sides; the test images are looked at here for the first"
                            " time",
                            "Images": ", ".join(f"{(split == name).sum()} {name}" for name in dict.fromkeys(split)),
                            "Intervals": intervals_convention(tables["scores"], parts.DRAWN),
                        }
                    ),
                ),
            ),
        ),
        footer=footer(created),
        data=data,
    )


def _summary(metrics: Mapping[str, Any], simulated: bool) -> str:
    accuracy, unsure = (100 * float(metrics[name]["value"]) for name in ("accuracy", "unsure"))
    text = f"The ensemble is right in {accuracy:.1f} % of the test images, and unsure in {unsure:.1f} %."
    note = " Of flight data these numbers say nothing: the simulation has a random mask and assumed disturbances."
    return text + (note if simulated else "")


def _indicators(table: Table) -> ReportTable:
    names = {
        "method": "Method",
        "accuracy": "A: accuracy",
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
        "gap": "B: training − validation accuracy",
        "instability": "C: its deviation",
        "separation": "D: separation",
    }
    caption = (
        f"B and C over the last {LAST_EPOCHS} epochs. D: share of the right decisions that are more certain than nine"
        " in ten of the wrong ones."
    )
    return table_of(table, caption, names)


def _pictures(figures: Mapping[str, matplotlib.figure.Figure], parameters: AlertParameters) -> list[Figure]:
    found = []
    for name in parameters.chosen:
        if f"curves_{name}" in figures:
            found.append(
                Figure(figures[f"curves_{name}"], f"{name}: training", "Indicators B and C; shaded: the last epochs.")
            )
        if f"winning_{name}" in figures:
            found.append(
                Figure(
                    figures[f"winning_{name}"],
                    f"{name}: probabilities",
                    "Indicator D: probability of the class that wins, right in blue and wrong in orange.",
                )
            )
    return found


def _redraws(table: QTable) -> ReportTable:
    header = ("Verdict", "Images", "Promised", "With a threshold", "Wrong, mean", "Promise broken", "At most")
    rows = [
        tuple(
            cell(value)
            for value in (
                NAMES[row["verdict"]],
                int(row["n"]),
                f"{100 * row['alpha']:g} %",
                f"{100 * row['given']:g} %",
                f"{100 * row['wrong']:.2f} %" if row["given"] else None,
                f"{100 * row['broken']:g} %",
                f"{100 * row['delta']:g} %",
            )
        )
        for row in table
    ]
    caption = (
        f"The promise put to the test: the images for the thresholds are drawn anew {table.meta['n_redraws']} times,"
        " with replacement; it is broken where more verdicts than promised are wrong among all of them."
    )
    return ReportTable(header, tuple(rows), caption)


def _wrong(table: Table) -> ReportTable:
    names = {
        "image_id": "Image",
        "label": "Label",
        "said": "Ensemble",
        "confidence": "Confidence",
        "snr_max": "SNR",
        "cause": "Cause",
        "label_source": "Label from",
        "is_label_right": "Label right",
    }
    return table_of(
        table[[name for name in names if name in table.colnames]],
        "Whether a label is right is known of simulated images alone.",
        names,
    )


def _experiments(rows: Sequence[Mapping[str, Any]]) -> ReportTable:
    def number(value: Any) -> Any:
        try:
            return float(value)
        except (TypeError, ValueError):
            return value

    contents = tuple(tuple(cell(number(row[name]) if row[name] != "" else None) for name in COLUMNS) for row in rows)
    return ReportTable(COLUMNS, contents, "All trainings so far; accuracy in percent, of the test images.")
