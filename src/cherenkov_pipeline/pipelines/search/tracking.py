"""Trials of a configuration search as child runs in MLflow."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cherenkov_pipeline.training.trials import TrialRecord

STATUS = {"finished": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


def trial_recorder(parent: str | None, name: str) -> "Callable[[TrialRecord], None] | None":
    """Make the function that records a trial of the search ``name`` as a child of an MLflow run; None without one."""
    if parent is None:
        return None

    def record(trial: "TrialRecord") -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
        from mlflow.utils.time import get_current_time_millis

        client = MlflowClient()
        experiment = client.get_run(parent).info.experiment_id
        now = get_current_time_millis()
        run = client.create_run(
            experiment,
            start_time=now - round(1000 * trial.seconds),
            tags={MLFLOW_PARENT_RUN_ID: parent},
            run_name=f"search_{name} trial {trial.number}",
        ).info.run_id
        numbers = {"objective": trial.objective, **trial.metrics}
        client.log_batch(
            run,
            metrics=[Metric(key, value, now, trial.epochs) for key, value in numbers.items() if math.isfinite(value)],
            params=[Param(f"{name}.{key}", str(value)) for key, value in trial.values.items()],
        )
        client.set_terminated(run, STATUS[trial.state])

    return record
