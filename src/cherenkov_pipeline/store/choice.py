"""Which of several stores is meant."""

from collections.abc import Mapping

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.events import EventStore
from cherenkov_pipeline.store.joined import JoinedStores


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


def store_for(mode: str, stores: Mapping[str, EventStore]) -> EventStore | JoinedStores:
    """Return the store that models of a mode see: stereo ones see all telescope types together.

    Parameters
    ----------
    mode : {"mono", "stereo"}
    stores : mapping
        Those of a data set.

    Raises
    ------
    UserError
        If there are several that no model of this mode sees together.
    """
    if mode == "stereo" and len(stores) > 1:
        return JoinedStores(list(stores.values()))
    return only_store(stores)
