"""Batches of events seen by several telescopes of one type."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.events import EventStore

EVENT = ("production", "obs_id", "event_id")
"""What makes an event: gammas and protons of two files may well have the same ``obs_id`` and ``event_id``."""


class StereoBatches(Batches):
    """Batches ``(inputs, targets)`` of events, with a place for each telescope of the subarray.

    The inputs of `~cherenkov_pipeline.store.batches.Batches` have a telescope axis, (n, n_telescopes, ...), and two
    more come with them:

    - ``telescopes``: (n, n_telescopes), 1 where the telescope has an image in ``indices``, else 0, and all its other
      inputs are 0;
    - ``positions``: (n, n_telescopes, 3), m, of the telescopes relative to the centre of the subarray; the same in
      every event, present or not.

    Labels are those of the event. A split by shower stays one: all images of a shower are on one side of it.

    Parameters
    ----------
    store : EventStore
    indices : array-like of int
        Rows of the store; those of one event belong together, wherever they stand.
    positions : mapping
        Telescope -> x, y, z in m, in the order in which the telescopes stand in the inputs.
    *arguments, **options
        Of `~cherenkov_pipeline.store.batches.Batches`: ``parameters``, ``labels``, ``batch_size``, ...

    Raises
    ------
    UserError
        If there are no images, or one of a telescope without a position.
    """

    def __init__(
        self,
        store: EventStore,
        indices: "np.typing.ArrayLike",
        positions: Mapping[int, Sequence[float]],
        *arguments: Any,
        **options: Any,
    ):
        self.tel_ids = np.array(list(positions), dtype=np.int64)
        places = np.array(list(positions.values()), dtype=float).reshape(-1, 3)
        self._positions = (places - places.mean(axis=0)).astype(np.float32)
        super().__init__(store, indices, *arguments, **options)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one event of each input."""
        n = len(self.tel_ids)
        images = {name: (n, *shape) for name, shape in super().shapes.items()}
        return {**images, "telescopes": (n,), "positions": (n, 3)}

    def _grouped(self) -> np.ndarray:
        keys = self.store.columns((*EVENT, "tel_id"))[self._rows]
        telescope = np.full(len(keys), -1)
        for number, tel_id in enumerate(self.tel_ids):
            telescope[keys["tel_id"] == tel_id] = number
        if (telescope < 0).any():
            unknown = keys["tel_id"][telescope < 0][0]
            raise UserError(f"{self.store.path} has images of telescope {unknown}: give its position, or leave it out.")
        by_key = np.stack([np.asarray(keys[name], dtype=np.int64) for name in EVENT], axis=-1)
        events, event = np.unique(by_key, axis=0, return_inverse=True)
        items = np.full((len(events), len(self.tel_ids)), -1, dtype=np.int64)
        items[event.ravel(), telescope] = np.arange(len(keys))
        return items

    def _inputs(self, index: int, items: np.ndarray) -> dict[str, np.ndarray]:
        places = self._items[items]
        images = self._image_inputs(index, places.ravel())
        return {
            **{name: values.reshape(*places.shape, *values.shape[1:]) for name, values in images.items()},
            "telescopes": (places >= 0).astype(np.float32),
            "positions": np.repeat(self._positions[np.newaxis], len(places), axis=0),
        }
