"""Comparison: one template, for the task that the parameters or the models tell, and for each task in its namespace."""

from kedro.pipeline import Node, Pipeline, node

from cherenkov_pipeline.pipelines.comparison.nodes import (
    choose_dl2,
    choose_models_of,
    compare_models,
    predict_with_all,
    read_dl2,
)

EVENTS = ("event_store", "processing_provenance")
"""What models predict, and where it comes from."""

READ = ["predictions", "costs_table", "histories_table", "provenance_table"]


def create_pipeline(task: str | None = None) -> Pipeline:
    """Build the pipeline that compares models on the test events, and DL2 files of others with them.

    Parameters
    ----------
    task : str, optional
        None: that of the parameter ``comparison.task``, or of the models.
    """
    template = [
        node(
            choose_models_of(task),
            ["event_store", "saved_models", "params:comparison", "mlflow_run"],
            "candidates",
            name="choose_models",
        ),
        node(predict_with_all, ["event_store", "candidates"], READ, name="predict_with_all"),
        _compare(*EVENTS),
    ]
    return Pipeline(
        template,
        namespace=f"comparison_{task}" if task else "comparison",
        inputs={*EVENTS, "saved_models", "mlflow_run"},
        parameters={"params:comparison", "params:evaluation"},
        tags="comparison",
    )


def create_dl2_pipeline() -> Pipeline:
    """Build the pipeline that compares DL2 files alone: it needs no event store and no models."""
    template = [
        node(choose_dl2, "params:comparison", "candidates", name="choose_dl2"),
        node(read_dl2, "candidates", READ, name="read_dl2"),
        _compare(),
    ]
    return Pipeline(
        template,
        namespace="comparison_dl2",
        parameters={"params:comparison", "params:evaluation"},
        tags="comparison",
    )


def _compare(*events: str) -> Node:
    return node(
        compare_models,
        ["candidates", *READ, "params:evaluation", *events],
        [
            "metrics_table",
            "differences_table",
            "per_energy_table",
            "ranking",
            "figures",
            "report",
            "summary",
        ],
        name="compare_models",
    )
