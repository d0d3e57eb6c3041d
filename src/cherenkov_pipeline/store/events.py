"""The event store, opened for reading."""

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import Column, Table

from cherenkov_pipeline.dl1.contents import PARTICLES, PRIMARY
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.fingerprints import fingerprint
from cherenkov_pipeline.store.account import merge_provenance
from cherenkov_pipeline.store.chunks import EventChunk
from cherenkov_pipeline.store.layout import TELESCOPE_DTYPE
from cherenkov_pipeline.store.packing import unpack
from cherenkov_pipeline.store.part import REMEDY, StorePart, open_part
from cherenkov_pipeline.store.split import SPLITS

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

PRODUCTION = "production"

PLACE_TOLERANCE = 0.1
"""m, within which two files agree about a telescope's place."""

_RECORDS_AT_A_TIME = 1024
"""Records that are read in one go where they must be put in order afterwards."""


class EventStore:
    """Images of one telescope type with their parameters, labels, keys and split.

    The rows are those of all parts, one after the other. Files are open only while something is read from them; the
    store itself is a small handle that can be shared by threads and sent to other processes.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files of one telescope type made by `cherenkov_pipeline.store.build.plan_store`.

    Attributes
    ----------
    paths : tuple of pathlib.Path
    fingerprint : str
        Of all parts in their order.
    telescope_type, camera_fingerprint : str
    n_pixels : int

    Raises
    ------
    UserError
        If a file is missing, no part of a store, cut off or of another version of the layout, or if parts do not fit
        together.

    Examples
    --------
    >>> store = EventStore("DigiCam_gamma.store.h5")  # doctest: +SKIP
    >>> gammas = store.indices(split="train", particles=("gamma",))  # doctest: +SKIP
    >>> store.read(gammas[:100]).image.shape  # doctest: +SKIP
    (100, 1296)
    """

    def __init__(self, paths: str | os.PathLike | Sequence[str | os.PathLike]):
        paths = [paths] if isinstance(paths, str | os.PathLike) else paths
        if not paths:
            raise UserError(f"There are no files of an event store: {REMEDY}.")
        self.parts = tuple(open_part(path) for path in paths)
        _check_company(self.parts)
        first = self.parts[0]
        self.paths = tuple(part.path for part in self.parts)
        self.fingerprint: str = fingerprint([part.fingerprint for part in self.parts])
        self.telescope_type = first.telescope_type
        self.camera_fingerprint = first.camera_fingerprint
        self.n_pixels: int = first.dtype["image"].shape[0]
        self._starts = np.cumsum([0, *(part.n_images for part in self.parts)])
        self._columns: dict[str, Column] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["EventStore"], tuple[tuple[Path, ...]]]:
        return EventStore, (self.paths,)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __repr__(self) -> str:
        split = np.asarray(self.columns(["split"])["split"])
        sides = ", ".join(f"{(split == code).sum():,} {name}" for code, name in enumerate(SPLITS))
        return f"<EventStore {self.path.name}: {len(self):,} images of {self.telescope_type} ({sides})>"

    @property
    def stores(self) -> tuple["EventStore", ...]:
        """The stores of all telescope types: this one."""
        return (self,)

    @property
    def path(self) -> Path:
        """The file, or the folder of several."""
        return self.paths[0] if len(self.paths) == 1 else self.paths[0].parent

    @cached_property
    def colnames(self) -> tuple[str, ...]:
        """Names of the columns: those of the first part that has any images, and ``production``."""
        return (*self._pattern.columns.names, PRODUCTION)

    @property
    def table(self) -> Table:
        """One row an image: keys, ``production``, ``shower``, ``split``, true values, pointing, image parameters."""
        return self.columns(self.colnames)

    def columns(self, names: Sequence[str]) -> Table:
        """Table of some columns of all rows; read when first asked for, read-only and without a copy afterwards.

        What a part does not have is NaN, -1 or False there, and units are those of the first part.

        Raises
        ------
        UserError
            If there is no such column.
        """
        missing = [name for name in names if name not in self.colnames]
        if missing:
            raise UserError(f"{self.path} has no column {missing[0]!r}; its columns: {', '.join(self.colnames)}.")
        with self._lock:
            unread = [name for name in dict.fromkeys(names) if name not in self._columns]
            if unread:
                self._columns |= self._read_columns(unread)
            return Table([self._columns[name] for name in names], names=list(names), copy=False)

    @cached_property
    def productions(self) -> tuple[str, ...]:
        """Names of the DL1 files; column ``production`` holds positions in this tuple."""
        return tuple(item[PRODUCTION] for item in self.provenance["inputs"])

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Inputs, cuts, counts in and out, versions, of all parts."""
        return merge_provenance([part.provenance for part in self.parts], self.columns)

    @cached_property
    def camera(self) -> "CameraGeometry":
        """Geometry of the camera in the images' pixel order (camera frame)."""
        return self.parts[0].camera

    @cached_property
    def telescopes(self) -> np.ndarray:
        """Telescopes of this type in the subarrays of all parts, by ``tel_id``: `layout.TELESCOPE_DTYPE`.

        Raises
        ------
        UserError
            If parts have a telescope at different places: they are of different arrays.
        """
        return _common_array(self.parts)

    def indices(self, split: str | None = None, particles: Sequence[str | int] | None = None) -> np.ndarray:
        """Rows of one side of the split and of some particles.

        Parameters
        ----------
        split : {"train", "validation", "test"}, optional
            Default: all.
        particles : sequence, optional
            Names in `PARTICLES`, or values of ``true_shower_primary_id``. Default: all.

        Returns
        -------
        ndarray
            Increasing, int64; may be empty.

        Raises
        ------
        UserError
            If a name is unknown.
        """
        chosen = np.ones(len(self), dtype=bool)
        if split is not None:
            if split not in SPLITS:
                raise UserError(f"There is no split {split!r}: choose one of {', '.join(SPLITS)}.")
            chosen &= np.asarray(self.columns(["split"])["split"]) == SPLITS.index(split)
        if particles is not None:
            unknown = [name for name in particles if isinstance(name, str) and name not in PARTICLES]
            if unknown:
                raise UserError(f"There is no particle {unknown[0]!r}: choose from {', '.join(PARTICLES)}.")
            numbers = [PARTICLES[name] if isinstance(name, str) else name for name in particles]
            chosen &= np.isin(np.asarray(self.columns([PRIMARY])[PRIMARY]), numbers)
        return np.flatnonzero(chosen)

    def read(self, rows: slice | np.ndarray, columns: Sequence[str] | None = None) -> EventChunk:
        """Read images.

        Parameters
        ----------
        rows : slice or ndarray of int
            In any order; rows in increasing order and close together are read fastest.
        columns : sequence of str, optional
            Columns of the chunk's table. Default: all.

        Returns
        -------
        EventChunk
        """
        table = self.columns(self.colnames if columns is None else columns)
        return EventChunk(table[rows], *unpack(self.records(rows)))

    def records(self, rows: slice | np.ndarray) -> np.ndarray:
        """Read pixels as they are stored.

        Parameters
        ----------
        rows : slice or ndarray of int
            In any order, repeated or not, or a mask of all rows. Consecutive rows are read in one go, others each by
            itself, always in the order of the files.

        Returns
        -------
        ndarray
            (n,) of `cherenkov_pipeline.store.packing.pixel_dtype`, in the order of ``rows``.

        Raises
        ------
        IndexError
            If a row does not exist.
        UserError
            If a file has been cut off since it was opened.
        """
        rows = _row_numbers(rows, len(self))
        result = np.empty(len(rows), self.parts[0].dtype)
        places = None if (np.diff(rows) >= 0).all() else np.argsort(rows, kind="stable")
        ordered = rows if places is None else rows[places]
        limits = np.searchsorted(ordered, self._starts)
        for part, start, (first, last) in zip(self.parts, self._starts, pairwise(limits), strict=False):
            if first < last:
                _read_part(part, ordered[first:last] - start, result, places, first)
        return result

    def verify(self) -> None:
        """Compare pixels and events of all parts with their checksums; reads everything.

        Raises
        ------
        UserError
            If the content has changed since it was written.
        """
        for part in self.parts:
            part.verify()

    @cached_property
    def _pattern(self) -> StorePart:
        """Part whose columns are the store's."""
        return next((part for part in self.parts if part.n_images), self.parts[0])

    def _read_columns(self, names: Sequence[str]) -> dict[str, Column]:
        stored = [name for name in names if name != PRODUCTION]
        columns = {
            name: Column(np.empty(len(self), self._pattern.columns[name]), name, unit=self._pattern.units.get(name))
            for name in stored
        }
        for part, start in zip(self.parts, self._starts, strict=False):
            present = {name: _factor(part, self._pattern, name) for name in stored if name in part.columns.names}
            for name in stored:
                if name not in present:
                    columns[name][start : start + part.n_images] = _missing(columns[name].dtype)
            if present:
                for rows in part.events(list(present)):
                    for name, factor in present.items():
                        columns[name][start : start + len(rows)] = rows[name] if factor == 1 else rows[name] * factor
                    start += len(rows)
        if PRODUCTION in names:
            codes = np.arange(len(self.parts), dtype=np.int32)
            columns[PRODUCTION] = Column(np.repeat(codes, [part.n_images for part in self.parts]), PRODUCTION)
        for column in columns.values():
            column.flags.writeable = False  # all tables share them: a change would part labels from images
        return columns


def _check_company(parts: Sequence[StorePart]) -> None:
    """Refuse parts that do not make one store."""
    first, known = parts[0], {}
    for part in parts:
        for name, what in (
            ("telescope_type", "telescope type"),
            ("camera_fingerprint", "camera"),
            ("settings", "selection or split"),
        ):
            if getattr(part, name) != getattr(first, name):
                raise UserError(f"{part.path} does not fit {first.path}, it has another {what}: {REMEDY}.")
        if known.setdefault(part.fingerprint, part.path) is not part.path:
            raise UserError(f"{known[part.fingerprint]} and {part.path} hold the same events: take one of them out.")


def _common_array(parts: Sequence[StorePart]) -> np.ndarray:
    """Telescopes of all parts; refuses one at two places."""
    known: dict[int, tuple[np.void, Path]] = {}
    for part in parts:
        for telescope in part.telescopes:
            tel_id = int(telescope["tel_id"])
            other, path = known.setdefault(tel_id, (telescope, part.path))
            place, wanted = (np.array([one[axis] for axis in "xyz"]) for one in (telescope, other))
            if not np.allclose(place, wanted, rtol=0, atol=PLACE_TOLERANCE):
                raise UserError(
                    f"{path} and {part.path} are of different arrays: telescope {tel_id} stands at {_metres(wanted)}"
                    f" and at {_metres(place)}. Make an event store of each, or use single telescopes (mode: mono)."
                )
    return np.array([known[tel_id][0] for tel_id in sorted(known)], dtype=TELESCOPE_DTYPE)


def _metres(place: np.ndarray) -> str:
    return f"({', '.join(f'{value:g}' for value in place)}) m"


def _row_numbers(rows: slice | np.ndarray, n_rows: int) -> np.ndarray:
    """Rows as numpy understands them (slices, masks, negative numbers), as non-negative numbers."""
    if isinstance(rows, slice):
        return np.arange(*rows.indices(n_rows))
    rows = np.asarray(rows)
    if rows.dtype == bool:
        if len(rows) != n_rows:
            raise IndexError(f"a mask of {len(rows)} rows for {n_rows}")
        return np.flatnonzero(rows)
    rows = rows.astype(np.int64)
    if len(rows) and not -n_rows <= rows.min() <= rows.max() < n_rows:
        raise IndexError(f"rows {rows.min()} to {rows.max()} of {n_rows}")
    return np.where(rows < 0, rows + n_rows, rows)


def _read_part(part: StorePart, rows: np.ndarray, result: np.ndarray, places: np.ndarray | None, first: int) -> None:
    """Read rows of a part, in increasing order, to ``result[first:]``, or to ``result[places[first:]]``."""
    target = _bytes(result)  # numpy copies structured rows field by field, bytes at once
    limits = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    with part.reading_pixels() as read:
        for low, high in pairwise(limits):
            row = int(rows[low])
            if places is None:
                read(row, target[first + low : first + high])
            elif high - low == 1:
                read(row, target[places[first + low]])
            else:
                for begin in range(low, high, _RECORDS_AT_A_TIME):
                    end = min(begin + _RECORDS_AT_A_TIME, high)
                    records = np.empty((end - begin, target.shape[1]), np.uint8)
                    read(row + begin - low, records)
                    target[places[first + begin : first + end]] = records


def _bytes(records: np.ndarray) -> np.ndarray:
    """View records as rows of bytes."""
    return records.view(np.uint8).reshape(len(records), records.itemsize)


def _factor(part: StorePart, pattern: StorePart, name: str) -> float:
    """Give the factor that brings a column to the unit of the pattern."""
    unit, wanted = part.units.get(name), pattern.units.get(name)
    return 1 if unit == wanted or unit is None or wanted is None else u.Unit(unit).to(wanted)


def _missing(dtype: np.dtype) -> float:
    return {"f": np.nan, "i": -1}.get(dtype.kind, 0)
