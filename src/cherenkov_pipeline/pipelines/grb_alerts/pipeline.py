"""Alerts: one pipeline from images to the bundle, and others that cross-validate and count false alarms."""

from kedro.pipeline import Pipeline, node
from kedro.pipeline.node import Node

from cherenkov_pipeline.pipelines.grb_alerts.nodes import (
    assemble_bundle,
    compare_variants,
    count_false_alarms,
    divide_images,
    draw_images,
    obtain_images,
    search_method,
    train_methods,
    validate_methods,
    write_report,
    write_validation_report,
)
from cherenkov_pipeline.pipelines.search.nodes import draw_trials

NAME = "grb_alerts"
PARAMETERS = f"params:{NAME}"
VALIDATION = ("grb_alerts_validation.report", "grb_alerts_validation.summary")
"""Beside those of the pipeline that trains, not in their place."""


def create_pipeline() -> Pipeline:
    """Build the pipeline that trains, evaluates and deploys."""
    return _named(
        node(draw_images, "images", "images_figure", name="draw_images"),
        node(
            train_methods,
            ["images", "split_table", PARAMETERS, "checkpoints"],
            ["predictions", "history", "experiments"],
            name="train_methods",
            tags="gpu",
        ),
        node(
            write_report,
            ["images", "predictions", "history", "experiments", PARAMETERS],
            ["metrics", "report", "summary", "reliability_figure", "risk_coverage_figure", "strata_figure"],
            name="write_report",
        ),
        node(
            assemble_bundle,
            ["images", "split_table", "predictions", PARAMETERS, "checkpoints"],
            "ensemble",
            name="assemble_bundle",
        ),
    )


def create_validation_pipeline() -> Pipeline:
    """Build the pipeline that cross-validates methods and ensemble."""
    return _named(
        node(
            validate_methods,
            ["images", "split_table", PARAMETERS, "checkpoints"],
            ["cross_validation", "cross_validation_table"],
            name="validate_methods",
            tags="gpu",
        ),
        node(
            write_validation_report,
            ["images", "split_table", "cross_validation", "cross_validation_table", PARAMETERS],
            list(VALIDATION),
            name="write_validation_report",
        ),
        outputs=set(VALIDATION),
    )


def create_search_pipeline() -> Pipeline:
    """Build the pipeline that searches for the best configuration of one network."""
    return _named(
        node(
            search_method,
            ["images", "split_table", PARAMETERS, "checkpoints", "mlflow_run"],
            ["trials_table", "best_configuration"],
            name="search_method",
            tags="gpu",
        ),
        node(draw_trials, "trials_table", "search_figure", name="draw_trials"),
        inputs={"mlflow_run"},
    )


def create_ablation_pipeline() -> Pipeline:
    """Build the pipeline that cross-validates variants of a method."""
    return _named(
        node(
            compare_variants,
            ["images", "split_table", PARAMETERS, "checkpoints"],
            ["ablation_table", "ablation_figure"],
            name="compare_variants",
            tags="gpu",
        )
    )


def create_false_alarm_pipeline() -> Pipeline:
    """Build the pipeline that judges frames without any source with the newest ensemble."""
    step = node(
        count_false_alarms,
        ["ensemble", PARAMETERS],
        ["false_alarms_table", "false_alarms_figure"],
        name="count_false_alarms",
        tags="cpu",
    )
    return Pipeline([step], namespace=NAME, parameters={PARAMETERS}, tags=NAME)


def _named(*steps: Node, inputs: set[str] | None = None, outputs: set[str] | None = None) -> Pipeline:
    """Make the images and their split first, then take these steps; what is named here keeps its name."""
    first = [
        node(obtain_images, PARAMETERS, "images", name="obtain_images", tags="cpu"),
        node(divide_images, ["images", PARAMETERS], "split_table", name="divide_images"),
    ]
    every = [*first, *steps]
    return Pipeline(every, namespace=NAME, parameters={PARAMETERS}, inputs=inputs, outputs=outputs, tags=NAME)
