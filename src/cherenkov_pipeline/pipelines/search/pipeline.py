"""Configuration search: one template, instantiated for each task in its namespace."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.search.nodes import draw_trials, search_of


def create_pipeline(name: str, tasks: Sequence[str] = ()) -> Pipeline:
    """Build a pipeline that searches for the best configuration.

    Parameters
    ----------
    name : str
        Namespace of parameters and outputs: that of the task.
    tasks : sequence of str
        Several tasks that the network learns; none: the one of this name.
    """
    template = [
        node(
            search_of(name, "+".join(tasks) or name),
            [
                "event_store",
                "params:model",
                "params:input",
                "params:training",
                "params:search",
                "search_state",
                "mlflow_run",
            ],
            ["trials_table", "best_configuration"],
            name="search_configurations",
            tags="gpu",
        ),
        node(draw_trials, "trials_table", "search_figure", name="draw_trials"),
    ]
    return Pipeline(template, namespace=name, inputs={"event_store", "mlflow_run"}, tags="search")
