"""Comparison: one template, for the task that the parameters or the models tell, and for each task in its namespace."""

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.comparison.nodes import choose_models_of, compare_models, predict_with_all


def create_pipeline(task: str | None = None) -> Pipeline:
    """Build the pipeline that compares models on the test events.

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
        node(
            predict_with_all,
            ["event_store", "candidates"],
            ["predictions", "costs_table", "histories_table"],
            name="predict_with_all",
        ),
        node(
            compare_models,
            ["candidates", "predictions", "costs_table", "histories_table", "params:evaluation"],
            [
                "metrics_table",
                "differences_table",
                "per_energy_table",
                "ranking",
                "figures",
                "figures_pdf",
                "report",
                "summary",
            ],
            name="compare_models",
        ),
    ]
    return Pipeline(
        template,
        namespace=f"comparison_{task}" if task else "comparison",
        inputs={"event_store", "saved_models", "mlflow_run"},
        parameters={"params:comparison", "params:evaluation"},
        tags="comparison",
    )
