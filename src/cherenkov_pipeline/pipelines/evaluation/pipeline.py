"""Evaluation: one template, instantiated for each task in its namespace."""

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.performance.evaluations import evaluation_of
from cherenkov_pipeline.pipelines.evaluation.nodes import (
    TRAINING_FIGURES,
    draw_dl2_with,
    draw_gallery_with,
    draw_training,
    draw_with,
    predict_test_events,
    read_dl2_of,
    report_dl2_with,
    report_with,
    summarize,
    tabulate_with,
)


def create_pipeline(task: str, joint: str | None = None) -> Pipeline:
    """Build the pipeline that evaluates a model of ``task`` on the test events.

    Parameters
    ----------
    task : str
    joint : str, optional
        Name of a network of several tasks that is evaluated in this one; its outputs are in the namespace
        ``<joint>_<task>``.
    """
    evaluation = evaluation_of(task)
    name = f"{joint}_{task}" if joint else task
    tables = [f"{name}_table" for name in evaluation.table_names]
    figures = [f"{name}_figure" for name in evaluation.figure_names]
    gallery = [f"{name}_figure" for name in evaluation.gallery_names]
    training = [f"{name}_figure" for name in TRAINING_FIGURES]
    template = [
        node(predict_test_events, ["event_store", "model"], ["predictions", "cost"], name="predict_test_events"),
        node(tabulate_with(evaluation), ["predictions", "params:evaluation"], tables, name="tabulate"),
        node(summarize, ["metrics_table", "metrics_weighted_table"], "metrics", name="summarize"),
        node(draw_with(evaluation), ["model", "params:evaluation", *tables], figures, name="draw"),
        node(draw_gallery_with(evaluation), ["event_store", "gallery_table"], gallery, name="draw_gallery"),
        node(draw_training, "model", training, name="draw_training"),
        node(
            report_with(evaluation),
            [
                "event_store",
                "model",
                "cost",
                "predictions",
                "processing_provenance",
                *tables,
                *figures,
                *gallery,
                *training,
            ],
            ["report", "summary"],
            name="write_report",
        ),
    ]
    return Pipeline(
        template,
        namespace=name,
        inputs={
            "event_store": "event_store",
            "processing_provenance": "processing_provenance",
            "model": f"{joint or task}_model",
        },
        parameters={"params:evaluation"},
        tags="evaluation",
    )


def create_dl2_pipeline(task: str) -> Pipeline:
    """Build the pipeline that evaluates DL2 files of others: it needs no event store and no model.

    Parameters
    ----------
    task : str
    """
    evaluation = evaluation_of(task)
    tables = [f"{name}_table" for name in evaluation.table_names]
    figures = [f"{name}_figure" for name in evaluation.figure_names]
    template = [
        node(read_dl2_of(task), "params:dl2", ["predictions", "source"], name="read_dl2"),
        node(tabulate_with(evaluation), ["predictions", "params:evaluation"], tables, name="tabulate"),
        node(summarize, ["metrics_table", "metrics_weighted_table"], "metrics", name="summarize"),
        node(draw_dl2_with(evaluation), ["source", "params:evaluation", *tables], figures, name="draw"),
        node(
            report_dl2_with(evaluation),
            ["source", "predictions", *tables, *figures],
            ["report", "summary"],
            name="write_report",
        ),
    ]
    return Pipeline(
        template, namespace=f"dl2_{task}", parameters={"params:dl2", "params:evaluation"}, tags="evaluation"
    )
