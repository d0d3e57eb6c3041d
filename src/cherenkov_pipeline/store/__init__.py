"""DL1 files to a packed event store, and batches for networks from it.

What to use when:

- `store.build.plan_store`: DL1 files in, one store file a telescope type out.
- `store.EventStore`: open a store, look at its table, read images in slices.
- `store.joined.JoinedStores`: the stores of several telescope types as one, for stereo.
- `store.chunks.iter_chunks`: images of any DL1 file without a store, chunk by chunk.
- `store.inputs.input_maker`: images as a network wants them, the same for stores and DL1 files.
- `store.batches.Batches`: shuffled batches of images for training; `store.stereo.StereoBatches`: of events.
"""

from cherenkov_pipeline.store.choice import only_store, store_for
from cherenkov_pipeline.store.chunks import EventChunk
from cherenkov_pipeline.store.events import EventStore
from cherenkov_pipeline.store.joined import JoinedStores

__all__ = ["EventChunk", "EventStore", "JoinedStores", "only_store", "store_for"]
