"""One file of an event store, checked on opening."""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from astropy.table import Column, Table

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.layout import CAMERA, EVENTS, LAYOUT_VERSION, PIXELS, PROVENANCE, TELESCOPES
from cherenkov_pipeline.store.packing import pixel_dtype

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry

REMEDY = "make the event store again (kedro run --pipeline=data_processing)"

_EVENTS_AT_A_TIME = 16_384
_PIXELS_AT_A_TIME = 512


@dataclass(frozen=True)
class StorePart:
    """A part, by `open_part`: what is known of it without reading its events. No file stays open.

    Attributes
    ----------
    path : pathlib.Path
    fingerprint : str
        Of what it was made from.
    telescope_type, camera_fingerprint, settings : str
        What the parts of a store share; ``settings`` is the fingerprint of selection and split.
    n_images : int
    telescopes : ndarray
        Records of `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`: those of this type in the file's subarray.
    columns : numpy.dtype
        Of a row of events.
    units : dict of str to str
        Of the columns that have one.
    dtype : numpy.dtype
        Of a record of pixels.
    offset : int
        Of the first record in the file, in bytes.
    """

    path: Path
    fingerprint: str
    telescope_type: str
    camera_fingerprint: str
    settings: str
    n_images: int
    telescopes: np.ndarray = field(repr=False, compare=False)
    columns: np.dtype
    units: dict[str, str] = field(repr=False)
    dtype: np.dtype = field(repr=False)
    offset: int = field(repr=False)

    @contextmanager
    def reading_pixels(self) -> Iterator[Callable[[int, np.ndarray], None]]:
        """Give a function ``read(row, out)``: fills the contiguous bytes ``out`` with the records from ``row`` on.

        Read, not mapped: pages of a map count as memory of the process, and a file that was cut off would end it.
        """
        descriptor = os.open(self.path, os.O_RDONLY)

        def read(row: int, out: np.ndarray) -> None:
            view, position = memoryview(out).cast("B"), self.offset + row * self.dtype.itemsize
            while len(view):
                n_bytes = os.preadv(descriptor, [view], position)
                if not n_bytes:
                    raise UserError(f"{self.path} is cut off: {REMEDY}.")
                view, position = view[n_bytes:], position + n_bytes

        try:
            yield read
        finally:
            os.close(descriptor)

    def events(self, names: Sequence[str]) -> Iterator[np.ndarray]:
        """Give some columns of the events in slices: structured arrays."""
        with h5py.File(self.path) as file:
            dataset = file[EVENTS]
            for start in range(0, self.n_images, _EVENTS_AT_A_TIME):
                yield dataset[start : start + _EVENTS_AT_A_TIME][list(names)]

    @property
    def provenance(self) -> dict[str, Any]:
        """Input, cuts, counts in and out, versions."""
        with h5py.File(self.path) as file:
            return json.loads(file[PROVENANCE].asstr()[()])

    @property
    def camera(self) -> "CameraGeometry":
        """Geometry of the camera in the pixels' order (camera frame)."""
        import astropy.units as u
        from ctapipe.coordinates import CameraFrame
        from ctapipe.instrument import CameraGeometry

        with h5py.File(self.path) as file:
            group = file[CAMERA]
            columns = [Column(group[name][...], name=name, unit=group[name].attrs["unit"] or None) for name in group]
            meta = dict(group.attrs)
        geometry = CameraGeometry.from_table(Table(columns, meta=meta))
        geometry.frame = CameraFrame(focal_length=u.Quantity(meta["focal_length"], "m"), rotation=geometry.cam_rotation)
        return geometry

    def verify(self) -> None:
        """Compare pixels and events with their checksums; reads the whole file.

        Raises
        ------
        UserError
            If the content has changed since it was written.
        """
        with h5py.File(self.path) as file:
            wanted = {name: file[name].attrs["crc32"] for name in (PIXELS, EVENTS)}
        found = {PIXELS: 0, EVENTS: 0}
        for rows in self.events(self.columns.names):
            found[EVENTS] = zlib.crc32(np.ascontiguousarray(rows), found[EVENTS])
        with self.reading_pixels() as read:
            for start in range(0, self.n_images, _PIXELS_AT_A_TIME):
                records = np.empty(min(_PIXELS_AT_A_TIME, self.n_images - start), self.dtype)
                read(start, records.view(np.uint8))
                found[PIXELS] = zlib.crc32(records.view(np.uint8), found[PIXELS])
        for name, checksum in found.items():
            if checksum != wanted[name]:
                raise UserError(f"{self.path} is damaged, /{name} is not what was written: {REMEDY}.")


def open_part(path: str | os.PathLike) -> StorePart:
    """Check a part and tell what is in it.

    Raises
    ------
    UserError
        If the file is missing, no part of a store, cut off, of another version of the layout, or its rows do not fit
        together.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: {REMEDY}.")
    try:
        file = h5py.File(path)
    except OSError as error:
        raise UserError(f"{path} is cut off or no HDF5 file ({error}): {REMEDY}.") from error
    with file:
        _check_layout(file)
        attributes, events, pixels = file.attrs, file[EVENTS], file[PIXELS]
        n_images = int(attributes["n_images"])
        for dataset in (events, pixels):
            if dataset.shape != (n_images,):
                raise UserError(
                    f"{path} is damaged, {dataset.name} has {len(dataset)} rows instead of {n_images}: {REMEDY}."
                )
        offset = pixels.id.get_offset() or 0  # an empty dataset has no place
        if pixels.dtype != pixel_dtype(len(file[f"{CAMERA}/pix_id"])) or pixels.chunks or (n_images and not offset):
            raise UserError(f"{path} is damaged, /{PIXELS} is not laid out as it should be: {REMEDY}.")
        if offset + pixels.nbytes > path.stat().st_size:
            raise UserError(f"{path} is cut off: {REMEDY}.")
        return StorePart(
            path=path,
            fingerprint=attributes["fingerprint"],
            telescope_type=attributes["telescope_type"],
            camera_fingerprint=attributes["camera_fingerprint"],
            settings=attributes["settings"],
            n_images=n_images,
            telescopes=file[TELESCOPES][...],
            columns=events.dtype,
            units=json.loads(events.attrs["units"]),
            dtype=pixels.dtype,
            offset=offset,
        )


def _check_layout(file: h5py.File) -> None:
    version = file.attrs.get("layout_version")
    if version is None:
        raise UserError(f"{file.filename} is no complete event store: {REMEDY}.")
    if version != LAYOUT_VERSION:
        raise UserError(f"{file.filename} has layout {version}, this program reads {LAYOUT_VERSION}: {REMEDY}.")
    missing = [name for name in (PIXELS, EVENTS, TELESCOPES, CAMERA, PROVENANCE) if name not in file]
    if missing:
        raise UserError(f"{file.filename} is damaged, /{missing[0]} is missing: {REMEDY}.")
