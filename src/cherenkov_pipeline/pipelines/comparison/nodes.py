"""Nodes of the comparison, the same for every task."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.parameters import ComparisonParameters, EvaluationParameters
from cherenkov_pipeline.pipelines.flow import DataFrame, EventStores, Figure, QTable
from cherenkov_pipeline.pipelines.references import ALL, is_dl2

Candidates = dict[str, Any]


def choose_models_of(task: str | None) -> Callable[..., Candidates]:
    """Make the node function that finds and checks what is compared; without ``task`` it is that of the models."""

    def choose_models(
        stores: EventStores, saved: dict[str, Path], comparison: ComparisonParameters, mlflow_run: str | None
    ) -> Candidates:
        from cherenkov_pipeline.pipelines.references import all_saved, named_models

        if None not in (task, comparison.task) and task != comparison.task:
            raise UserError(f"comparison.task is {comparison.task}: kedro run --pipeline=comparison_{comparison.task}.")
        chosen = task or comparison.task
        models = {}
        if not comparison.models or ALL in comparison.models.values():
            chosen, models = all_saved(chosen, saved)
        dl2 = {label: text for label, text in comparison.models.items() if is_dl2(text)}
        named = {label: text for label, text in comparison.models.items() if text != ALL and label not in dl2}
        models |= named_models(chosen, named, saved, mlflow_run)
        return _candidates(chosen, models, stores, dl2)

    return choose_models


def choose_dl2(comparison: ComparisonParameters) -> Candidates:
    """Find and check the DL2 files to compare, where there are no models and no events of one's own."""
    others = [label for label, text in comparison.models.items() if not is_dl2(text)]
    if others:
        raise UserError(
            f"comparison_dl2 compares DL2 files alone, and {', '.join(others)} is none: use comparison_energy or so."
        )
    return _candidates(comparison.task, {}, {}, comparison.models)


def _candidates(task: str | None, models: dict[str, Any], stores: EventStores, dl2: dict[str, str]) -> Candidates:
    from cherenkov_pipeline.performance.candidates import choose_candidates

    found, candidates = choose_candidates(task, models, stores, dl2)
    return {"task": found, "models": [one.model_dump(mode="json") for one in candidates]}


def predict_with_all(stores: EventStores, candidates: Candidates) -> tuple[QTable, QTable, QTable, QTable]:
    """Predict the test events with every model, and read what others predicted: also costs, histories, provenance."""
    from cherenkov_pipeline.performance.candidates import Candidate
    from cherenkov_pipeline.performance.contest import contest
    from cherenkov_pipeline.store import store_for

    found = [Candidate.model_validate(one) for one in candidates["models"]]
    has_models = any(one.method is None for one in found)
    return contest(found, store_for(found[0].mode, stores) if has_models else None)


def read_dl2(candidates: Candidates) -> tuple[QTable, QTable, QTable, QTable]:
    """Read what is in DL2 files, as `predict_with_all` without a model."""
    return predict_with_all({}, candidates)


def compare_models(
    candidates: Candidates,
    predictions: QTable,
    costs: QTable,
    histories: QTable,
    dl2_provenance: QTable,
    evaluation: EvaluationParameters,
    stores: EventStores | None = None,
    processing: DataFrame | None = None,
) -> tuple[QTable, QTable, QTable, dict[str, Any], dict[str, Figure], str, str]:
    """Rank the models on their common events and write the report: tables, numbers, figures, page, summary.

    ``stores`` and their ``processing``, the provenance, are those of the models' events: of DL2 alone there are none.
    """
    from datetime import UTC, datetime

    from cherenkov_pipeline.performance.candidates import Candidate
    from cherenkov_pipeline.performance.comparison import compare, match_predictions, numbers, stacked, unstacked
    from cherenkov_pipeline.performance.evaluations import EVALUATIONS
    from cherenkov_pipeline.performance.published import published_for
    from cherenkov_pipeline.performance.qualities import QUALITIES
    from cherenkov_pipeline.performance.report.comparison import comparison_figures, comparison_report
    from cherenkov_pipeline.performance.report.overlays import overlays
    from cherenkov_pipeline.performance.report.render import render_markdown, render_report
    from cherenkov_pipeline.pipelines.evaluation.nodes import provenance_of

    task, models = candidates["task"], [Candidate.model_validate(one) for one in candidates["models"]]
    matched = match_predictions(unstacked(predictions))
    comparison = compare(matched, QUALITIES[task], evaluation)
    unweighted = evaluation.model_copy(update={"spectra": {}})  # as all that is compared: nobody would see the others
    tables = {label: EVALUATIONS[task].tables(table, unweighted) for label, table in matched.predictions.items()}
    published = published_for(models[0].mode, evaluation)
    figures = {
        **comparison_figures(comparison, costs, unstacked(histories)),
        **overlays(task, tables, published, models[0].mode),
    }
    provenance = provenance_of(stores, processing) if stores else None
    content = comparison_report(
        task, models, matched, comparison, costs, figures, provenance, dl2_provenance, datetime.now(UTC)
    )
    return (
        comparison.metrics,
        comparison.differences,
        stacked({label: found["per_energy"] for label, found in tables.items()}),
        numbers(comparison, {one.label: one.file_fingerprint for one in models}),
        figures,
        render_report(content),
        render_markdown(content),
    )
