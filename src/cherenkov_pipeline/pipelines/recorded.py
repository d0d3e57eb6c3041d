"""Models that an MLflow run recorded."""

from pathlib import Path

from cherenkov_pipeline.errors import UserError, reason

CARD = "model.card.json"
MODEL = "model.keras"


def recorded_model(run_id: str, task: str | None, server: bool) -> Path:
    """Path of the model that an MLflow run recorded; fetched where the artifacts are on a server.

    Parameters
    ----------
    run_id : str
    task : str or None
        Task of the model; None: the run recorded but one model.
    server : bool
        Whether MLflow is set up in this process.

    Raises
    ------
    UserError
        If there is no such run, or not one model of the task in it.
    """
    if not server:
        raise UserError(f"{run_id} looks like an MLflow run, but nothing is tracked here: give the model's path.")
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    from cherenkov_pipeline.models.card import ModelCard
    from cherenkov_pipeline.tasks import get_task

    client = MlflowClient()
    try:
        folders = [item.path for item in client.list_artifacts(run_id) if item.is_dir]
        # one folder a task; runs of earlier versions have a single one for all
        places = ["model", *(f"{folder}/model" for folder in folders)]
        found = [place for place in places if _has(client, run_id, f"{place}/{CARD}")]
        fitting = []
        for place in found:
            text = Path(download_artifacts(run_id=run_id, artifact_path=f"{place}/{CARD}")).read_text()
            members = [member.name for member in get_task(ModelCard.model_validate_json(text).task).members]
            if task is None or task in members:
                fitting.append(place)
        if len(fitting) == 1:
            return Path(download_artifacts(run_id=run_id, artifact_path=fitting[0])) / MODEL
    except MlflowException as error:
        raise UserError(f"Cannot read the MLflow run {run_id}: {reason(error)}") from error
    if len(fitting) > 1:
        raise UserError(f"The MLflow run {run_id} recorded {len(fitting)} models: choose one by its version or path.")
    of_task = f" of {task}" if task else ""
    raise UserError(
        f"The MLflow run {run_id} recorded no model{of_task}: name the run of a training, or a model's path."
    )


def _has(client: object, run_id: str, path: str) -> bool:
    return any(item.path == path for item in client.list_artifacts(run_id, path.rpartition("/")[0]))
