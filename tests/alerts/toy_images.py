"""Small made-up sub-images: a blob in noise is real, noise with rows of other levels is false."""

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.alerts.images import CENTER, SIZE, SubImages, place


def toy_images(n=24, seed=0, incomplete=0.25):
    """Make labelled sub-images, every second one real, two a burst."""
    rng = np.random.default_rng(seed)
    snr, codes, snr_max, snr_std = [], [], [], []
    rows, columns = np.indices((SIZE, SIZE)) - CENTER
    blob = np.maximum(0, 1 - np.hypot(rows, columns) / 2.9)
    is_real = np.arange(n) % 2 == 0
    for real in is_real:
        image = rng.normal(0, 0.95, (SIZE, SIZE))
        if real:
            image += (7 + 20 * rng.random()) * blob
        else:
            image += 2 * (1 + rng.random()) * np.sign(np.sin(np.arange(SIZE) / 3))[:, np.newaxis]
            image[CENTER, CENTER] += 6
        trigger = (CENTER, CENTER)
        if rng.random() < incomplete:
            cut = int(rng.integers(1, 24))
            image, trigger = image[cut:], (CENTER - cut, CENTER)
        one, code = place(image, trigger, sources=[(5, 50)] if rng.random() < 0.3 else [])
        snr.append(one)
        codes.append(code)
        snr_max.append(float(np.nanmax(one)))
        snr_std.append(float(np.nanstd(one)))
    return SubImages(
        np.array(snr),
        np.array(codes),
        Table(
            {
                "image_id": [f"image-{number}" for number in range(n)],
                "snr_max": snr_max,
                "snr_std": snr_std,
                "is_real": is_real,
                "true_is_real": is_real,
                "cause": np.where(is_real, "grb", "flickering_modules"),
                "is_unclear": np.zeros(n, dtype=bool),
                "burst_id": [f"burst-{number // 4}-{number % 2}" for number in range(n)],
                "source_name": np.where(is_real, [f"source {number // 6}" for number in range(n)], ""),
            }
        ),
    )
