"""Nodes of the data processing."""

from dataclasses import asdict
from typing import Any

from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FilePlan, FileSet
from cherenkov_pipeline.pipelines.flow import DataFrame, EventStores
from cherenkov_pipeline.store.parameters import StoreParameters


def list_raw_files(raw_path: str | None, simulated: FileSet) -> list[dict[str, Any]]:
    """List the user's files, or those of the simulated sample, with kind, size and fingerprint."""
    from cherenkov_pipeline.dl1.inputs import find_inputs, inputs_of

    if not raw_path and not len(simulated):
        raise UserError(
            "There is no simulated sample yet: kedro run --pipeline=simulation, or give --params=raw_path=..."
        )
    return [asdict(item) for item in (find_inputs(raw_path) if raw_path else inputs_of(simulated))]


def plan_conversion(raw_files: list[dict[str, Any]], dl1: DL1Parameters) -> FilePlan:
    """Plan a DL1 file for each raw file."""
    from cherenkov_pipeline.dl1.convert import plan_dl1
    from cherenkov_pipeline.dl1.inputs import RawInput

    return plan_dl1([RawInput(**item) for item in raw_files], dl1)


def plan_merging(converted: FileSet, dl1: DL1Parameters) -> FilePlan:
    """Plan the merged files; without merging, the files stay what and where they are."""
    from cherenkov_pipeline.dl1.merge import plan_merge

    return plan_merge(converted, dl1)


def plan_event_store(dl1_files: FileSet, selection: SelectionParameters, store: StoreParameters) -> FilePlan:
    """Plan an event store for each telescope type, of the events that pass the cuts."""
    from cherenkov_pipeline.store.build import plan_store

    return plan_store(dl1_files, selection, store)


def tabulate_provenance(
    raw_files: list[dict[str, Any]], converted: FileSet, dl1_files: FileSet, stores: EventStores
) -> DataFrame:
    """Tabulate where the events of the stores come from: inputs, cuts, counts in and out at every step."""
    from cherenkov_pipeline.dl1.provenance import provenance_table

    return provenance_table(raw_files, converted, dl1_files, stores)
