"""Event stores of several telescope types together, for events that telescopes of all of them see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import fingerprint
from cherenkov_pipeline.store.account import distinct_names, merge_provenance
from cherenkov_pipeline.store.chunks import EventChunk
from cherenkov_pipeline.store.events import PRODUCTION, EventStore
from cherenkov_pipeline.store.packing import unpack
from cherenkov_pipeline.store.split import split_changes

COUNTS = ("n_read", "n_cut", "n_selected")
"""What a DL1 file's entry in the provenance counts, of each telescope type."""


@dataclass(frozen=True)
class JoinedRecords:
    """Packed images of several cameras.

    Attributes
    ----------
    parts : tuple of ndarray
        Records of each camera, see `cherenkov_pipeline.store.packing`.
    camera, place : ndarray of int
        (n,) camera of each image, and its place in that one's part.
    """

    parts: tuple[np.ndarray, ...]
    camera: np.ndarray
    place: np.ndarray


class JoinedStores:
    """Images of several telescope types: those of one store after those of the other, in the types' alphabetical order.

    What `~cherenkov_pipeline.store.events.EventStore` has, this has, as far as `StereoBatches` and the training need
    it. Rows of several stores are of one event if they come from the same DL1 file and have its ``obs_id`` and
    ``event_id``.

    Parameters
    ----------
    stores : sequence of EventStore
        One a telescope type; their order does not matter.

    Attributes
    ----------
    stores : tuple of EventStore
    fingerprint : str
    telescope_type : str
        All of them.
    n_pixels : int
        Of the largest camera.

    Raises
    ------
    UserError
        If two are of one telescope type, or are split differently.
    """

    def __init__(self, stores: Sequence[EventStore]):
        self.stores = tuple(sorted(stores, key=lambda store: store.telescope_type))
        first, types = self.stores[0], [store.telescope_type for store in self.stores]
        for other in self.stores[1:]:
            if changed := split_changes(first.provenance["split"], other.provenance["split"]):
                raise UserError(
                    f"{other.path} is split otherwise than {first.path} ({changed}), so that an event could be on both"
                    " sides: make the event stores of all telescope types with the same split."
                )
        if len(set(types)) < len(types):
            raise UserError(f"Event stores of one telescope type are one store of several parts. Received: {types}")
        self.fingerprint: str = fingerprint([store.fingerprint for store in self.stores])
        self.telescope_type = ", ".join(types)
        self.n_pixels = max(store.n_pixels for store in self.stores)
        self._starts = np.cumsum([0, *(len(store) for store in self.stores)])
        self._columns: dict[str, Column] = {}

    def __reduce__(self) -> tuple[type["JoinedStores"], tuple[tuple[EventStore, ...]]]:
        return JoinedStores, (self.stores,)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def path(self) -> Path:
        """Folder of the first store."""
        return self.stores[0].paths[0].parent

    @cached_property
    def colnames(self) -> tuple[str, ...]:
        """Names of the columns that all stores have."""
        others = [set(store.colnames) for store in self.stores[1:]]
        return tuple(name for name in self.stores[0].colnames if all(name in names for names in others))

    @property
    def table(self) -> Table:
        """See `EventStore.table`."""
        return self.columns(self.colnames)

    def columns(self, names: Sequence[str]) -> Table:
        """See `EventStore.columns`; ``production`` holds positions in `productions`."""
        for name in names:
            if name not in self._columns:
                self._columns[name] = self._joined(name)
        return Table([self._columns[name] for name in names], names=list(names), copy=False)

    @cached_property
    def productions(self) -> tuple[str, ...]:
        """Names of the DL1 files."""
        return tuple(item[PRODUCTION] for item in self.provenance["inputs"])

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """See `EventStore.provenance`; each DL1 file is there once, with the images of all types."""
        inputs = [
            {**items[0], **{name: sum(item[name] for item in items) for name in COUNTS}}
            for items in self._files.values()
        ]
        records = [part.provenance for store in self.stores for part in store.parts]
        return {
            **merge_provenance(records, self.columns),
            "inputs": [{**item, PRODUCTION: name} for item, name in zip(inputs, distinct_names(inputs), strict=True)],
        }

    @cached_property
    def telescopes(self) -> np.ndarray:
        """Telescopes of all types, by ``tel_id``: `layout.TELESCOPE_DTYPE`.

        Raises
        ------
        UserError
            If one is of two types, or stands at two places: files are of different arrays.
        """
        found = np.concatenate([store.telescopes for store in self.stores])
        tel_ids, counts = np.unique(found["tel_id"], return_counts=True)
        if (counts > 1).any():
            raise UserError(
                f"{self.path} has files of different arrays: telescope {tel_ids[counts > 1][0]} is of several types"
                f" ({self.telescope_type}). Make event stores of each array."
            )
        return found[np.argsort(found["tel_id"])]

    @cached_property
    def telescope_types(self) -> dict[int, str]:
        """Type of each telescope, by ``tel_id``."""
        types = {int(one): store.telescope_type for store in self.stores for one in store.telescopes["tel_id"]}
        return {int(tel_id): types[int(tel_id)] for tel_id in self.telescopes["tel_id"]}

    def indices(self, split: str | None = None, particles: Sequence[str | int] | None = None) -> np.ndarray:
        """See `EventStore.indices`."""
        return np.concatenate(
            [store.indices(split, particles) + start for store, start in zip(self.stores, self._starts, strict=False)]
        )

    def read(self, rows: np.ndarray) -> dict[str, EventChunk]:
        """Read images.

        Parameters
        ----------
        rows : ndarray of int
            Increasing.

        Returns
        -------
        dict
            Telescope type -> its images, with the columns of this store; only types that have any among the rows. One
            after the other they are in the order of the rows.
        """
        table, chunks = self.table, {}
        for store, start, stop in zip(self.stores, self._starts, self._starts[1:], strict=False):
            own = rows[(rows >= start) & (rows < stop)]
            if len(own):
                chunks[store.telescope_type] = EventChunk(table[own], *unpack(store.records(own - start)))
        return chunks

    def records(self, rows: np.ndarray) -> JoinedRecords:
        """Read pixels as they are stored, in the order of ``rows``."""
        camera = np.searchsorted(self._starts, rows, side="right") - 1
        place, parts = np.empty(len(rows), dtype=np.int64), []
        for number, (store, start) in enumerate(zip(self.stores, self._starts, strict=False)):
            own = np.flatnonzero(camera == number)
            place[own] = np.arange(len(own))
            parts.append(store.records(rows[own] - start))
        return JoinedRecords(tuple(parts), camera, place)

    @cached_property
    def _files(self) -> dict[str, list[Mapping[str, Any]]]:
        """Entries of each DL1 file in the stores' provenance, by its fingerprint."""
        files: dict[str, list[Mapping[str, Any]]] = {}
        for store in self.stores:
            for item in store.provenance["inputs"]:
                files.setdefault(item["fingerprint"], []).append(item)
        return files

    def _joined(self, name: str) -> Column:
        found = [store.columns([name])[name] for store in self.stores]
        if name == PRODUCTION:
            files = list(self._files)
            codes = [[files.index(item["fingerprint"]) for item in one.provenance["inputs"]] for one in self.stores]
            values = [np.array(own, dtype=column.dtype)[column] for own, column in zip(codes, found, strict=True)]
        else:
            unit = found[0].unit
            values = [column if column.unit == unit else column.to(unit).value for column in found]
        joined = Column(np.concatenate(values), name, unit=found[0].unit)
        joined.flags.writeable = False
        return joined
