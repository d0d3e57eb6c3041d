"""Nodes of the alerts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.pipelines.flow import Figure, QTable

if TYPE_CHECKING:
    from cherenkov_pipeline.alerts.bundle import Bundle, BundleCard
    from cherenkov_pipeline.alerts.images import SubImages
else:
    Bundle = BundleCard = SubImages = Any


def obtain_images(parameters: AlertParameters) -> SubImages:
    """Read labelled sub-images, or simulate them."""
    from cherenkov_pipeline.alerts import workflow

    return workflow.obtain_images(parameters)


def divide_images(images: SubImages, parameters: AlertParameters) -> QTable:
    """Split them."""
    from cherenkov_pipeline.alerts import workflow

    return workflow.divide(images, parameters)


def draw_images(images: SubImages) -> Figure:
    """Draw the first images of each cause or label."""
    from cherenkov_pipeline.alerts.plots import sample_sheet

    return sample_sheet(images)


def train_methods(
    images: SubImages, splits: QTable, parameters: AlertParameters, folder: Path
) -> tuple[QTable, QTable, list[dict[str, Any]]]:
    """Train all methods: predictions, histories, rows of the table of experiments."""
    from cherenkov_pipeline.alerts import workflow

    return workflow.train_methods(images, splits, parameters, folder)


def write_report(
    images: SubImages,
    predictions: QTable,
    histories: QTable,
    experiments: list[dict[str, str]],
    parameters: AlertParameters,
) -> tuple[dict[str, float], str, str, Figure, Figure, Figure]:
    """Evaluate methods and ensemble: numbers, page, summary, figures."""
    from datetime import UTC, datetime

    from cherenkov_pipeline.alerts.evaluation import report
    from cherenkov_pipeline.performance.report.render import render_markdown, render_report

    evaluated = report.evaluate(images, predictions, histories, parameters)
    content = report.report(evaluated, predictions, experiments, parameters, datetime.now(UTC))
    figures = (evaluated.figures[name] for name in ("reliability", "risk_coverage", "strata"))
    return report.flat_metrics(evaluated), render_report(content), render_markdown(content), *figures


def assemble_bundle(
    images: SubImages, splits: QTable, predictions: QTable, parameters: AlertParameters, folder: Path
) -> tuple[BundleCard, dict[str, Path]]:
    """Put together what is deployed."""
    from cherenkov_pipeline.alerts.assembly import assemble

    return assemble(images, splits, predictions, parameters, folder)


def validate_methods(images: SubImages, splits: QTable, parameters: AlertParameters, folder: Path) -> tuple[Any, Any]:
    """Cross-validate methods and ensemble on the sample; the held-back images are judged by every fold."""
    from cherenkov_pipeline.alerts import workflow

    return workflow.cross_validate(images, splits, parameters, folder)


def write_validation_report(
    images: SubImages, splits: QTable, predictions: QTable, metrics: QTable, parameters: AlertParameters
) -> tuple[str, str]:
    """Tell what the cross-validation found: page and summary."""
    from datetime import UTC, datetime

    from cherenkov_pipeline.alerts.evaluation import validation_report
    from cherenkov_pipeline.performance.report.render import render_markdown, render_report

    content = validation_report.report(images, splits, predictions, metrics, parameters, datetime.now(UTC))
    return render_report(content), render_markdown(content)


def search_method(
    images: SubImages, splits: QTable, parameters: AlertParameters, folder: Path, mlflow_run: str | None
) -> tuple[QTable, str]:
    """Search for the best configuration of one network: trials, and a parameter file."""
    from cherenkov_pipeline.alerts import workflow
    from cherenkov_pipeline.pipelines.search.tracking import trial_recorder

    result = workflow.search_method(images, splits, parameters, folder, trial_recorder(mlflow_run, "grb_alerts"))
    return result.trials, result.best_yaml


def compare_variants(
    images: SubImages, splits: QTable, parameters: AlertParameters, folder: Path
) -> tuple[QTable, Figure]:
    """Cross-validate the variants of the ablation: table and figure."""
    from cherenkov_pipeline.alerts import workflow
    from cherenkov_pipeline.alerts.evaluation import plots

    table = workflow.ablate(images, splits, parameters, folder)
    return table, plots.ablation(table)


def count_false_alarms(bundle: Bundle, parameters: AlertParameters) -> tuple[QTable, Figure]:
    """Judge frames without any source: table and figure."""
    from cherenkov_pipeline.alerts import workflow
    from cherenkov_pipeline.alerts.evaluation.plots import false_alarms

    table = workflow.count_false_alarms(bundle, parameters)
    return table, false_alarms(table)
