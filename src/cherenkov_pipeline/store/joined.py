"""Event stores of several telescope types together, for events that telescopes of all of them see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Column, Table

from cherenkov_pipeline.dl1.settings import common_settings
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.fingerprints import fingerprint
from cherenkov_pipeline.store.account import distinct_names, merge_provenance
from cherenkov_pipeline.store.chunks import EventChunk
from cherenkov_pipeline.store.events import PRODUCTION, EventStore
from cherenkov_pipeline.store.split import split_changes

COUNTS = ("n_read", "n_cut", "n_selected")
"""What a DL1 file's entry in the provenance counts, of each telescope type."""

OF_TYPES = ("telescope_type", "camera", "camera_fingerprint")
"""What the provenance names for each telescope type."""


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
    ``event_id``. Columns are kept by the stores, and joined when they are asked for.

    Parameters
    ----------
    stores : sequence of EventStore
        Two or more, one a telescope type; their order does not matter.

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
        If there are fewer than two, two are of one telescope type, or they were split, selected, or their DL1 files
        made differently.
    """

    def __init__(self, stores: Sequence[EventStore]):
        if len(stores) < 2:
            raise UserError("Joined stores are of two telescope types or more: take the event store itself.")
        self.stores = tuple(sorted(stores, key=lambda store: store.telescope_type))
        types = [store.telescope_type for store in self.stores]
        if len(set(types)) < len(types):
            raise UserError(f"Event stores of one telescope type are one store of several parts. Received: {types}")
        _check_company(self.stores)
        self.fingerprint: str = fingerprint([store.fingerprint for store in self.stores])
        self.telescope_type = ", ".join(types)
        self.n_pixels = max(store.n_pixels for store in self.stores)
        self._starts = np.cumsum([0, *(len(store) for store in self.stores)])

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
        """See `EventStore.columns`; ``production`` holds positions in `productions`. Each time a table of its own."""
        tables = [self._adapted(number, store.columns(names)) for number, store in enumerate(self.stores)]
        joined = {name: np.concatenate([table[name] for table in tables]) for name in names}
        return Table([Column(joined[name], name, unit=tables[0][name].unit) for name in names], copy=False)

    @cached_property
    def productions(self) -> tuple[str, ...]:
        """Names of the DL1 files."""
        return tuple(item[PRODUCTION] for item in self.provenance["inputs"])

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """See `EventStore.provenance`; each DL1 file is there once, with the images of all types.

        Telescope types, cameras and their fingerprints are named with commas; ``n_pixels`` is that of the largest
        camera.
        """
        inputs = [
            {**items[0], **{name: sum(item[name] for item in items) for name in COUNTS}}
            for items in self._files.values()
        ]
        records = [part.provenance for store in self.stores for part in store.parts]
        return {
            **merge_provenance(records, self.columns),
            **{name: ", ".join(store.parts[0].provenance[name] for store in self.stores) for name in OF_TYPES},
            "n_pixels": self.n_pixels,
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

    def read(self, rows: np.ndarray, columns: Sequence[str] | None = None) -> dict[str, EventChunk]:
        """Read images.

        Parameters
        ----------
        rows : ndarray of int
            Increasing.
        columns : sequence of str, optional
            Columns of the chunks' tables, as `columns` gives them. Default: all.

        Returns
        -------
        dict
            Telescope type -> its images; only types that have any among the rows. One after the other they are in the
            order of the rows.
        """
        names, chunks = self.colnames if columns is None else columns, {}
        for number, (store, (start, stop)) in enumerate(zip(self.stores, pairwise(self._starts), strict=True)):
            own = rows[(rows >= start) & (rows < stop)]
            if len(own):
                chunk = store.read(own - start, names)
                chunks[store.telescope_type] = replace(chunk, table=self._adapted(number, chunk.table))
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

    @cached_property
    def _codes(self) -> list[np.ndarray]:
        """For each store, position in `productions` of each of its files."""
        numbers = {mark: number for number, mark in enumerate(self._files)}
        return [
            np.array([numbers[item["fingerprint"]] for item in store.provenance["inputs"]], dtype=np.int32)
            for store in self.stores
        ]

    def _adapted(self, number: int, table: Table) -> Table:
        """Columns of a store as those of all: in the first unit that one of them knows, numbers of files common."""
        columns = []
        for name in table.colnames:
            values, unit = table[name], self._unit(name)
            if name == PRODUCTION:
                values = self._codes[number][values]
            elif unit is not None and values.unit not in (None, unit):
                values = values.to(unit).value
            columns.append(Column(values, name, unit=unit, copy=False))
        return Table(columns, copy=False)

    def _unit(self, name: str) -> u.Unit | None:
        units = (store.columns([name])[name].unit for store in self.stores)
        return next((unit for unit in units if unit is not None), None)


def _check_company(stores: Sequence[EventStore]) -> None:
    """Refuse stores that were made differently; what is in them is not read."""
    first, *others = stores
    for other in others:
        learnt, found = (store.parts[0].provenance["split"] for store in (first, other))
        if changed := split_changes(learnt, found):
            raise UserError(
                f"{other.path} is split otherwise than {first.path} ({changed}), so that an event could be on both"
                " sides: make the event stores of all telescope types with the same split."
            )
        if other.parts[0].settings != first.parts[0].settings:
            raise UserError(
                f"{other.path} was selected otherwise than {first.path}: make the event stores of all telescope types"
                " with the same selection."
            )
    common_settings({str(part.path): part.provenance["dl1_settings"] for store in stores for part in store.parts})
