"""Write a store file, chunk after chunk."""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import astropy.units as u
import h5py
import numpy as np
from astropy.table import Column, Table

from cherenkov_pipeline.dl1.cameras import camera_fingerprint
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
from cherenkov_pipeline.store.packing import PackedPixels

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry


class StoreWriter:
    """Store file that grows.

    Parameters
    ----------
    path : path-like
        New file.
    """

    def __init__(self, path: str | os.PathLike):
        self._file = h5py.File(path, "w")
        self._checksums: dict[str, int] = {}
        self.n_images = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, events: Table, pixels: PackedPixels) -> None:
        """Add images.

        Parameters
        ----------
        events : astropy.table.Table
            n rows. The columns of the first call are the store's: later ones are converted to its units and types,
            what is missing is NaN, -1 or False, what is new is left out.
        pixels : PackedPixels
            n images.
        """
        columns = _numeric(events)
        if EVENTS not in self._file:
            self._file.create_group(EVENTS, track_order=True)  # columns stay in the order of the DL1 files
        else:
            columns = {name: _like(dataset, columns.get(name), len(events)) for name, dataset in self._events()}
        for name, column in columns.items():
            dataset = self._grow(f"{EVENTS}/{name}", np.asarray(column))
            dataset.attrs.setdefault("unit", "" if column.unit is None else column.unit.to_string("vounit"))
        for name in PIXEL_DATASETS:
            self._grow(f"{IMAGES}/{name}", getattr(pixels, name))
        self.n_images += len(pixels)

    def read_back(self, column: str) -> np.ndarray:
        """One column of all images so far."""
        return self._file[f"{EVENTS}/{column}"][...]

    def finish(
        self,
        fingerprint: str,
        telescope_type: str,
        camera: "CameraGeometry",
        productions: Sequence[str],
        provenance: Mapping[str, Any],
    ) -> None:
        """Write what makes the file a complete store."""
        for path, checksum in self._checksums.items():
            self._file[path].attrs["crc32"] = checksum
        _write_camera(self._file.create_group(CAMERA), camera)
        self._file.create_dataset(PRODUCTIONS, data=list(productions), dtype=h5py.string_dtype())
        self._file.create_dataset(PROVENANCE, data=json.dumps(provenance), dtype=h5py.string_dtype())
        self._file.attrs.update(
            layout_version=LAYOUT_VERSION,
            fingerprint=fingerprint,
            telescope_type=telescope_type,
            camera_fingerprint=camera_fingerprint(camera),
            n_images=self.n_images,
        )

    def _events(self) -> list[tuple[str, h5py.Dataset]]:
        return list(self._file[EVENTS].items())

    def _grow(self, path: str, rows: np.ndarray) -> h5py.Dataset:
        rows = np.ascontiguousarray(rows)
        if path not in self._file:
            per_chunk = ROWS_PER_CHUNK if rows.ndim > 1 else 16 * ROWS_PER_CHUNK
            self._file.create_dataset(
                path,
                shape=(0, *rows.shape[1:]),
                maxshape=(None, *rows.shape[1:]),
                chunks=(per_chunk, *rows.shape[1:]),
                dtype=rows.dtype,
            )
        dataset = self._file[path]
        dataset.resize(self.n_images + len(rows), axis=0)
        dataset[self.n_images :] = rows
        self._checksums[path] = zlib.crc32(rows, self._checksums.get(path, 0))
        return dataset


def _numeric(events: Table) -> dict[str, Column]:
    return {
        name: column
        for name, column in events.columns.items()
        if isinstance(column, Column) and column.ndim == 1 and column.dtype.kind in "iufb"
    }


def _like(dataset: h5py.Dataset, column: Column | None, n_rows: int) -> Column:
    """Convert a column to the dataset's unit and type."""
    unit = u.Unit(dataset.attrs["unit"]) if dataset.attrs["unit"] else None
    if column is None:
        missing = {"f": np.nan, "i": -1}.get(dataset.dtype.kind, 0)
        return Column(np.full(n_rows, missing, dtype=dataset.dtype), unit=unit)
    values = np.asarray(column)
    if unit is not None and column.unit is not None and column.unit != unit:
        values = column.unit.to(unit, values)
    return Column(values.astype(dataset.dtype), unit=unit)


def _write_camera(group: h5py.Group, camera: "CameraGeometry") -> None:
    table = camera.to_table()
    for name, column in table.columns.items():
        dataset = group.create_dataset(name, data=np.asarray(column))
        dataset.attrs["unit"] = "" if column.unit is None else column.unit.to_string("vounit")
    group.attrs.update(table.meta)
    group.attrs["focal_length"] = camera.frame.focal_length.to_value("m")
