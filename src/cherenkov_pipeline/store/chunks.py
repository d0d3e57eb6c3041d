"""Images of a DL1 file, in slices of constant memory.

Files are read through ctapipe (`ctapipe.io.TableLoader`), which undoes column transforms, NaN codes and units,
joins the tables and knows merged files. Each file is closed when its last slice was taken.
"""

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table

from cherenkov_pipeline.directions import POINTING
from cherenkov_pipeline.dl1.contents import EVENT, IMAGE, PRIMARY
from cherenkov_pipeline.dl1.telescopes import telescopes_by_type
from cherenkov_pipeline.errors import UserError, reason
from cherenkov_pipeline.ground import TELESCOPE
from cherenkov_pipeline.store.layout import TELESCOPE_DTYPE

if TYPE_CHECKING:
    from ctapipe.instrument import CameraGeometry, SubarrayDescription

    from cherenkov_pipeline.hdf5 import TableLoader

IMAGES = "/dl1/event/telescope/images"
PARAMETERS = "/dl1/event/telescope/parameters"

TRUTH = {
    "true_energy": "TeV",
    "true_alt": "deg",
    "true_az": "deg",
    "true_core_x": "m",
    "true_core_y": "m",
    "true_h_first_int": "m",
    "true_x_max": "g / cm2",
}
"""True values of the shower and their units; NaN where a file has none."""

PIXELS = ("image", "peak_time", "image_mask")

_ROWS_AT_A_TIME = 16_384
"""Rows of the joined tables: ctapipe's joins cost little in large slices."""

_CHUNK_CACHE = 2**22
"""Bytes that HDF5 keeps of each table: every chunk is read once, PyTables' 16 MiB of each table would be wasted."""


@dataclass(frozen=True)
class EventChunk:
    """Some images of one telescope type.

    Attributes
    ----------
    table : astropy.table.Table
        n rows: ``obs_id``, ``event_id``, ``tel_id``, true values (NaN, and -1 for ``true_shower_primary_id``, where
        the file has none), telescope pointing, the telescope's place, DL1 image parameters under ctapipe's names.
    image : ndarray
        (n, n_pixels) float32, charge in photo-electrons.
    peak_time : ndarray
        (n, n_pixels) float32, ns.
    image_mask : ndarray
        (n, n_pixels) bool, pixels that survived the cleaning.
    """

    table: Table
    image: np.ndarray
    peak_time: np.ndarray
    image_mask: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, rows: slice | np.ndarray) -> "EventChunk":
        """Rows by slice, mask or indices."""
        return EventChunk(self.table[rows], self.image[rows], self.peak_time[rows], self.image_mask[rows])

    def reorder_pixels(self, order: np.ndarray) -> "EventChunk":
        """Take pixel ``order[i]`` as pixel i."""
        return replace(
            self,
            image=self.image[:, order],
            peak_time=self.peak_time[:, order],
            image_mask=self.image_mask[:, order],
        )


def cameras(path: str | os.PathLike) -> dict[str, "CameraGeometry"]:
    """Camera of each telescope type that has images in a DL1 file, in their pixel order (camera frame, metres).

    Raises
    ------
    UserError
        If the file is no DL1 file, or has no images or image parameters.
    """
    with _open(path) as loader:
        return {
            name: loader.subarray.tel[tel_ids[0]].camera.geometry
            for name, tel_ids in telescopes_by_type(loader.subarray).items()
            if _with_images(loader, tel_ids, Path(path))
        }


def telescopes(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Telescopes of each type in a DL1 file's subarray, with images or without.

    Returns
    -------
    dict
        Telescope type -> records of `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`, by ``tel_id``.

    Raises
    ------
    UserError
        If the file is no DL1 file.
    """
    with _open(path) as loader:
        return {name: telescope_places(loader.subarray, name) for name in telescopes_by_type(loader.subarray)}


def telescope_places(subarray: "SubarrayDescription", telescope_type: str) -> np.ndarray:
    """Telescopes of one type in a subarray: records of `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`."""
    tel_ids = sorted(telescopes_by_type(subarray)[telescope_type])
    places = [(tel_id, *subarray.positions[tel_id].to_value("m")) for tel_id in tel_ids]
    return np.array(places, dtype=TELESCOPE_DTYPE)


def iter_chunks(path: str | os.PathLike, telescope_type: str, chunk_size: int = 2048) -> Iterator[EventChunk]:
    """Read the images of one telescope type in slices.

    Parameters
    ----------
    path : path-like
        DL1 file with images and parameters.
    telescope_type : str
        ctapipe's name of the type, such as ``SST_1M_DigiCam``; see `cameras`.
    chunk_size : int
        Greatest number of images in a chunk. All telescopes of an event are in the same chunk, which is therefore
        larger where a single event has more images than that.

    Yields
    ------
    EventChunk
        In the order of the file, sorted by telescope within an event; never empty.

    Raises
    ------
    UserError
        If the file is no DL1 file, has no images or parameters, or not this telescope type.
    """
    for chunks in iter_array_chunks(path, [telescope_type], chunk_size):
        yield chunks[telescope_type]


def iter_array_chunks(
    path: str | os.PathLike, telescope_types: Sequence[str], chunk_size: int = 2048
) -> Iterator[dict[str, EventChunk]]:
    """Read the images of several telescope types in slices of the same events.

    Parameters
    ----------
    path : path-like
        DL1 file with images and parameters.
    telescope_types : sequence of str
        See `iter_chunks`.
    chunk_size : int
        Greatest number of images in a slice, of all types together. All images of an event are in the same one, which
        is therefore larger where a single event has more images than that.

    Yields
    ------
    dict
        Telescope type -> its images, in the order of the file, sorted by telescope within an event; without types that
        have none in this slice.

    Raises
    ------
    UserError
        As `iter_chunks`.
    """
    with open_images(path, *telescope_types) as images:
        for table in images.tables():
            for rows in _whole_events(table, chunk_size):
                events, chunks = table[rows], {}
                for telescope_type, tel_ids in images.tel_ids.items():
                    own = events[np.isin(events["tel_id"], tel_ids)] if len(images.tel_ids) > 1 else events
                    if len(own):
                        chunks[telescope_type] = EventChunk(own, *images.read(own[[*IMAGE]]))
                yield chunks


@contextmanager
def open_images(path: str | os.PathLike, *telescope_types: str) -> Iterator["DL1Images"]:
    """Open the images of some telescope types in a DL1 file; parameters as those of `iter_array_chunks`."""
    with _open(path) as loader:
        types = telescopes_by_type(loader.subarray)
        for name in telescope_types:
            if name not in types:
                raise UserError(f"{path} has no telescopes of type {name!r}, only {', '.join(types)}.")
        tel_ids = {name: _with_images(loader, types[name], Path(path)) for name in telescope_types}
        yield DL1Images(loader, tel_ids, Path(path))


class DL1Images:
    """Tables and images of some telescope types in an open DL1 file, by `open_images`.

    ctapipe's loader joins the tables; images are read past it, by ctapipe as well, since its joins would copy them
    several times.

    Attributes
    ----------
    tel_ids : dict
        Telescope type -> its telescopes that have any image.
    """

    def __init__(self, loader: "TableLoader", tel_ids: Mapping[str, Sequence[int]], path: Path):
        self._loader, self.tel_ids, self._path = loader, tel_ids, path
        self._all = sorted(tel_id for own in tel_ids.values() for tel_id in own)
        self._next_row = dict.fromkeys(self._all, 0)

    @property
    def telescopes(self) -> np.ndarray:
        """All telescopes of these types in the subarray: `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`."""
        return np.concatenate([telescope_places(self._loader.subarray, name) for name in self.tel_ids])

    def tables(self) -> Iterator[Table]:
        """Give the table of `EventChunk` in slices of whole events, in the order of the file; never empty."""
        if not self._all:
            return
        events = self._loader.read_telescope_events_chunked(
            max(1, _ROWS_AT_A_TIME // len(self._all)),
            telescopes=self._all,
            dl1_images=False,
            dl1_parameters=True,
            dl1_muons=False,
            dl2=False,
            simulated=True,
            true_images=False,
            true_parameters=False,
            instrument=False,
            observation_info=False,
            pointing=True,
        )
        for index in range(len(events)):
            if index:
                # tables of astropy refer to themselves; Python looks for such after so many objects, not bytes
                gc.collect()
            try:
                table = events[index].data
            except ValueError as error:  # ctapipe: tables of different lengths, or without common rows
                raise self._unfit(reason(error)) from error
            if len(table):
                yield self._with_places(plain_events(table))

    def _with_places(self, events: Table) -> Table:
        """Add the place of each image's telescope: ctapipe's join would copy all columns."""
        telescopes = np.sort(self.telescopes, order="tel_id")
        rows = telescopes[np.searchsorted(telescopes["tel_id"], events["tel_id"])]
        for name, axis in zip(TELESCOPE, "xyz", strict=True):
            events[name] = rows[axis] << u.m
        return events

    def read(self, keys: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read the next images of the file.

        Parameters
        ----------
        keys : astropy.table.Table
            ``obs_id``, ``event_id``, ``tel_id`` of the n images, of one telescope type, that follow those of the last
            call.

        Returns
        -------
        image, peak_time : ndarray
            (n, n_pixels) float32, p.e. and ns.
        image_mask : ndarray
            (n, n_pixels) bool.

        Raises
        ------
        UserError
            If the file has others there.
        """
        tel_ids = np.asarray(keys["tel_id"])
        found: tuple[np.ndarray, ...] | None = None
        for tel_id in np.unique(tel_ids):
            places = np.flatnonzero(tel_ids == tel_id)
            images = self._read_telescope(int(tel_id), keys[places])
            if found is None:
                shape = (len(keys), images[0].shape[1])
                found = tuple(np.empty(shape, dtype) for dtype in (np.float32, np.float32, bool))
            for target, values in zip(found, images, strict=True):
                target[places] = values
        return found

    def _read_telescope(self, tel_id: int, keys: Table) -> list[np.ndarray]:
        from cherenkov_pipeline.hdf5 import read_table

        start = self._next_row[tel_id]
        self._next_row[tel_id] = stop = start + len(keys)
        table = read_table(self._loader.h5file, f"{IMAGES}/tel_{tel_id:03d}", start=start, stop=stop)
        missing = [name for name in PIXELS if name not in table.colnames]
        if missing:
            raise UserError(f"{self._path}: its images have no {missing[0]}, make it again with images and parameters.")
        if len(table) != len(keys) or any((table[name] != keys[name]).any() for name in EVENT):
            raise self._unfit(f"images of telescope {tel_id} are not those of its parameters")
        return [np.asarray(table[name]) for name in PIXELS]

    def _unfit(self, reason: str) -> UserError:
        return UserError(f"{self._path} has tables that do not fit together: {reason}")


@contextmanager
def _open(path: str | os.PathLike) -> Iterator["TableLoader"]:
    from cherenkov_pipeline.hdf5 import TableLoader, tables

    if not Path(path).is_file():
        raise UserError(f"{path} does not exist: give a DL1 file.")
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tables.open_file(str(path), chunk_cache_size=_CHUNK_CACHE))
            loader = TableLoader(h5file=file, focal_length_choice="EQUIVALENT")
        except Exception as error:  # PyTables, ctapipe and HDF5 raise many kinds for a file that is not theirs
            raise UserError(f"{path} is no DL1 file of ctapipe's data model: {reason(error)}") from error
        yield loader


def _with_images(loader: "TableLoader", tel_ids: Sequence[int], path: Path) -> list[int]:
    """Telescopes that have any image; others have empty tables, or none at all."""
    for group, what in ((IMAGES, "images"), (PARAMETERS, "image parameters")):
        if group not in loader.h5file.root:
            raise UserError(f"{path} has no DL1 {what} ({group}): make it again with {what}.")

    def n_rows(table: str) -> int:
        return loader.h5file.root[table].nrows if table in loader.h5file.root else 0

    return [tel_id for tel_id in tel_ids if all(n_rows(f"{group}/tel_{tel_id:03d}") for group in (IMAGES, PARAMETERS))]


def plain_events(table: Table) -> Table:
    """Take the columns of one number a row, without masks; true values and pointing also where the file has none."""
    columns = {
        name: _filled(column)
        for name, column in table.columns.items()
        # suffix _mono: the telescope's own copy of a column that the array has as well
        if len(column.shape) == 1 and not name.endswith("_mono")
    }
    events = Table(columns, copy=False)
    for name, unit in (TRUTH | dict.fromkeys(POINTING, "rad")).items():
        if name not in events.colnames:
            events[name] = np.full(len(table), np.nan)
            events[name].unit = unit
    if PRIMARY not in events.colnames:
        events[PRIMARY] = np.full(len(table), -1)
    return events


def _whole_events(table: Table, n_rows: int) -> Iterator[slice]:
    """Cut a table between events, into slices of at most ``n_rows`` rows where events are not larger."""
    new_event = np.diff(table["obs_id"], prepend=0) != 0
    new_event |= np.diff(table["event_id"], prepend=0) != 0
    new_event[0] = True
    limits = np.append(np.flatnonzero(new_event), len(table))
    first = 0
    while limits[first] < len(table):
        last = max(first + 1, np.searchsorted(limits, limits[first] + n_rows, side="right") - 1)
        yield slice(limits[first], limits[last])
        first = last


def _filled(column: Any) -> Any:
    """Without a mask: joins leave one where a row had no partner. Missing numbers are NaN or -1."""
    if not isinstance(column, MaskedColumn):
        return column
    if column.dtype.kind == "f":
        return column.filled(np.nan)
    return column.filled(False if column.dtype.kind == "b" else -1 if column.dtype.kind == "i" else 0)
