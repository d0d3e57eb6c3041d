"""Train an autoencoder on the usual sub-images, so that it draws unusual ones badly."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.alerts.anomaly import reconstruction_error
from cherenkov_pipeline.alerts.batches import AlertBatches, Images
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.networks.autoencoder import UsableSquaredError, build_autoencoder, export_autoencoder
from cherenkov_pipeline.alerts.parameters import AutoencoderMethod
from cherenkov_pipeline.alerts.preparation import PreparationParameters, prepare
from cherenkov_pipeline.alerts.training import ROOMS, STATELESS, data_fingerprint
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.card import now, software_versions
from cherenkov_pipeline.models.likelihoods.base import Likelihood, OutputLayer
from cherenkov_pipeline.training.trainer import train

PREDICTED = 256
"""Images that are drawn at once."""


@dataclass(frozen=True)
class TrainedAutoencoder:
    """An autoencoder ready to score sub-images.

    Attributes
    ----------
    network : keras.Model
    preparation : PreparationParameters
    history : QTable
    """

    network: keras.Model
    preparation: PreparationParameters
    history: QTable

    def score(self, images: SubImages) -> np.ndarray:
        """Score sub-images: (n,) errors of their drawings."""
        parts = []
        for first in range(0, len(images), PREDICTED):
            some = images[first : first + PREDICTED]
            inputs = prepare(some, self.preparation)
            parts.append(reconstruction_error(some, inputs["image"], self.network.predict_on_batch(inputs)))
        return np.concatenate(parts) if parts else np.zeros(0)

    def export(self, path: str | os.PathLike) -> Path:
        """Write it as an ONNX file, from ``image`` to ``reconstruction``."""
        return export_autoencoder(self.network, path)


def train_autoencoder(
    images: SubImages, splits: np.ndarray, method: AutoencoderMethod, folder: Path
) -> TrainedAutoencoder:
    """Train an autoencoder on the usual ones of the training images.

    Parameters
    ----------
    images : SubImages
        Labelled.
    splits : ndarray of str
        (n,), see `~cherenkov_pipeline.alerts.splits.split`.
    method : AutoencoderMethod
    folder : Path
        For states; each combination of data, parameters and code has its own place in there.

    Raises
    ------
    UserError
        If the preparation is not of the signal to noise alone, or there are no such images; otherwise as
        `~cherenkov_pipeline.training.trainer.train`.
    """
    if method.preparation.channels != ("snr",) or set(method.preparation.shapes) != {"image"}:
        raise UserError("An autoencoder draws the signal to noise alone: take mask, sources and side inputs out.")
    preparation = method.preparation.fitted(images[splits == "train"])
    usable = prepare(images, preparation.model_copy(update={"mask": "without_trigger"}))["image"]
    usable[..., 1] = usable[..., 1] > 0
    chosen = np.ones(len(images), dtype=bool)
    if method.learn_from == "real":
        chosen = np.asarray(images.table["is_real"], dtype=bool)
    rows = {split: np.flatnonzero(chosen & (splits == split)) for split in ("train", "validation")}
    source, learning = Images({"image": usable}), method.training
    training = AlertBatches(source, rows["train"], None, learning.batch_size, method.augmentation, learning.seed)
    result = train(
        lambda: build_autoencoder(preparation.shapes["image"], method.network),
        Likelihood(lambda n: n, lambda n: n, OutputLayer, UsableSquaredError, tuple, lambda *_: {}),
        training,
        AlertBatches(source, rows["validation"], None, PREDICTED),
        learning.for_trainer(),
        Path(folder)
        / fingerprint(
            data_fingerprint(images, splits.astype("U10")),
            method.model_dump(mode="json", exclude=STATELESS),
            code_fingerprint(*ROOMS, "alerts/anomaly", "alerts/autoencoder"),
        ),
        n_events=training.n_images,
        origin={"created": now().isoformat(), "versions": software_versions()},
    )
    return TrainedAutoencoder(result.model, preparation, result.history)
