"""Nodes of the evaluation, the same for every task."""

from collections.abc import Callable, Sequence
from typing import Any

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.evaluations import Evaluation
from cherenkov_pipeline.performance.parameters import DL2Parameters, EvaluationParameters
from cherenkov_pipeline.pipelines.flow import (
    DataFrame,
    Drawing,
    EventStores,
    Figure,
    QTable,
    TrainedModel,
    named_groups,
)

TRAINING_FIGURES = ("loss", "architecture")


def predict_test_events(stores: EventStores, model: TrainedModel) -> tuple[QTable, dict[str, Any]]:
    """Predict the events that no training saw, and measure what that costs."""
    from cherenkov_pipeline.reconstruction.measure import predict_and_measure
    from cherenkov_pipeline.store import store_for

    return predict_and_measure(model, store_for(model.card.mode, stores), "test")


def tabulate_with(evaluation: Evaluation) -> Callable[..., list[QTable]]:
    """Make the node function that makes the tables of ``evaluation``, in the order of their names."""

    def tabulate(predictions: QTable, parameters: EvaluationParameters) -> list[QTable]:
        tables = evaluation.tables(predictions, parameters)
        return [tables[name] for name in evaluation.table_names]

    return tabulate


def summarize(metrics: QTable, weighted: QTable) -> dict[str, dict[str, Any]]:
    """Give the metrics as plain values with their intervals and units; weighted ones begin with ``weighted_``."""
    from cherenkov_pipeline.performance.metrics import metrics_numbers

    further = {f"weighted_{name}": numbers for name, numbers in metrics_numbers(weighted).items()}
    return metrics_numbers(metrics) | further


def draw_with(evaluation: Evaluation) -> Callable[..., list[Figure]]:
    """Make the node function that draws the figures of ``evaluation``, in the order of their names."""

    def draw(model: TrainedModel, parameters: EvaluationParameters, *tables: QTable) -> list[Figure]:
        figures = _figures(evaluation, tables, model.card.name, model.card.mode, parameters)
        return [figures[name] for name in evaluation.figure_names]

    return draw


def _figures(
    evaluation: Evaluation, tables: Sequence[QTable], name: str, mode: str, parameters: EvaluationParameters
) -> dict[str, Figure]:
    from cherenkov_pipeline.performance.published import published_for

    (named,) = named_groups(tables, evaluation.table_names)
    return evaluation.figures(named, name, published_for(mode, parameters))


def draw_gallery_with(evaluation: Evaluation) -> Callable[..., list[Figure]]:
    """Make the node function that draws single events with their images, in the order of their kinds."""

    def draw_gallery(stores: EventStores, gallery: QTable) -> list[Figure]:
        figures = evaluation.gallery(gallery, stores)
        return [figures[name] for name in evaluation.gallery_names]

    return draw_gallery


def draw_training(model: TrainedModel) -> tuple[Figure, Figure]:
    """Draw the loss per epoch and the network's architecture, in the order of `TRAINING_FIGURES`."""
    from cherenkov_pipeline.performance.report.training import training_figures

    figures = training_figures(model)
    return tuple(figures[name] for name in TRAINING_FIGURES)


def provenance_of(stores: EventStores, provenance: DataFrame) -> DataFrame | None:
    """Give the provenance if it is that of the stores.

    Its versions are the times of runs, those of the stores are of their content: with a load version of one of them
    the two may not belong together.
    """
    known = set(provenance["fingerprint"])
    return provenance if all(store.fingerprint in known for store in stores.values()) else None


def report_with(evaluation: Evaluation) -> Callable[..., tuple[str, str]]:
    """Make the node function that writes the report of ``evaluation`` as a page and as a short summary."""

    def write_report(
        stores: EventStores,
        model: TrainedModel,
        cost: dict[str, Any],
        predictions: QTable,
        provenance: DataFrame,
        *tables_and_figures: QTable | Drawing,
    ) -> tuple[str, str]:
        from cherenkov_pipeline.models.cost import summary_text
        from cherenkov_pipeline.performance.report.render import render_markdown, render_report
        from cherenkov_pipeline.performance.report.task import task_report
        from cherenkov_pipeline.performance.report.training import run_cost, run_facts

        names = (*evaluation.figure_names, *evaluation.gallery_names, *TRAINING_FIGURES)
        tables, figures = named_groups(tables_and_figures, evaluation.table_names, names)
        content = task_report(
            run_facts(model.card, len(predictions)),
            run_cost(model.card, cost),
            evaluation.result(tables, figures),
            figures,
            summary_text(model.model),
            provenance_of(stores, provenance),
        )
        return render_report(content), render_markdown(content)

    return write_report


def read_dl2_of(task: str) -> Callable[..., tuple[QTable, dict[str, Any]]]:
    """Make the node function that reads what others predicted of ``task``, and says where it comes from."""

    def read_dl2(parameters: DL2Parameters) -> tuple[QTable, dict[str, Any]]:
        from cherenkov_pipeline.reconstruction.others import find_method, read_method

        if not parameters.path:
            raise UserError(
                f"Say which DL2 files: kedro run --pipeline=evaluate_dl2_{task} --params=dl2.path=FILE_OR_FOLDER"
            )
        method = find_method(parameters.path, task, parameters.level, parameters.prefix)
        source = {"name": parameters.name or method.prefix, "method": method.model_dump(mode="json")}
        return read_method(method), source

    return read_dl2


def draw_dl2_with(evaluation: Evaluation) -> Callable[..., list[Figure]]:
    """Make the node function that draws the figures of what others predicted, in the order of their names."""

    def draw(source: dict[str, Any], parameters: EvaluationParameters, *tables: QTable) -> list[Figure]:
        from cherenkov_pipeline.reconstruction.others import Method

        mode = Method.model_validate(source["method"]).mode
        figures = _figures(evaluation, tables, source["name"], mode, parameters)
        return [figures[name] for name in evaluation.figure_names]

    return draw


def report_dl2_with(evaluation: Evaluation) -> Callable[..., tuple[str, str]]:
    """Make the node function that writes the report of what others predicted, as a page and as a short summary."""

    def write_report(
        source: dict[str, Any], predictions: QTable, *tables_and_figures: QTable | Drawing
    ) -> tuple[str, str]:
        from datetime import UTC, datetime

        from cherenkov_pipeline.performance.report.others import dl2_report
        from cherenkov_pipeline.performance.report.render import render_markdown, render_report
        from cherenkov_pipeline.reconstruction.others import Method, method_provenance

        method = Method.model_validate(source["method"])
        result = evaluation.result(*named_groups(tables_and_figures, evaluation.table_names, evaluation.figure_names))
        provenance = method_provenance(method, predictions)
        content = dl2_report(source["name"], method, result, provenance, datetime.now(UTC))
        return render_report(content), render_markdown(content)

    return write_report
