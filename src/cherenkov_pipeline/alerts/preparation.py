"""What the models read: sub-images filled, normalised and enlarged, with their masks and side inputs. Numpy alone."""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cherenkov_pipeline.alerts.features import FEATURES, hand_features
from cherenkov_pipeline.alerts.images import BACKGROUND, MISSING, SIZE, SOURCE, TRIGGER, SubImages
from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import UserError

TYPICAL_SNR = 10.0
"""Median signal to noise of the notices: the logarithms of ``snr_max`` are taken relative to it."""

LARGEST_CODE = TRIGGER

BY_HAND = "hand_features"
"""Name of the input with the features by hand."""


class PreparationParameters(Parameters):
    """How sub-images become the inputs of a model."""

    size: int = Field(SIZE, ge=8, le=512, description="Pixels along each side of what the model reads.")
    normalization: Literal["none", "global", "local"] = Field(
        "local", description="Divide by nothing, by one number for all images (global_scale), or by the own snr_max."
    )
    global_scale: float | None = Field(
        None, gt=0, description="Of the global normalisation; null: the largest snr_max of the training images."
    )
    mask: Literal["codes", "without_trigger"] | None = Field(
        None,
        description="A channel with the code of every pixel over 3: missing 0, background 1/3, known source 2/3,"
        " trigger 1; without_trigger: the trigger's pixel counts as background; null: none.",
    )
    other_source: bool = Field(False, description="A channel that is 1 where another known source lies, else 0.")
    snr_max: bool = Field(True, description="Side input: the largest signal to noise.")
    snr_std: bool = Field(True, description="Side input: the standard deviation of the signal to noise.")
    features: bool = Field(False, description="Side inputs: the features by hand, which the random forest sees.")

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        if self.global_scale is not None and self.normalization != "global":
            raise ValueError(f"global_scale has no effect with normalization {self.normalization}: leave it out")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return ("snr", *(("mask",) if self.mask else ()), *(("other_source",) if self.other_source else ()))

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the side inputs."""
        return tuple(name for name in ("snr_max", "snr_std") if getattr(self, name))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of each input -> its shape without the number of images."""
        shapes: dict[str, tuple[int, ...]] = {"image": (self.size, self.size, len(self.channels))}
        if self.scalars:
            shapes["scalars"] = (len(self.scalars),)
        if self.features:
            shapes[BY_HAND] = (len(FEATURES),)
        return shapes

    def fitted(self, images: SubImages) -> "PreparationParameters":
        """Complete with what is measured on the training images: the scale of the global normalisation."""
        if self.normalization != "global" or self.global_scale is not None:
            return self
        return self.model_copy(update={"global_scale": float(_positive(images, "snr_max").max())})


def prepare(images: SubImages, parameters: PreparationParameters) -> dict[str, np.ndarray]:
    """Make the inputs of a model.

    Missing pixels are 0, before and after the normalisation, whatever stands there.

    Parameters
    ----------
    images : SubImages
    parameters : PreparationParameters

    Returns
    -------
    dict of str to ndarray
        ``image`` (n, size, size, channels) and, where there are any, ``scalars`` (n, 1 or 2): log(snr_max /
        `TYPICAL_SNR`), log(snr_std); `BY_HAND` (n, features), see
        `~cherenkov_pipeline.alerts.features.hand_features`. All float32.

    Raises
    ------
    UserError
        If ``snr_max`` or ``snr_std`` is needed and is not a positive number.
    ValueError
        If the global normalisation has not been fitted.
    """
    usable = (images.codes != MISSING) & np.isfinite(images.snr)
    snr = np.where(usable, images.snr, 0).astype(np.float32) / _scale(images, parameters)[:, np.newaxis, np.newaxis]
    channels = [snr]
    if parameters.mask:
        codes = np.where(usable, images.codes, MISSING)
        if parameters.mask == "without_trigger":
            codes = np.where(codes == TRIGGER, BACKGROUND, codes)
        channels.append(codes.astype(np.float32) / LARGEST_CODE)
    if parameters.other_source:
        channels.append((images.codes == SOURCE).astype(np.float32))
    inputs = {"image": resized(np.stack(channels, axis=-1), parameters.size)}
    if parameters.scalars:
        units = {"snr_max": TYPICAL_SNR, "snr_std": 1.0}
        logarithms = [np.log(_positive(images, name) / units[name]) for name in parameters.scalars]
        inputs["scalars"] = np.stack(logarithms, axis=-1).astype(np.float32)
    if parameters.features:
        inputs[BY_HAND] = hand_features(images)
    return inputs


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Bring images to another size by bilinear interpolation, with the edges of first and last pixels in place.

    Parameters
    ----------
    images : ndarray
        (n, rows, columns, channels).
    size : int
        Pixels along each side.

    Returns
    -------
    ndarray
        (n, size, size, channels) float32. Where it is smaller, each pixel is an average over all that it covers.
    """
    rows, columns = (_weights(n, size) for n in images.shape[1:3])
    return np.einsum("ir,nrck,jc->nijk", rows, images, columns, optimize=True).astype(np.float32)


def _weights(n: int, size: int) -> np.ndarray:
    """(size, n) float32, weights of n pixels in each of ``size``; every row sums to 1."""
    step = n / size
    centers = (np.arange(size) + 0.5) * step - 0.5
    reach = max(1.0, step)  # wider triangles where pixels are joined
    if reach == 1:
        centers = np.clip(centers, 0, n - 1)  # the first and the last pixel go on to their outer edges
    weights = np.maximum(0, 1 - np.abs(centers[:, np.newaxis] - np.arange(n)) / reach)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _scale(images: SubImages, parameters: PreparationParameters) -> np.ndarray:
    """(n,) float32, what the signal to noise of each image is divided by."""
    if parameters.normalization == "local":
        return _positive(images, "snr_max").astype(np.float32)
    if parameters.normalization == "global" and parameters.global_scale is None:
        raise ValueError("the global normalisation has no scale: take parameters.fitted(training images)")
    return np.full(len(images), parameters.global_scale or 1.0, dtype=np.float32)


def _positive(images: SubImages, name: str) -> np.ndarray:
    values = np.asarray(images.table[name], dtype=float)
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            f"{name} of the sub-image {images.table['image_id'][row]} is {values[row]:g}: the models need a positive"
            " number."
        )
    return values
