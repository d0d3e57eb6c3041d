"""Types of what flows between nodes.

Kedro reads the nodes' annotations at run time to validate parameters; a name that it cannot resolve switches the
validation of the whole node off. The classes below are too heavy to import at every command: at run time they are Any.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from cherenkov_pipeline.models.on_disk import SavedModel
    from cherenkov_pipeline.models.saved import TrainedModel
    from cherenkov_pipeline.store import EventStore
else:
    DataFrame = EventStore = Figure = QTable = SavedModel = TrainedModel = Any

EventStores = dict[str, EventStore]

__all__ = ["DataFrame", "EventStore", "EventStores", "Figure", "QTable", "SavedModel", "TrainedModel"]
