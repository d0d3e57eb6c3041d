"""Data processing: raw files of any kind become DL1 and the event store."""

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.pipelines.data_processing.nodes import (
    list_raw_files,
    plan_conversion,
    plan_event_store,
    plan_merging,
    tabulate_provenance,
)


def create_pipeline() -> Pipeline:
    """Build the pipeline."""
    return Pipeline(
        [
            node(list_raw_files, ["params:raw_path", "simulated_showers"], "raw_files", name="list_raw_files"),
            node(plan_conversion, ["raw_files", "params:dl1"], "converted_files", name="convert_raw_files", tags="cpu"),
            node(plan_merging, ["converted_files", "params:dl1"], "dl1_files", name="merge_dl1_files", tags="cpu"),
            node(
                plan_event_store,
                ["dl1_files", "params:selection", "params:store"],
                "event_store",
                name="build_event_store",
                tags="cpu",
            ),
            node(
                tabulate_provenance,
                ["raw_files", "converted_files", "dl1_files", "event_store"],
                "processing_provenance",
                name="tabulate_provenance",
            ),
        ],
        tags="data_processing",
    )
