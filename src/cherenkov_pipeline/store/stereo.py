"""Batches of events seen by several telescopes, of one type or of several."""

from collections.abc import Mapping, Sequence

import astropy.units as u
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.directions import POINTING
from cherenkov_pipeline.dl1.contents import IMAGE, PRODUCTION_EVENT
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.ground import TELESCOPE, pointing_axes
from cherenkov_pipeline.store.augmentation import Augmentation
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.inputs import InputMaker
from cherenkov_pipeline.store.joined import JoinedStores
from cherenkov_pipeline.store.joined_inputs import JoinedMaker, joined_maker
from cherenkov_pipeline.store.layout import TELESCOPE_DTYPE
from cherenkov_pipeline.store.parameters import AugmentationParameters

POSITION_UNIT = 100.0
"""m: networks read numbers of order one."""


class StereoBatches(Batches):
    """Batches ``(inputs, targets)`` of events, with a place for each telescope of the subarray.

    The inputs of `~cherenkov_pipeline.store.batches.Batches` have a telescope axis, (n, n_telescopes, ...), and two
    more come with them:

    - ``telescopes``: (n, n_telescopes), 1 where the telescope has an image in ``indices``, else 0, and all its other
      inputs are 0;
    - ``positions``: (n, n_telescopes, 3), in units of `POSITION_UNIT`, of all telescopes, present or not, in the frame
      of the event's pointing, see `pointing_positions`.

    Of several telescope types there is a third, ``telescope_types``: (n, n_telescopes, n_types), 1 in the place of each
    telescope's type, present or not.

    The telescopes are those of `~cherenkov_pipeline.store.events.EventStore.telescopes`, by ``tel_id``. Labels are
    those of the event; augmentation other than night sky is refused, and any of several types. A split by shower stays
    one: all images of a shower are on one side of it.

    Parameters
    ----------
    store : EventStore or JoinedStores
    indices : array-like of int
        Rows of the store; those of one event belong together, wherever they stand.
    parameters : InputParameters
        ``min_telescopes``: events with fewer images in ``indices`` are left out.
    *arguments, **options
        Of `~cherenkov_pipeline.store.batches.Batches`: ``labels``, ``batch_size``, ...

    Attributes
    ----------
    tel_ids : ndarray of int
        Telescope of each place.
    rows : ndarray of int
        (n_events, n_telescopes) rows of the store; -1 where there is no image. Events are in the order of ``targets``
        and `events`.

    Raises
    ------
    UserError
        If there are no images, no events with enough of them, files of the store are of different arrays, an event
        has no pointing, or whole images of several cameras are wanted.
    """

    @property
    def tel_ids(self) -> np.ndarray:
        """Telescope of each place."""
        return self.store.telescopes["tel_id"]

    @property
    def rows(self) -> np.ndarray:
        """Rows of the store of each event."""
        return np.where(self._items < 0, -1, self._rows[self._items])

    @property
    def keys(self) -> Table:
        """``production``, ``obs_id`` and ``event_id`` of each event."""
        return self.events(PRODUCTION_EVENT)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one event of each input."""
        return stereo_shapes(super().shapes, len(self.tel_ids), len(self.store.stores))

    def events(self, columns: Sequence[str]) -> Table:
        """Columns of all events, in the order of ``targets``; a place of the telescope is the origin of the ground."""
        events = super().events(columns)
        for name in set(TELESCOPE).intersection(columns):
            events[name][:] = 0
        return events

    def _input_maker(self) -> InputMaker | JoinedMaker:
        if isinstance(self.store, JoinedStores):
            return joined_maker(self.store, self.parameters)
        return super()._input_maker()

    def _augmented(self, parameters: AugmentationParameters | None, vectors: Sequence[int]) -> Augmentation | None:
        if isinstance(self.store, JoinedStores) and parameters is not None and parameters.active:
            raise UserError(
                f"Images of several cameras ({self.store.telescope_type}) are not augmented: leave "
                "training.augmentation out."
            )
        return super()._augmented(parameters, vectors)

    def _grouped(self) -> np.ndarray:
        keys = self.store.columns(("production", *IMAGE))[self._rows]
        items = group_events(keys, self.tel_ids)
        n_images = (items >= 0).sum(axis=1)
        items = items[n_images >= self.parameters.min_telescopes]
        if not len(items):
            raise UserError(
                f"No event in {self.store.path} has {self.parameters.min_telescopes} images, at most"
                f" {n_images.max()}: lower input.min_telescopes, loosen the cuts, or add files of several telescopes."
            )
        used = np.unique(items[items >= 0])
        self._rows = self._rows[used]
        self._positions = self._pointed(np.where(items < 0, -1, np.searchsorted(used, items)))
        return np.where(items < 0, -1, np.searchsorted(used, items))

    def _pointed(self, items: np.ndarray) -> np.ndarray:
        """Positions (n_events, n_telescopes, 3)."""
        events = self.store.columns(POINTING)[self._rows[items.max(axis=1)]]
        altitude, azimuth = (u.Quantity(events[name], "rad").value for name in POINTING)
        if not (np.isfinite(altitude) & np.isfinite(azimuth)).all():
            raise UserError(f"{self.store.path} has events without pointing: take their files out, or use mode: mono.")
        return pointing_positions(self.store.telescopes, altitude, azimuth)

    def _inputs(self, index: int, items: np.ndarray) -> dict[str, np.ndarray]:
        places = self._items[items]
        images = self._image_inputs(index, places.ravel())
        inputs = {
            **{name: values.reshape(*places.shape, *values.shape[1:]) for name, values in images.items()},
            "telescopes": (places >= 0).astype(np.float32),
            "positions": self._positions[items],
        }
        if len(self.store.stores) > 1:
            types = [one.telescope_type for one in self.store.stores]
            inputs["telescope_types"] = type_inputs(self.store.telescope_types, types, len(items))
        return inputs


def stereo_shapes(
    shapes: Mapping[str, tuple[int, ...]], n_telescopes: int, n_types: int = 1
) -> dict[str, tuple[int, ...]]:
    """Shape of one event of each input, from those of one image."""
    images = {name: (n_telescopes, *shape) for name, shape in shapes.items()}
    types = {"telescope_types": (n_telescopes, n_types)} if n_types > 1 else {}
    return {**images, "telescopes": (n_telescopes,), "positions": (n_telescopes, 3), **types}


def type_inputs(telescope_types: Mapping[int, str], types: Sequence[str], n_events: int) -> np.ndarray:
    """Make the input ``telescope_types``.

    Parameters
    ----------
    telescope_types : mapping
        Type of each telescope, by ``tel_id``.
    types : sequence of str
        All types, in the order of the last axis.
    n_events : int

    Returns
    -------
    ndarray
        (n_events, n_telescopes, n_types) float32, telescopes by ``tel_id``.
    """
    places = [types.index(telescope_types[tel_id]) for tel_id in sorted(telescope_types)]
    return np.tile(np.eye(len(types), dtype=np.float32)[places], (n_events, 1, 1))


def group_events(images: Table, tel_ids: np.ndarray) -> np.ndarray:
    """Group images by event.

    Parameters
    ----------
    images : astropy.table.Table
        n images with ``obs_id``, ``event_id``, ``tel_id`` and, where they are of several files, ``production``.
    tel_ids : ndarray of int
        Telescope of each place; there are images of no other.

    Returns
    -------
    ndarray of int
        (n_events, n_telescopes) rows of ``images``, -1 where there is none; by production, ``obs_id``, ``event_id``.
    """
    names = [name for name in PRODUCTION_EVENT if name in images.colnames]
    keys = np.stack([np.asarray(images[name], dtype=np.int64) for name in names], axis=-1)
    events, event = np.unique(keys, axis=0, return_inverse=True)
    items = np.full((len(events), len(tel_ids)), -1, dtype=np.int64)
    items[event.ravel(), np.searchsorted(tel_ids, images["tel_id"])] = np.arange(len(images))
    return items


def places_by_id(telescopes: np.ndarray) -> dict[int, tuple[float, float, float]]:
    """Places of telescopes [m] in plain values, from records of `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`."""
    return {int(one["tel_id"]): (float(one["x"]), float(one["y"]), float(one["z"])) for one in telescopes}


def telescope_records(places: Mapping[int, Sequence[float]]) -> np.ndarray:
    """Inverse of `places_by_id`."""
    return np.array([(tel_id, *places[tel_id]) for tel_id in sorted(places)], dtype=TELESCOPE_DTYPE)


def pointing_positions(telescopes: np.ndarray, altitude: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Places of telescopes as the light of the pointing direction sees them.

    A shower that falls 100 m further along the first axis has its image further along the longitude. A rotation of the
    whole sky about the zenith changes nothing.

    Parameters
    ----------
    telescopes : ndarray
        Records of `cherenkov_pipeline.store.layout.TELESCOPE_DTYPE`, ground frame: x to the north, y to the west.
    altitude, azimuth : ndarray
        (n,) pointing of each event [rad]; azimuth from north to east.

    Returns
    -------
    ndarray
        (n, n_telescopes, 3) float32, in units of `POSITION_UNIT`, from the origin of the ground frame, along the axes
        of `cherenkov_pipeline.ground.pointing_axes`.
    """
    ground = np.stack([telescopes[axis] for axis in "xyz"], axis=-1) / POSITION_UNIT
    return np.einsum("nfg,tg->ntf", pointing_axes(altitude, azimuth), ground).astype(np.float32)
