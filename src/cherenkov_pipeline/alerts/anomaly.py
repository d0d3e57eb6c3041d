"""How badly an autoencoder gives an image back. Numpy alone."""

import numpy as np

from cherenkov_pipeline.alerts.images import MISSING, SubImages
from cherenkov_pipeline.alerts.preparation import resized


def reconstruction_error(images: SubImages, prepared: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Root mean square difference between images and what an autoencoder makes of them.

    Parameters
    ----------
    images : SubImages
        n images.
    prepared : ndarray
        (n, size, size, channels), what the autoencoder was given.
    reconstruction : ndarray
        (n, size, size, 1), the first channel as the autoencoder drew it.

    Returns
    -------
    ndarray
        (n,) float, over the usable pixels; 0 where there are none.
    """
    usable = resized((images.codes != MISSING)[..., np.newaxis].astype(np.float32), prepared.shape[1])
    squares = usable * (np.asarray(reconstruction, dtype=float) - prepared[..., :1]) ** 2
    return np.sqrt(squares.sum(axis=(1, 2, 3)) / np.maximum(usable.sum(axis=(1, 2, 3)), 1e-9))
