"""Training: one template, instantiated for each task in its namespace."""

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.training.nodes import take_history, training_of


def create_pipeline(task: str) -> Pipeline:
    """Build the pipeline that trains a model for ``task``."""
    template = [
        node(
            training_of(task),
            ["event_store", "params:model", "params:input", "params:training", "checkpoints", "mlflow_run"],
            "model",
            name="train_model",
            tags="gpu",
        ),
        node(take_history, "model", "history", name="take_history"),
    ]
    return Pipeline(
        template,
        namespace=task,
        inputs={"event_store", "mlflow_run"},
        outputs={"model": f"{task}_model"},
        tags="training",
    )
