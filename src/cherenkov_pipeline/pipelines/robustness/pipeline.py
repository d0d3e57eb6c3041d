"""Robustness: one template, instantiated for each task in its namespace; the simulated conditions serve all tasks."""

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.robustness.nodes import (
    draw_robustness,
    plan_conditions,
    predict_of,
    tabulate_of,
    write_report,
)


def create_pipeline(task: str) -> Pipeline:
    """Build the pipeline that tells how a model of ``task`` behaves where the data differ from its training."""
    simulation = node(
        plan_conditions,
        ["params:simulation", "params:dl1", "params:robustness"],
        "robustness_files",
        name="simulate_conditions",
        tags=["cpu", "robustness"],
    )
    template = [
        node(
            predict_of(task),
            ["robustness_files", "params:selection", "params:reconstruction", "model"],
            ["predictions", "drift_table", "counts_table"],
            name="predict_conditions",
            tags="cpu",
        ),
        node(
            tabulate_of(task),
            ["predictions", "drift_table", "counts_table", "params:evaluation"],
            ["robustness_table", "numbers"],
            name="tabulate",
        ),
        node(draw_robustness, "robustness_table", "robustness_figure", name="draw"),
        node(
            write_report,
            ["robustness_table", "drift_table", "counts_table", "robustness_figure", "model"],
            ["report", "summary"],
            name="write_report",
        ),
    ]
    return Pipeline([simulation]) + Pipeline(
        template,
        namespace=f"robustness_{task}",
        inputs={"robustness_files": "robustness_files", "model": f"{task}_model"},
        parameters={"params:selection", "params:reconstruction", "params:evaluation"},
        tags="robustness",
    )
