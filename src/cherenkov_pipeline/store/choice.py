"""Which of several stores is meant."""

from collections.abc import Mapping

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.events import EventStore


def only_store(stores: Mapping[str, EventStore]) -> EventStore:
    """Return the one store of a data set: mono models see one telescope type.

    Raises
    ------
    UserError
        If there are several.
    """
    if len(stores) > 1:
        names = ", ".join(stores)
        raise UserError(
            f"The event stores hold {names}: choose one with dl1.telescope_types and process the data again."
        )
    return next(iter(stores.values()))
