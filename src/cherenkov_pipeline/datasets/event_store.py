"""The event stores of a data set, ready to be read in slices."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.datasets.file_set import FileSetDataset
from cherenkov_pipeline.errors import UserError

if TYPE_CHECKING:
    from cherenkov_pipeline.store import EventStore


class EventStoreDataset(FileSetDataset):
    """Like `FileSetDataset`, but loads a dict: name of the telescope type -> `EventStore` of all its parts."""

    def load(self) -> "dict[str, EventStore]":
        """Open and check the stores; pixels are read only when asked for.

        Telescope types of which the selection left no image are not among them.

        Raises
        ------
        UserError
            If a file is damaged, of another layout, or not the one that was made here.
        """
        from cherenkov_pipeline.store import EventStore
        from cherenkov_pipeline.store.part import REMEDY

        parts: dict[str, list[Mapping[str, Any]]] = {}
        for record in super().load().records:
            parts.setdefault(record["telescope_type"], []).append(record)
        stores = {name: EventStore([one["path"] for one in records]) for name, records in parts.items()}
        for name, store in stores.items():
            for part, record in zip(store.parts, parts[name], strict=True):
                if part.fingerprint != record["fingerprint"]:
                    raise UserError(f"{part.path} is not the file that was made here: {REMEDY}.")
        return {name: store for name, store in stores.items() if len(store)}
