"""Write a part of an event store: first its events, slice after slice, then their pixels."""

import json
import os
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np
from astropy.table import Column, Table

from cherenkov_pipeline import fingerprints
from cherenkov_pipeline.dl1.cameras import camera_fingerprint
from cherenkov_pipeline.store.layout import (
    CAMERA,
    EVENTS,
    LAYOUT_VERSION,
    PAGE,
    PIXELS,
    PROVENANCE,
    ROWS_PER_CHUNK,
    TELESCOPES,
)
from cherenkov_pipeline.store.packing import pixel_dtype

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry


class StoreWriter:
    """File of a part in the making.

    Parameters
    ----------
    path : path-like
        New file.
    """

    def __init__(self, path: str | os.PathLike):
        self._file = h5py.File(path, "w", alignment_threshold=PAGE, alignment_interval=PAGE)
        self._checksums = {EVENTS: 0, PIXELS: 0}
        self._n_pixel_rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def n_images(self) -> int:
        """Rows of events so far."""
        return len(self._file[EVENTS]) if EVENTS in self._file else 0

    def append_events(self, events: Table) -> None:
        """Add rows of keys, labels and parameters.

        Parameters
        ----------
        events : astropy.table.Table
            Any number of rows, also none; the same columns at each call. Columns that are not one-dimensional numbers
            are left out, float64 becomes float32.
        """
        columns = _numeric(events)
        dtype = np.dtype([(name, _stored_type(column.dtype)) for name, column in columns.items()])
        if EVENTS not in self._file:
            dataset = self._file.create_dataset(EVENTS, (0,), dtype, maxshape=(None,), chunks=(ROWS_PER_CHUNK,))
            units = {name: column.unit.to_string("vounit") for name, column in columns.items() if column.unit}
            dataset.attrs["units"] = json.dumps(units)
        rows = np.empty(len(events), dtype)
        for name, column in columns.items():
            rows[name] = column
        dataset = self._file[EVENTS]
        dataset.resize(self.n_images + len(rows), axis=0)
        dataset[len(dataset) - len(rows) :] = rows
        self._checksums[EVENTS] = zlib.crc32(rows, self._checksums[EVENTS])

    def append_pixels(self, records: np.ndarray) -> None:
        """Add pixels, when all events are there.

        Parameters
        ----------
        records : ndarray
            (n,) of `cherenkov_pipeline.store.packing.pixel_dtype`, of the next n events.
        """
        if PIXELS not in self._file:
            self._file.create_dataset(PIXELS, (self.n_images,), records.dtype)
        start = self._n_pixel_rows
        self._n_pixel_rows += len(records)
        self._file[PIXELS][start : self._n_pixel_rows] = records
        self._checksums[PIXELS] = zlib.crc32(records.view(np.uint8), self._checksums[PIXELS])

    def read_back(self, column: str) -> np.ndarray:
        """One column of all events."""
        return self._file[EVENTS].fields(column)[...]

    def finish(
        self,
        fingerprint: str,
        telescope_type: str,
        camera: "CameraGeometry",
        telescopes: np.ndarray,
        provenance: Mapping[str, Any],
    ) -> None:
        """Write what makes the file complete.

        Parameters
        ----------
        fingerprint : str
            Of what the part was made from.
        telescope_type : str
        camera : ctapipe.instrument.CameraGeometry
            In the pixels' order, camera frame with focal length.
        telescopes : ndarray
            Records of `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`: all telescopes of this type in the subarray.
        provenance : mapping
            Plain values; ``selection`` and ``split`` are what the parts of a store must share.
        """
        if self._n_pixel_rows != self.n_images:
            raise ValueError(f"pixels of {self._n_pixel_rows} of {self.n_images} events were written")
        if not self.n_images:
            self.append_pixels(np.empty(0, pixel_dtype(camera.n_pixels)))
        for name, checksum in self._checksums.items():
            self._file[name].attrs["crc32"] = checksum
        _write_camera(self._file.create_group(CAMERA), camera)
        self._file.create_dataset(TELESCOPES, data=telescopes)
        self._file.create_dataset(PROVENANCE, data=json.dumps(provenance), dtype=h5py.string_dtype())
        self._file.attrs.update(
            layout_version=LAYOUT_VERSION,
            fingerprint=fingerprint,
            telescope_type=telescope_type,
            camera_fingerprint=camera_fingerprint(camera),
            settings=settings_fingerprint(provenance),
            n_images=self.n_images,
        )


def settings_fingerprint(provenance: Mapping[str, Any]) -> str:
    """Fingerprint of what the parts of a store must share: selection and split."""
    return fingerprints.fingerprint(provenance.get("selection"), provenance.get("split"))


def _numeric(events: Table) -> dict[str, Column]:
    return {
        name: column
        for name, column in events.columns.items()
        if isinstance(column, Column) and column.ndim == 1 and column.dtype.kind in "iufb"
    }


def _stored_type(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float32) if dtype == np.float64 else dtype


def _write_camera(group: h5py.Group, camera: "CameraGeometry") -> None:
    table = camera.to_table()
    for name, column in table.columns.items():
        dataset = group.create_dataset(name, data=np.asarray(column))
        dataset.attrs["unit"] = "" if column.unit is None else column.unit.to_string("vounit")
    group.attrs.update(table.meta)
    group.attrs["focal_length"] = camera.frame.focal_length.to_value("m")
