"""Train one network on labelled sub-images: with the trainer of all networks, which can be killed at any moment.

What is frozen is computed once: the features of the last frozen stage, for every orientation of every image, are kept
on disk, and only what follows is trained on them. That is the same mathematics in a fraction of the time, as frozen
layers use their own averages in batch normalisation, whatever the batch.
"""

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from astropy.table import QTable
from pydantic import ValidationError

from cherenkov_pipeline.alerts.augmentation import ORIENTATIONS, turned
from cherenkov_pipeline.alerts.batches import AlertBatches, Features, Images, Source
from cherenkov_pipeline.alerts.card import AlertCard, AlertData
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.networks.build import FEATURES, begin_after, build_network, copy_weights
from cherenkov_pipeline.alerts.networks.explained import export_explained
from cherenkov_pipeline.alerts.parameters import LAST_FROZEN, NetworkMethod
from cherenkov_pipeline.alerts.preparation import PreparationParameters, prepare
from cherenkov_pipeline.alerts.weights import HEAD, Weights, find_weights
from cherenkov_pipeline.config import first_problem
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path, locked
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint, fingerprint_file
from cherenkov_pipeline.models.backend import PACKAGE, keras
from cherenkov_pipeline.models.card import card_path, now, software_versions
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, Likelihood
from cherenkov_pipeline.models.on_disk import HISTORY_SUFFIX, model_path
from cherenkov_pipeline.training.callbacks import Watch
from cherenkov_pipeline.training.trainer import train

logger = logging.getLogger(__name__)

FROZEN_ROOMS = (
    "alerts/networks",
    "alerts/preparation",
    "alerts/augmentation",
    "alerts/weights",
    "alerts/safetensors",
    "models",
)
"""Code that makes the features of frozen layers."""

ROOMS = (*FROZEN_ROOMS, "alerts/features", "alerts/batches", "alerts/training", "training")
"""Code that makes the result."""

STATELESS = {"training": {"resume"}}
"""Parameters that do not change the result."""

PREDICTED = 64
"""Images that are prepared and judged at once."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network ready to judge sub-images.

    Attributes
    ----------
    network : keras.Model
        From prepared inputs to (n, 1) logits; not calibrated.
    card : AlertCard
    history : QTable
        One row an epoch.
    logits : ndarray or None
        (n,), of all images that the training was given, in their order; None for a network that was read.
    """

    network: keras.Model
    card: AlertCard
    history: QTable
    logits: np.ndarray | None = None

    def logit(self, images: SubImages) -> np.ndarray:
        """Judge sub-images: (n,) logits of being a real source."""
        parts = [
            self.network.predict_on_batch(prepare(images[first : first + PREDICTED], self.card.preparation))[:, 0]
            for first in range(0, len(images), PREDICTED)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def train_network(
    name: str,
    images: SubImages,
    splits: np.ndarray,
    method: NetworkMethod,
    folder: Path,
    simulated: Path | None = None,
    watch: Watch | None = None,
    wait: bool = False,
) -> TrainedNetwork:
    """Train a network, or go on with an interrupted training.

    Parameters
    ----------
    name : str
        For card and messages.
    images : SubImages
        Labelled.
    splits : ndarray of str
        (n,), from `~cherenkov_pipeline.alerts.splits.split`. Images of other splits are judged alone.
    method : NetworkMethod
    folder : Path
        For states and cached features; each combination of data, parameters and code has its own place in there.
    simulated : Path, optional
        Weights for ``simulated``, see `~cherenkov_pipeline.alerts.weights.find_weights`.
    watch, wait
        See `~cherenkov_pipeline.training.trainer.train`.

    Raises
    ------
    UserError
        If one of the classes is missing among the training images, there are no validation images, or the weights
        cannot be had; otherwise as `~cherenkov_pipeline.training.trainer.train`.
    """
    check_classes(images, splits)
    job = _Training(name, images, splits, method, Path(folder), find_weights(method.weights, simulated))
    return job.run(watch, wait)


def save_network(trained: TrainedNetwork, path: str | os.PathLike) -> TrainedNetwork:
    """Write a network with card, history and an ONNX file beside it.

    Parameters
    ----------
    trained : TrainedNetwork
    path : path-like
        Ends in ``.keras``, or a folder for ``model.keras``. Card, history and ONNX file have the same name with
        other endings; the ``.keras`` file comes last: what exists is complete.

    Returns
    -------
    TrainedNetwork
        With the card as written.
    """
    path = model_path(path)
    with atomic_path(path) as part:
        trained.network.save(part)
        card = trained.card.model_copy(update={"file_fingerprint": fingerprint_file(part)})
        export_explained(trained.network, path.with_suffix(".onnx"), card)
        with atomic_path(path.with_suffix(HISTORY_SUFFIX)) as history:
            trained.history.write(history, format="ascii.ecsv")
        with atomic_path(card_path(path)) as text:
            text.write_text(card.model_dump_json(indent=1) + "\n")
    return replace(trained, card=card)


def load_trained(path: str | os.PathLike) -> TrainedNetwork:
    """Read a network with its card and history; nothing is unpickled.

    Raises
    ------
    UserError
        If a file is missing or cut off, or they do not belong together.
    """
    path = model_path(path)
    card = load_card(path)
    try:
        history = QTable.read(path.with_suffix(HISTORY_SUFFIX), format="ascii.ecsv")
        mark = fingerprint_file(path)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: train the network first, or correct the path.") from None
    if card.file_fingerprint != mark:
        raise UserError(f"{path} is not the file that {card_path(path).name} describes: take both from one training.")
    return TrainedNetwork(keras.saving.load_model(path, compile=False, safe_mode=True), card, history)


def load_card(path: str | os.PathLike) -> AlertCard:
    """Read the card of a network alone.

    Raises
    ------
    UserError
        If it is missing or cannot be read.
    """
    place = card_path(model_path(path))
    try:
        return AlertCard.model_validate_json(place.read_text())
    except FileNotFoundError:
        raise UserError(f"{place} is missing: train the network first, or correct the path.") from None
    except ValidationError as error:
        raise UserError(f"Cannot read {place}: {first_problem(error)}.") from error


def check_classes(images: SubImages, splits: np.ndarray) -> None:
    """Refuse training images of one class alone, and a training without validation images.

    Raises
    ------
    UserError
    """
    is_real = np.asarray(images.table["is_real"], dtype=bool)
    for split in ("train", "validation"):
        for name, chosen in (("true sources", is_real), ("false alerts", ~is_real)):
            if not (chosen & (splits == split)).any():
                raise UserError(f"There are no {name} among the {split} images: check labels and split.")


def data_fingerprint(images: SubImages, *others: np.ndarray) -> str:
    """Fingerprint of images, of their side inputs and labels, and of arrays that belong to them."""
    digest = hashlib.blake2b(digest_size=8)
    columns = [np.asarray(images.table[name]) for name in ("snr_max", "snr_std", "is_real")]
    for values in (images.snr, images.codes, *columns, *others):
        digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()


@keras.saving.register_keras_serializable(PACKAGE)
class SquaredProbabilityError(keras.losses.Loss):
    """Squared difference of the probability that a logit (n, 1) means, and the label."""

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Loss of each image."""
        difference = keras.ops.sigmoid(y_pred) - keras.ops.cast(y_true, y_pred.dtype)
        return keras.ops.sum(keras.ops.square(difference), axis=-1)


@dataclass(frozen=True)
class _Training:
    """One training of a network."""

    name: str
    images: SubImages
    splits: np.ndarray
    method: NetworkMethod
    folder: Path
    weights: Weights | None

    def run(self, watch: Watch | None, wait: bool) -> TrainedNetwork:
        """Train, and judge all images."""
        learning = self.method.training
        parameters = learning.for_trainer()
        last_frozen = LAST_FROZEN[self.method.fine_tuning]
        network = self._whole()
        if last_frozen is None:
            source: Source = Images(self.inputs)
            build = self._whole
        else:
            frozen, rest = begin_after(network, last_frozen, self.share_real)
            source = self._features(frozen, last_frozen)

            def build() -> keras.Model:
                copy = keras.models.clone_model(rest)
                copy.set_weights(rest.get_weights())
                return copy

        targets = np.asarray(self.images.table["is_real"], dtype=np.float32)[:, np.newaxis]
        rows = {split: np.flatnonzero(self.splits == split) for split in ("train", "validation")}
        training = AlertBatches(
            source, rows["train"], targets[rows["train"]], learning.batch_size, self.method.augmentation, learning.seed
        )
        validation = AlertBatches(source, rows["validation"], targets[rows["validation"]], PREDICTED)
        logger.info(
            "Training %s: %d training and %d validation images, beginning with %s.",
            self.name, len(rows["train"]), len(rows["validation"]), self.weights_source,
        )  # fmt: skip
        result = train(
            build,
            self.likelihood,
            training,
            validation,
            parameters,
            self.folder / self._mark(),
            n_events=training.n_images,
            origin={"created": now().isoformat(), "versions": software_versions()},
            factors=self._factors,
            watch=watch,
            wait=wait,
        )
        everything = AlertBatches(source, np.arange(len(self.images)), targets, PREDICTED)
        logits = [result.model.predict_on_batch(everything[number][0])[:, 0] for number in range(len(everything))]
        copy_weights(result.model, network)
        best = result.history[result.best_epoch - 1]
        card = AlertCard(
            name=self.name,
            method=self.method.model_dump(mode="json"),
            preparation=self.preparation,
            weights=self.weights_source,
            data=self._data(),
            epochs=len(result.history),
            best_epoch=result.best_epoch,
            seconds=float(np.sum(result.history["seconds"])),
            metrics={name: float(best[name]) for name in best.colnames if name not in ("epoch", "seconds")},
            versions=result.origin["versions"],
            created=result.origin["created"],
        )
        return TrainedNetwork(network, card, result.history, np.concatenate(logits))

    @cached_property
    def preparation(self) -> PreparationParameters:
        """Complete."""
        return self.method.preparation.fitted(self.images[self.splits == "train"])

    @cached_property
    def inputs(self) -> Mapping[str, np.ndarray]:
        """All images as the network reads them."""
        return prepare(self.images, self.preparation)

    @property
    def share_real(self) -> float:
        """Of the training images."""
        return float(np.mean(np.asarray(self.images.table["is_real"], dtype=bool)[self.splits == "train"]))

    @property
    def weights_source(self) -> str:
        """For people."""
        return self.weights.source if self.weights else "random weights"

    @property
    def likelihood(self) -> Likelihood:
        """Of one logit."""
        if self.method.training.loss == "crossentropy":
            return LIKELIHOODS["bernoulli"]
        return replace(LIKELIHOODS["bernoulli"], loss=SquaredProbabilityError)

    def _whole(self) -> keras.Model:
        network = build_network(self.method.network, self.preparation.shapes, self.share_real)
        if self.weights:
            self.weights.apply(network)
        return network

    def _factors(self, model: keras.Model) -> list[float]:
        known = self.weights.layers if self.weights else {}
        own = {
            id(variable)
            for layer in model.layers
            if layer.name in HEAD or layer.name not in known
            for variable in layer.trainable_variables
        }
        factor = self.method.training.factor
        return [1.0 if id(variable) in own else factor for variable in model.trainable_variables]

    def _features(self, frozen: keras.Model, last_frozen: str) -> Features:
        """Compute the features of the last frozen stage, or read them."""
        mark = fingerprint(
            data_fingerprint(self.images),
            self.preparation,
            self.weights.fingerprint,
            last_frozen,
            code_fingerprint(*FROZEN_ROOMS),
        )
        path = self.folder / "features" / f"{mark}.npy"
        with locked(path.parent, wait=True):
            if not path.is_file():
                with atomic_path(path) as part:
                    _write_features(frozen, self.inputs["image"], part)
        others = {name: values for name, values in self.inputs.items() if name != "image"}
        return Features(FEATURES, np.load(path, mmap_mode="r"), others)

    def _mark(self) -> str:
        """Fingerprint of all that the result depends on."""
        return fingerprint(
            data_fingerprint(self.images, self.splits.astype("U10")),
            self.method.model_dump(mode="json", exclude={"weights": True, "pretraining": True, **STATELESS}),
            self.weights.fingerprint if self.weights else None,
            code_fingerprint(*ROOMS),
            keras.__version__,
            keras.backend.backend(),
        )

    def _data(self) -> AlertData:
        table, chosen = self.images.table, self.splits == "train"
        simulated = "mask_pattern" in table.colnames
        patterns = set(np.asarray(table["mask_pattern"]).astype(str)[chosen]) if simulated else ()
        return AlertData(
            fingerprint=data_fingerprint(self.images, self.splits.astype("U10")),
            n_train=int(chosen.sum()),
            n_validation=int((self.splits == "validation").sum()),
            n_real=int(np.asarray(table["is_real"], dtype=bool)[chosen].sum()),
            simulated=simulated,
            mask_patterns=tuple(sorted(patterns)),
        )


def _write_features(frozen: keras.Model, images: np.ndarray, path: Path) -> None:
    """Features of all images in every orientation, (orientations, n, ...) float16."""
    from tqdm.auto import tqdm

    shape = (ORIENTATIONS, len(images), *frozen.output.shape[1:])
    found = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    with tqdm(total=shape[0] * shape[1], desc="frozen features", unit="images", disable=None) as bar:
        for orientation in range(ORIENTATIONS):
            for first in range(0, len(images), PREDICTED):
                part = turned(images[first : first + PREDICTED], orientation)
                found[orientation, first : first + len(part)] = frozen.predict_on_batch(np.ascontiguousarray(part))
                bar.update(len(part))
    found.flush()
