"""What flows between nodes: its types, and names for what is given without.

Kedro reads the nodes' annotations at run time to validate parameters; a name that it cannot resolve switches the
validation of the whole node off. The classes below are too heavy to import at every command: at run time they are Any.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from cherenkov_pipeline.models.on_disk import SavedModel
    from cherenkov_pipeline.models.saved import TrainedModel
    from cherenkov_pipeline.performance.report.content import Drawing
    from cherenkov_pipeline.store import EventStore
else:
    DataFrame = Drawing = EventStore = Figure = QTable = SavedModel = TrainedModel = Any

EventStores = dict[str, EventStore]

__all__ = [
    "DataFrame",
    "Drawing",
    "EventStore",
    "EventStores",
    "Figure",
    "QTable",
    "SavedModel",
    "TrainedModel",
    "named_groups",
]


def named_groups(given: Sequence[Any], *names: Sequence[str]) -> list[dict[str, Any]]:
    """Name the inputs of a node that has as many as its evaluation has tables and figures.

    Parameters
    ----------
    given : sequence
        The groups one after the other.
    *names : sequence of str
        Of each group.
    """
    values = iter(given)
    return [{name: next(values) for name in group} for group in names]
