"""The event store, opened for reading."""

import json
import os
import threading
import zlib
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from astropy.table import Column, Table

from cherenkov_pipeline.dl1.contents import PARTICLES
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.chunks import PRIMARY, EventChunk
from cherenkov_pipeline.store.layout import (
    CAMERA,
    EVENTS,
    IMAGES,
    LAYOUT_VERSION,
    PIXEL_DATASETS,
    PRODUCTIONS,
    PROVENANCE,
    ROWS_PER_CHUNK,
)
from cherenkov_pipeline.store.packing import PackedPixels, unpack
from cherenkov_pipeline.store.split import SPLITS

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry


class EventStore:
    """Images of one telescope type with their parameters, labels, keys and split, in one HDF5 file.

    The file is opened when it is first needed and in each process anew; the store itself is a small handle that
    can be sent to other processes.

    Parameters
    ----------
    path : path-like
        File made by `cherenkov_pipeline.store.build.plan_store`.

    Raises
    ------
    UserError
        If the file is missing, no store, cut off, or of another version of the layout.

    Examples
    --------
    >>> store = EventStore("digicam.store.h5")  # doctest: +SKIP
    >>> gammas = store.indices(split="train", particles=("gamma",))  # doctest: +SKIP
    >>> store.read(gammas[:100]).image.shape  # doctest: +SKIP
    (100, 1296)
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._opened: h5py.File | None = None
        self._lock = threading.RLock()
        attributes = self._check()
        self.fingerprint: str = attributes["fingerprint"]
        self.telescope_type: str = attributes["telescope_type"]
        self.camera_fingerprint: str = attributes["camera_fingerprint"]
        self.n_pixels = int(self._file[f"{IMAGES}/image"].shape[1])
        self._n_images = int(attributes["n_images"])

    def __reduce__(self) -> tuple[type["EventStore"], tuple[Path]]:
        return EventStore, (self.path,)

    def __len__(self) -> int:
        return self._n_images

    def __repr__(self) -> str:
        parts = ", ".join(f"{(self.table['split'] == code).sum():,} {name}" for code, name in enumerate(SPLITS))
        return f"<EventStore {self.path.name}: {len(self):,} images of {self.telescope_type} ({parts})>"

    @cached_property
    def table(self) -> Table:
        """One row an image: keys, ``production``, ``shower``, ``split``, true values, pointing, image parameters."""
        with self._lock:
            return Table([self._column(name) for name in self._file[EVENTS]], copy=False)

    @cached_property
    def productions(self) -> tuple[str, ...]:
        """Names of the DL1 files; column ``production`` holds positions in this tuple."""
        with self._lock:
            return tuple(self._file[PRODUCTIONS].asstr()[...])

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Inputs, cuts, counts in and out, versions."""
        with self._lock:
            return json.loads(self._file[PROVENANCE].asstr()[()])

    @cached_property
    def camera(self) -> "CameraGeometry":
        """Geometry of the camera in the images' pixel order (camera frame)."""
        import astropy.units as u
        from ctapipe.coordinates import CameraFrame
        from ctapipe.instrument import CameraGeometry

        with self._lock:
            group = self._file[CAMERA]
            columns = [Column(group[name][...], name=name, unit=group[name].attrs["unit"] or None) for name in group]
            meta = dict(group.attrs)
        geometry = CameraGeometry.from_table(Table(columns, meta=meta))
        geometry.frame = CameraFrame(focal_length=u.Quantity(meta["focal_length"], "m"), rotation=geometry.cam_rotation)
        return geometry

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
            chosen &= np.asarray(self.table["split"]) == SPLITS.index(split)
        if particles is not None:
            unknown = [name for name in particles if isinstance(name, str) and name not in PARTICLES]
            if unknown:
                raise UserError(f"There is no particle {unknown[0]!r}: choose from {', '.join(PARTICLES)}.")
            numbers = [PARTICLES[name] if isinstance(name, str) else name for name in particles]
            chosen &= np.isin(np.asarray(self.table[PRIMARY]), numbers)
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
        table = self.table if columns is None else self.columns(columns)
        return EventChunk(table[rows], *unpack(self.read_packed(rows)))

    def columns(self, names: Sequence[str]) -> Table:
        """Table of some columns of all rows, without a copy.

        Raises
        ------
        UserError
            If there is no such column.
        """
        missing = [name for name in names if name not in self.table.colnames]
        if missing:
            raise UserError(f"{self.path} has no column {missing[0]!r}; its columns: {', '.join(self.table.colnames)}.")
        return Table({name: self.table[name] for name in names}, copy=False)

    def read_packed(self, rows: slice | np.ndarray) -> PackedPixels:
        """Read pixels as they are stored (a quarter to a half of the memory)."""
        with self._lock:
            return PackedPixels(*(_take(self._file[f"{IMAGES}/{name}"], rows) for name in PIXEL_DATASETS))

    def verify(self) -> None:
        """Compare every dataset with its checksum; reads the whole file.

        Raises
        ------
        UserError
            If the content has changed since it was written.
        """
        with self._lock:
            for group in (IMAGES, EVENTS):
                for name, dataset in self._file[group].items():
                    checksum = 0
                    for start in range(0, len(dataset), 16 * ROWS_PER_CHUNK):
                        checksum = zlib.crc32(dataset[start : start + 16 * ROWS_PER_CHUNK], checksum)
                    if checksum != dataset.attrs["crc32"]:
                        raise UserError(
                            f"{self.path} is damaged, /{group}/{name} is not what was written: make it anew."
                        )

    @property
    def _file(self) -> h5py.File:
        if self._opened is None:
            self._opened = h5py.File(self.path, "r")
        return self._opened

    def _column(self, name: str) -> Column:
        dataset = self._file[f"{EVENTS}/{name}"]
        return Column(dataset[...], name=name, unit=dataset.attrs["unit"] or None)

    def _check(self) -> dict[str, Any]:
        """Attributes of the file, if all is there that should be."""
        if not self.path.is_file():
            raise UserError(f"{self.path} does not exist: make the event store first.")
        try:
            attributes = dict(self._file.attrs)
        except OSError as error:
            raise UserError(f"{self.path} is cut off or no HDF5 file ({error}): make the event store again.") from error
        version = attributes.get("layout_version")
        if version is None:
            raise UserError(f"{self.path} is no complete event store: make it again.")
        if version != LAYOUT_VERSION:
            raise UserError(f"{self.path} has layout {version}, this program reads {LAYOUT_VERSION}: make it again.")
        missing = [name for name in (IMAGES, EVENTS, CAMERA, PRODUCTIONS, PROVENANCE) if name not in self._file]
        missing += [f"{IMAGES}/{name}" for name in PIXEL_DATASETS if f"{IMAGES}/{name}" not in self._file]
        if missing:
            raise UserError(f"{self.path} is damaged, /{missing[0]} is missing: make it again.")
        for group in (IMAGES, EVENTS):
            for name, dataset in self._file[group].items():
                if len(dataset) != attributes["n_images"]:
                    raise UserError(
                        f"{self.path} is damaged, /{group}/{name} has {len(dataset)} rows "
                        f"instead of {attributes['n_images']}: make it again."
                    )
        return attributes


def _take(dataset: h5py.Dataset, rows: slice | np.ndarray) -> np.ndarray:
    """Rows of a dataset: each HDF5 chunk that holds any of them is read once, in one slice."""
    if isinstance(rows, slice):
        return dataset[rows]
    rows = np.arange(len(dataset))[rows]  # masks and negative numbers as numpy reads them
    unique, inverse = np.unique(rows, return_inverse=True)
    result = np.empty((len(unique), *dataset.shape[1:]), dataset.dtype)
    starts = np.flatnonzero(np.diff(unique // dataset.chunks[0], prepend=-1))
    for first, last in pairwise([*starts, len(unique)]):
        low, high = unique[first], unique[last - 1] + 1
        result[first:last] = dataset[low:high][unique[first:last] - low]
    return result if np.array_equal(unique, rows) else result[inverse]
