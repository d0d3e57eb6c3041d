"""A store of toy images for the random forest."""

from pathlib import Path

import numpy as np
from tests.toy_store import toy_camera
from tests.training.test_forest import toy_images

from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.layout import TELESCOPE_DTYPE
from cherenkov_pipeline.store.packing import pack
from cherenkov_pipeline.store.parameters import SplitParameters
from cherenkov_pipeline.store.writer import StoreWriter


def forest_store(path: Path, n_events: int = 2400, first_missing: int = 0) -> EventStore:
    """Write a store whose image parameters tell energy, particle and direction; every fiftieth image has none."""
    camera, table = toy_camera(), toy_images(n_events)
    table["shower"] = np.arange(n_events)
    table["split"] = np.choose(np.arange(n_events) % 10, [0] * 6 + [1, 1, 2, 2])
    for name in ("hillas_width", "hillas_length", "hillas_skewness"):
        table[name][first_missing::50] = np.nan  # images without parameters
    pixels = np.ones((n_events, camera.n_pixels), dtype=np.float32)
    with StoreWriter(path) as writer:
        writer.append_events(table)
        writer.append_pixels(pack(pixels, pixels, pixels > 0))
        counts = {"n_read": n_events, "n_cut": 0, "n_selected": n_events}
        provenance = {
            "n_images": n_events,
            "inputs": [{"path": "toy.dl1.h5", "production": "toy", "fingerprint": "toy", **counts}],
            "cuts": [{"cut": "read", "condition": "", "n_in": n_events, "n_cut": 0, "n_out": n_events}],
            "samples": [],
            "dl1_settings": None,
            "versions": {},
            "split": SplitParameters().model_dump(mode="json"),
        }
        telescopes = np.array([(1, 0.0, 0.0, 0.0)], dtype=TELESCOPE_DTYPE)
        writer.finish("toy", f"TOY_{camera.name}", camera, telescopes, provenance)
    return EventStore(path)
