"""What a model's card and history tell the report: facts of the run, cost, figures of the training."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.figure

from cherenkov_pipeline.performance.plots.architecture import architecture
from cherenkov_pipeline.performance.plots.history import loss_curves
from cherenkov_pipeline.performance.report.task import RunCost, RunFacts

if TYPE_CHECKING:
    from cherenkov_pipeline.models.card import ModelCard
    from cherenkov_pipeline.models.saved import TrainedModel


def run_facts(card: "ModelCard", n_test: int) -> RunFacts:
    """Take the facts of a training from the model's card."""
    training = card.training
    return RunFacts(
        task=card.task,
        model=card.name,
        created=card.created,
        planned_epochs=training["parameters"]["epochs"],
        effective_epochs=training["epochs"],
        batch_size=training["parameters"]["batch_size"],
        training_events=card.data.n_train,
        validation_events=card.data.n_validation,
        test_events=n_test,
        data_fingerprint=card.data.fingerprint,
        git_revision=card.versions.get("git_revision"),
        mlflow_run=training["mlflow_run"],
        configuration={
            "model": card.model.model_dump(mode="json"),
            "input": card.inputs,
            "training": training["parameters"],
            "versions": card.versions,
        },
    )


def run_cost(card: "ModelCard", inference: Mapping[str, float]) -> RunCost:
    """Join the cost of the network and its training with that of its predictions.

    Parameters
    ----------
    card : ModelCard
    inference : mapping
        ``inference_s``, ``inference_ms_per_event``, ``peak_memory_mib`` (may be absent), as
        `~cherenkov_pipeline.reconstruction.measure.predict_and_measure` gives them.
    """
    return RunCost(
        parameters=card.cost.parameters,
        layers=card.cost.layers,
        gflops=card.cost.gflops,
        training_s=card.training["seconds"],
        inference_s=inference["inference_s"],
        inference_ms_per_event=inference["inference_ms_per_event"],
        peak_memory_mib=inference.get("peak_memory_mib"),
    )


def training_figures(trained: "TrainedModel") -> dict[str, matplotlib.figure.Figure]:
    """Draw ``loss`` (per epoch) and ``architecture``."""
    from cherenkov_pipeline.models.cost import layer_table

    return {
        "loss": loss_curves({trained.card.name: trained.history}),
        "architecture": architecture(layer_table(trained.model)),
    }
