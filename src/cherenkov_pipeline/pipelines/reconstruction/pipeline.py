"""Reconstruction: any simtel or DL1 files become DL2, with a report of their own."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.data_processing.nodes import plan_conversion
from cherenkov_pipeline.pipelines.reconstruction.nodes import (
    compare_with_training,
    draw_energies,
    find_further_models,
    gather_events,
    list_inputs,
    plan_reconstruction,
    tabulate_provenance,
    write_report,
)


def create_pipeline(tasks: Sequence[str]) -> Pipeline:
    """Build the pipeline that predicts with the models of these tasks."""
    models = [f"{task}_model" for task in tasks]
    return Pipeline(
        [
            node(
                find_further_models,
                ["params:reconstruction", "saved_models", "mlflow_run"],
                "further_models",
                name="find_further_models",
            ),
            node(
                list_inputs,
                ["params:input_path", "simulated_point_source", "params:dl1", "further_models", *models],
                "reconstruction_inputs",
                name="list_reconstruction_inputs",
            ),
            node(
                plan_conversion,
                ["reconstruction_inputs", "params:dl1"],
                "reconstruction_dl1_files",
                name="convert_inputs",
                tags="cpu",
            ),
            node(
                plan_reconstruction,
                ["reconstruction_dl1_files", "params:selection", "params:reconstruction", "further_models", *models],
                "dl2_files",
                name="reconstruct_events",
                tags="cpu",
            ),
            node(gather_events, "dl2_files", "reconstructed_events", name="gather_events"),
            node(draw_energies, "reconstructed_events", "reconstructed_energy_figure", name="draw_energies"),
            node(
                compare_with_training,
                ["dl2_files", "params:reconstruction"],
                "reconstruction_drift",
                name="compare_with_training",
            ),
            node(
                tabulate_provenance,
                ["reconstruction_inputs", "reconstruction_dl1_files", "dl2_files", "reconstruction_drift"],
                "reconstruction_provenance",
                name="tabulate_reconstruction_provenance",
            ),
            node(
                write_report,
                [
                    "reconstructed_events",
                    "reconstruction_provenance",
                    "reconstruction_drift",
                    "reconstructed_energy_figure",
                    "dl2_files",
                    "further_models",
                    *models,
                ],
                "reconstruction_report",
                name="write_reconstruction_report",
            ),
        ],
        tags="reconstruction",
    )
