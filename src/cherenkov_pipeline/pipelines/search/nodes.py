"""Nodes of the configuration search, the same for every task."""

from collections.abc import Callable
from pathlib import Path

from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import REGISTRY
from cherenkov_pipeline.pipelines.flow import EventStores, Figure, QTable
from cherenkov_pipeline.store.parameters import GivenInputs
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.search_parameters import SearchParameters


def search_of(name: str, task: str) -> Callable[..., tuple[QTable, str]]:
    """Make the node function that searches the best configuration of ``task``; its parameters stand under ``name``."""

    def search_configurations(
        stores: EventStores,
        model: ModelParameters,
        inputs: GivenInputs | None,
        training: TrainingParameters,
        search: SearchParameters,
        folder: Path,
        mlflow_run: str | None,
    ) -> tuple[QTable, str]:
        from cherenkov_pipeline.pipelines.search.tracking import trial_recorder
        from cherenkov_pipeline.store import store_for
        from cherenkov_pipeline.training.search import search_configurations

        # as they were written: what was not written depends on what the search changes
        plain = ModelParameters(name=model.name)
        chosen = {name for name in model.model_fields_set if getattr(model, name) != getattr(plain, name)}
        written = {
            "model": model.model_dump(mode="json", include={"name", *chosen}),
            "input": inputs.model_dump(mode="json", exclude_unset=True) if inputs else {},
            "training": training.model_dump(mode="json", exclude_unset=True),
        }
        entry = REGISTRY.get(model.name)
        mode = written["input"].get("mode", entry.mode if entry else "mono")
        result = search_configurations(
            store_for(mode, stores),
            task,
            written,
            search,
            folder,
            on_trial=trial_recorder(mlflow_run, name),
            run=mlflow_run,
            block=name,
        )
        return result.trials, result.best_yaml

    return search_configurations


def draw_trials(trials: QTable) -> Figure:
    """Draw the objective of all trials, and what each parameter does to it."""
    from cherenkov_pipeline.performance.plots.search import search_overview

    return search_overview(trials)
