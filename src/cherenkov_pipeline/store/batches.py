"""Batches of an event store for Keras, whatever its backend."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.chunks import EventChunk
from cherenkov_pipeline.store.events import EventStore
from cherenkov_pipeline.store.inputs import input_mapping, input_shapes, make_inputs
from cherenkov_pipeline.store.layout import ROWS_PER_CHUNK
from cherenkov_pipeline.store.packing import PackedPixels, unpack
from cherenkov_pipeline.store.parameters import InputParameters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MEMORY_FRACTION = 0.4
"""Share of the free memory that ``in_memory="auto"`` may take."""

_BLOCKS_PER_WINDOW = 32
"""Blocks of consecutive rows that are mixed where the sample is not in memory."""


class Batches(keras.utils.PyDataset):
    """Batches ``(inputs, targets)``; every image once an epoch, a partial batch at the end.

    The order depends on seed and epoch alone: a training that is resumed in epoch 7 sees what an undisturbed one
    sees there. The training says which epoch it is with `set_epoch`, in a callback at the beginning of each epoch
    (Keras' own ``on_epoch_end`` comes once more before the first epoch and cannot be counted), and passes
    ``shuffle=False`` to ``fit``, which would shuffle the batches once more.

    In memory, the rows of an epoch are in any order. Read from the file, blocks of consecutive rows are drawn and
    mixed in windows, so that the file is read in slices: another order, with the same guarantee.

    Parameters
    ----------
    store : EventStore
    indices : array-like of int
        Rows of the store.
    parameters : InputParameters
    labels : callable
        ``table -> (n, k)`` array, called once with the table of all ``indices``.
    batch_size : int
    seed : int
    shuffle : bool
        Otherwise the order of ``indices``.
    in_memory : {"auto", True, False}
        Whether the packed pixels (5.3 kB an image of 1296 pixels) are loaded; auto: where they take less than
        `MEMORY_FRACTION` of the free memory.
    **options
        Of `keras.utils.PyDataset`: ``workers``, ``use_multiprocessing``, ``max_queue_size``.

    Raises
    ------
    UserError
        If there are no images.
    """

    def __init__(
        self,
        store: EventStore,
        indices: "ArrayLike",
        parameters: InputParameters,
        labels: Callable[[Table], np.ndarray],
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        in_memory: bool | Literal["auto"] = "auto",
        **options: Any,
    ):
        super().__init__(**options)
        self.store = store
        self.indices = np.asarray(indices, dtype=np.int64)
        if not len(self.indices):
            raise UserError(f"No images are left in {store.path} for these batches: loosen split, particles or cuts.")
        self.parameters = parameters
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.mapping = input_mapping(store.camera, parameters) if parameters.mapping else None
        self.targets = np.asarray(labels(store.table[self.indices]), dtype=np.float32)
        self._columns = store.columns(parameters.columns)[self.indices]
        n_bytes = len(self.indices) * store.read_packed(slice(0, 1)).nbytes
        self.in_memory = n_bytes < MEMORY_FRACTION * _free_memory() if in_memory == "auto" else in_memory
        self._packed = store.read_packed(self.indices) if self.in_memory else None
        self._window: tuple[int, np.ndarray, PackedPixels] | None = None
        self._lock = threading.Lock()
        self.set_epoch(0)

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Batch of this number in the current epoch."""
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: {index}")
        places = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        chunk = EventChunk(self._columns[places], *unpack(self._pixels(index, places)))
        return make_inputs(chunk, self.parameters, self.mapping), self.targets[places]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one event of each input."""
        return input_shapes(self.parameters, self.mapping, self.store.n_pixels)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch. Not while an epoch is being read."""
        with self._lock:
            self._order = self._shuffled(np.random.default_rng(np.random.SeedSequence((self.seed, epoch))))
            self._window = None

    def _shuffled(self, rng: np.random.Generator) -> np.ndarray:
        """Positions in ``indices`` in the order of the epoch."""
        if not self.shuffle:
            return np.arange(len(self.indices))
        if self.in_memory:
            return rng.permutation(len(self.indices))
        by_row = np.argsort(self.indices, kind="stable")
        blocks = np.split(by_row, np.arange(ROWS_PER_CHUNK, len(by_row), ROWS_PER_CHUNK))
        drawn = [blocks[number] for number in rng.permutation(len(blocks))]
        windows = [
            np.concatenate(drawn[start : start + _BLOCKS_PER_WINDOW])
            for start in range(0, len(drawn), _BLOCKS_PER_WINDOW)
        ]
        return np.concatenate([rng.permutation(window) for window in windows])

    def _pixels(self, index: int, places: np.ndarray) -> PackedPixels:
        if self._packed is not None:
            return self._packed[places]
        # whole windows are read at once, in increasing order; consecutive batches share one
        per_window = max(1, _BLOCKS_PER_WINDOW * ROWS_PER_CHUNK // self.batch_size)
        number = index // per_window
        with self._lock:
            if self._window is None or self._window[0] != number:
                span = per_window * self.batch_size
                rows = np.sort(self.indices[self._order[number * span : (number + 1) * span]])
                self._window = (number, rows, self.store.read_packed(rows))
            _, rows, packed = self._window
        return packed[np.searchsorted(rows, self.indices[places])]


def _free_memory() -> int:
    """Bytes that a process can still take."""
    import psutil

    return psutil.virtual_memory().available
