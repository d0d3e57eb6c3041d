"""Batches of an event store for Keras, whatever its backend."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from astropy.table import Table

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.augmentation import Augmentation, Changes, check_parameters
from cherenkov_pipeline.store.events import EventStore
from cherenkov_pipeline.store.free_memory import free_memory
from cherenkov_pipeline.store.inputs import InputMaker, image_parameters, input_maker
from cherenkov_pipeline.store.order import BLOCK, BLOCKS_PER_WINDOW, WindowReader, epoch_order
from cherenkov_pipeline.store.packing import pixel_dtype
from cherenkov_pipeline.store.parameters import AugmentationParameters, InMemory, InputParameters

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MEMORY_FRACTION = 0.4
"""Share of the free memory that ``in_memory="auto"`` may take."""


class Batches(keras.utils.PyDataset):
    """Batches ``(inputs, targets)`` of images; every image once an epoch, a partial batch at the end.

    Inputs are a dict of float32 arrays, targets one float32 array: numpy, which TensorFlow, JAX and torch take alike.
    Each batch is made of arrays of its own. Where the images have weights (`weigh`), those are the batch's third part.

    The order depends on seed and epoch alone: a training that is resumed in epoch 7 sees what an undisturbed one
    sees there, in memory or not. The training says which epoch it is with `set_epoch`, in a callback at the beginning
    of each epoch (Keras' own ``on_epoch_end`` comes once more before the first epoch and cannot be counted), and
    passes ``shuffle=False`` to ``fit``, which would shuffle the batches once more.

    Parameters
    ----------
    store : EventStore
    indices : array-like of int
        Rows of the store.
    parameters : InputParameters
    labels : callable
        ``table -> (n, k)`` array, called once with the table of all items.
    batch_size : int
    seed : int
    shuffle : bool
        Otherwise the order of ``indices``.
    in_memory : {"auto", True, False}
        Whether the packed pixels (5.4 kB an image of 1296 pixels) are loaded; auto: where they take less than
        `MEMORY_FRACTION` of the free memory. Otherwise windows of images are read, the next one while the present
        one is used.
    label_columns : sequence of str, optional
        Columns that ``labels`` needs. Default: all.
    fraction : float
        Part of the images that an epoch takes, others in each epoch; all without ``shuffle``.
    augmentation : AugmentationParameters, optional
        Changes of the images, drawn from (seed, epoch, number of the batch). Default: none.
    vectors : sequence of int
        First of the two columns of each vector among the targets, along lon and lat of the telescope frame: the
        augmentation changes those as it does the images.
    **options
        Of `keras.utils.PyDataset`: ``workers``, ``max_queue_size``.

    Raises
    ------
    UserError
        If there are no images, processes are wanted, or the images cannot be augmented so.
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
        in_memory: InMemory = "auto",
        label_columns: Sequence[str] | None = None,
        fraction: float = 1.0,
        augmentation: AugmentationParameters | None = None,
        vectors: Sequence[int] = (),
        **options: Any,
    ):
        if options.get("use_multiprocessing"):
            raise UserError("Batches are made by threads, which share the pixels in memory: set workers alone.")
        super().__init__(**options)
        self.store = store
        self.indices = np.asarray(indices, dtype=np.int64)
        if not len(self.indices):
            raise UserError(f"No images are left in {store.path} for these batches: loosen split, particles or cuts.")
        self.parameters = parameters
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.maker = self._input_maker()
        self._rows = np.unique(self.indices)
        self._items = self._grouped()
        self._place = self._items.max(axis=1)  # of one image of each item: there is at least one
        self._n_items = max(1, round(fraction * len(self._items))) if shuffle else len(self._items)
        self.targets = np.asarray(labels(self.events(label_columns or store.colnames)), dtype=np.float32)
        self._weights: np.ndarray | None = None
        self._augmentation = self._augmented(augmentation, vectors)
        self._values: np.ndarray | None = None
        if parameters.parameters:
            self._values = image_parameters(store.columns(parameters.columns)[self._rows], parameters.parameters)
        n_bytes = len(self._rows) * pixel_dtype(store.n_pixels).itemsize
        self.in_memory = n_bytes < MEMORY_FRACTION * free_memory() if in_memory == "auto" else in_memory
        self._records = store.records(self._rows) if self.in_memory else None
        self._windows: list[np.ndarray] = []
        self._reader: WindowReader | None = None
        self.set_epoch(0)

    def __len__(self) -> int:
        return -(-self._n_items // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray] | np.ndarray, ...]:
        """Batch of this number in the current epoch."""
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: {index}")
        items = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        inputs, targets = self._inputs(index, items), self.targets[items]
        if self._augmentation and self._augmentation.vectors:
            targets = self._augmentation.targets(targets, self._changes(index, len(items)))
        return (inputs, targets) if self._weights is None else (inputs, targets, self._weights[items])

    @property
    def n_events(self) -> int:
        """Items in an epoch."""
        return self._n_items

    def events(self, columns: Sequence[str]) -> Table:
        """Columns of all items, in the order of ``targets``."""
        return self.store.columns(columns)[self._rows[self._place]]

    def weigh(self, weights: "ArrayLike") -> None:
        """Give each item, in the order of ``targets``, a weight in the loss."""
        self._weights = np.asarray(weights, dtype=np.float32)
        if self._weights.shape != (len(self.targets),):
            raise ValueError(f"expected {len(self.targets)} weights. Received: {self._weights.shape}")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one item of each input."""
        return self.maker.shapes

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch. Not while an epoch is being read."""
        self.epoch, n = epoch, self._n_items
        self._order = epoch_order(self._place, self.seed, epoch)[:n] if self.shuffle else np.arange(n)
        if self.in_memory:
            return
        if self._reader:
            self._reader.close()
        step = self._batches_per_window * self.batch_size
        windows = (np.unique(self._items[self._order[start : start + step]]) for start in range(0, n, step))
        self._windows = [window[window >= 0] for window in windows]
        self._reader = WindowReader(self._read, self._windows)

    def _input_maker(self) -> InputMaker:
        return input_maker(self.store.camera, self.parameters)

    def _grouped(self) -> np.ndarray:
        """Images of each item, (n_items, n_images): positions in ``_rows``; -1 where there is none."""
        return np.searchsorted(self._rows, self.indices)[:, np.newaxis]

    def _inputs(self, index: int, items: np.ndarray) -> dict[str, np.ndarray]:
        return self._image_inputs(index, self._items[items, 0])

    def _image_inputs(self, index: int, places: np.ndarray) -> dict[str, np.ndarray]:
        """Make the inputs of single images: ``places`` are positions in ``_rows``, -1 for images without any light."""
        records, rows = self._records, places
        if not self.in_memory:
            number = index // self._batches_per_window
            records = self._reader.get(number)
            rows = np.where(places < 0, -1, np.searchsorted(self._windows[number], places))
        values = None if self._values is None else self._values[places]
        if self._augmentation:
            changes = self._changes(index, len(places))
            inputs = self.maker.from_images(*self._augmentation.images(records, rows, changes))
            if values is not None:
                values = self._augmentation.image_parameters(values, self.parameters.parameters, changes)
        else:
            inputs = self.maker.from_records(records, rows)
        if values is not None:
            inputs["parameters"] = np.where(places[:, np.newaxis] < 0, np.float32(0), values)
        return inputs

    def _augmented(self, parameters: AugmentationParameters | None, vectors: Sequence[int]) -> Augmentation | None:
        if parameters is None or not parameters.active:
            return None
        if self._items.shape[1] > 1 and (parameters.mirror or parameters.rotation):
            raise UserError(
                "Events of several telescopes cannot be mirrored or turned, as the telescopes stand where they stand: "
                "set training.augmentation.mirror and .rotation to false."
            )
        check_parameters(self.parameters.parameters, parameters)
        return Augmentation(parameters, self.store.camera, vectors)

    def _changes(self, index: int, n: int) -> Changes:
        return self._augmentation.draw(n, self.seed, self.epoch, index)

    @property
    def _batches_per_window(self) -> int:
        return max(1, BLOCKS_PER_WINDOW * BLOCK // self.batch_size)

    def _read(self, window: np.ndarray) -> np.ndarray:
        return self.store.records(self._rows[window])
