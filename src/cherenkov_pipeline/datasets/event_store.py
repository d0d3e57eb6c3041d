"""The event stores of a data set, ready to be read in slices."""

from typing import TYPE_CHECKING

from cherenkov_pipeline.datasets.file_set import FileSetDataset

if TYPE_CHECKING:
    from cherenkov_pipeline.store import EventStore


class EventStoreDataset(FileSetDataset):
    """Like `FileSetDataset`, but loads a dict: name of the telescope type -> `EventStore`."""

    def load(self) -> "dict[str, EventStore]":
        """Open the stores; pixels are read only when asked for."""
        from cherenkov_pipeline.store import EventStore

        return {record["telescope_type"]: EventStore(record["path"]) for record in super().load().records}
