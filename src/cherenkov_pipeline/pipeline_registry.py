"""The pipelines by the names that users type."""

from kedro.pipeline import Pipeline


def register_pipelines() -> dict[str, Pipeline]:
    """Build all pipelines; light, as every command does it."""
    from cherenkov_pipeline.pipelines import data_processing, evaluation, reconstruction, simulation, training
    from cherenkov_pipeline.tasks import TASKS

    pipelines = {
        "simulation": simulation.create_pipeline(),
        "data_processing": data_processing.create_pipeline(),
        "reconstruction": reconstruction.create_pipeline(),
    }
    for task in TASKS:
        pipelines[f"train_{task}"] = training.create_pipeline(task)
        pipelines[f"evaluate_{task}"] = evaluation.create_pipeline(task)
    return {"__default__": sum(pipelines.values(), Pipeline([])), **pipelines}
