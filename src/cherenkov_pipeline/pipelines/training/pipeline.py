"""Training: one template, instantiated for each task in its namespace."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.training.nodes import take_history, training_of


def create_pipeline(name: str, tasks: Sequence[str] = ()) -> Pipeline:
    """Build a pipeline that trains a model.

    Parameters
    ----------
    name : str
        Namespace of parameters and outputs: that of the task.
    tasks : sequence of str
        Several tasks that the network learns; none: the one of this name.
    """
    template = [
        node(
            training_of("+".join(tasks) or name),
            [
                "event_store",
                "params:model",
                "params:input",
                "params:training",
                "params:ensemble",
                "checkpoints",
                "mlflow_run",
            ],
            "model",
            name="train_model",
            tags="gpu",
        ),
        node(take_history, "model", "history", name="take_history"),
    ]
    return Pipeline(
        template,
        namespace=name,
        inputs={"event_store", "mlflow_run"},
        outputs={"model": f"{name}_model"},
        tags="training",
    )
