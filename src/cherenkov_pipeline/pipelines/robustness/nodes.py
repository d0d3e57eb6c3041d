"""Nodes of the robustness, the same for every task."""

from collections.abc import Callable
from typing import Any

from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.file_plans import FilePlan, FileSet
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.robustness.parameters import RobustnessParameters
from cherenkov_pipeline.pipelines.flow import Drawing, Figure, QTable, TrainedModel
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.simulation.parameters import SimulationParameters


def plan_conditions(simulation: SimulationParameters, dl1: DL1Parameters, robustness: RobustnessParameters) -> FilePlan:
    """Plan the showers under all conditions, the same for all tasks."""
    from cherenkov_pipeline.performance.robustness import conditions

    return conditions.plan_conditions(simulation, dl1, robustness)


def predict_of(task: str) -> Callable[..., tuple[QTable, QTable, QTable]]:
    """Make the node function that predicts all conditions: predictions, drift, counts."""

    def predict_conditions(
        files: FileSet,
        selection: SelectionParameters,
        reconstruction: ReconstructionParameters,
        model: TrainedModel,
    ) -> tuple[QTable, QTable, QTable]:
        from cherenkov_pipeline.performance.robustness import predictions

        return predictions.predict_conditions(task, files, model, selection, reconstruction)

    return predict_conditions


def tabulate_of(task: str) -> Callable[..., tuple[QTable, dict[str, Any]]]:
    """Make the node function that makes the table, and its numbers."""

    def tabulate(
        predictions: QTable, drift: QTable, counts: QTable, evaluation: EvaluationParameters
    ) -> tuple[QTable, dict[str, Any]]:
        from cherenkov_pipeline.performance.robustness.table import robustness_numbers, robustness_table

        table = robustness_table(task, predictions, drift, counts, evaluation)
        return table, robustness_numbers(table)

    return tabulate


def draw_robustness(table: QTable) -> Figure:
    """Draw the metric that ranks models, over all conditions."""
    from cherenkov_pipeline.performance.report.robustness import robustness_figure

    return robustness_figure(table)


def write_report(table: QTable, drift: QTable, counts: QTable, figure: Drawing, model: TrainedModel) -> tuple[str, str]:
    """Write the report, as a page and as a short summary."""
    from datetime import UTC, datetime

    from cherenkov_pipeline.performance.report.render import render_markdown, render_report
    from cherenkov_pipeline.performance.report.robustness import robustness_report

    card = model.card
    facts = {
        "Model": f"{card.name} ({card.task}), {card.created:%Y-%m-%d %H:%M} UTC",
        "Training data": card.data.fingerprint,
    }
    content = robustness_report(table, drift, counts, figure, facts, datetime.now(UTC))
    return render_report(content), render_markdown(content)
