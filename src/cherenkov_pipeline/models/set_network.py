"""Set network: the brightest pixels of an image as a set of points in the shower's own frame.

Each pixel goes through the same dense layers (Deep Sets, Zaheer et al. 2017, arXiv:1703.06114); in between, the pixels
exchange what they know with the whole image, by means, charge-weighted means and maxima. The pooled set, joined with
moments of the image in the shower's frame (what tells head from tail: time gradient, skewness, growing width) and image
parameters, gives the features. An image has some ten bright pixels among a camera's thousand, so a network of
this kind needs a hundredth of the work of convolutions on the whole image, and has no pixels to interpolate.

A shower and its mirror image are equally probable, so the network sees all showers from one side: pixels are mirrored
at the main axis where the camera's centre lies on its other side. The last features change their sign with the mirror,
and with them what is predicted across the axis; all others do not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cherenkov_pipeline.models.backend import PACKAGE, keras
from cherenkov_pipeline.store.brightest import FEATURES

ops = keras.ops

ALONG, ACROSS, TIME, CLEANED, SHARE = (FEATURES.index(name) for name in ("along", "across", "time", "cleaned", "share"))
LARGEST = 8.0
"""Deviations beyond which image parameters are cut off: one far out must not decide."""


@keras.saving.register_keras_serializable(PACKAGE)
def gelu(x: keras.KerasTensor) -> keras.KerasTensor:
    """GELU in its form with a hyperbolic tangent: within 0.001 of the other, and quicker to train on a CPU."""
    return keras.activations.gelu(x, approximate=True)


@keras.saving.register_keras_serializable(PACKAGE)
class SideOfCamera(keras.layers.Layer):
    """Where the camera's centre lies from the shower: (n, 4) frame to (n, 2) place and (n, 1) side.

    The place is along the axis and across it without its sign [deg]; the sign, 1 or -1, is the side.
    """

    def call(self, frame: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Rotate the camera's centre into the shower's frame."""
        lon, lat, cosine, sine = ops.split(frame, 4, axis=-1)
        along, across = -(lon * cosine + lat * sine), lon * sine - lat * cosine
        side = ops.where(across < 0, -ops.ones_like(across), ops.ones_like(across))
        return ops.concatenate([along, ops.abs(across)], axis=-1), side

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[tuple[int | None, int], ...]:
        """Shapes of place and side."""
        return (input_shape[0], 2), (input_shape[0], 1)


@keras.saving.register_keras_serializable(PACKAGE)
class PrepareSet(keras.layers.Layer):
    """Mirrored pixels and the weights of the pools.

    From pixels (n, k, features), mask (n, k) and side (n, 1) to pixels (n, k, features), mask (n, k, 1) and weights
    (n, k, 1): of the charge, summing to 1.
    """

    def call(self, pixels: keras.KerasTensor, present: keras.KerasTensor, side: keras.KerasTensor) -> tuple[Any, ...]:
        """Mirror."""
        mask = ops.expand_dims(ops.cast(present, self.compute_dtype), -1)
        side = ops.expand_dims(ops.cast(side, self.compute_dtype), -1)
        mirrored = ops.concatenate(
            [pixels[..., :ACROSS], pixels[..., ACROSS : ACROSS + 1] * side, pixels[..., ACROSS + 1 :]], axis=-1
        )
        share = ops.maximum(pixels[..., SHARE : SHARE + 1], 0) * mask
        return mirrored, mask, share / (ops.sum(share, axis=1, keepdims=True) + 1e-3)

    def compute_output_shape(self, pixels_shape: Any, present_shape: Any, side_shape: Any) -> tuple[Any, ...]:
        """Shapes of pixels, mask and weights."""
        return tuple(pixels_shape), (*present_shape, 1), (*present_shape, 1)


@keras.saving.register_keras_serializable(PACKAGE)
class SetMoments(keras.layers.Layer):
    """Moments of light and arrival time in the shower's frame: (n, k, features) and weights (n, k, 1) to (n, 42).

    Each with three weights: the charge of the cleaned pixels, that of all pixels, and the number of cleaned pixels. In
    the units of the inputs, which are near one, and limited.
    """

    SMALLEST = 1e-2
    N_MOMENTS = 14

    def call(self, pixels: keras.KerasTensor, weights: keras.KerasTensor) -> keras.KerasTensor:
        """Sum."""
        cleaned = ops.cast(pixels[..., CLEANED : CLEANED + 1] > 0, pixels.dtype)
        kinds = (ops.cast(weights, pixels.dtype) * cleaned, ops.cast(weights, pixels.dtype), cleaned)
        return ops.clip(ops.concatenate([self._of(pixels, kind) for kind in kinds], axis=-1), -LARGEST, LARGEST)

    def _of(self, pixels: keras.KerasTensor, weights: keras.KerasTensor) -> keras.KerasTensor:
        weights = weights / (ops.sum(weights, axis=1, keepdims=True) + 1e-6)

        def mean(values: keras.KerasTensor) -> keras.KerasTensor:
            return ops.sum(values * weights, axis=1, keepdims=True)

        centres = [mean(pixels[..., feature : feature + 1]) for feature in (ALONG, ACROSS, TIME)]
        x, y, t = (
            pixels[..., feature : feature + 1] - centre
            for feature, centre in zip((ALONG, ACROSS, TIME), centres, strict=True)
        )
        xx, yy, tt = (mean(ops.square(values)) + self.SMALLEST for values in (x, y, t))
        length, width, duration = (ops.sqrt(values) for values in (xx, yy, tt))
        found = [
            *centres,
            length,
            width,
            duration,
            mean(x * t) / xx,  # time gradient
            mean(y * t) / yy,
            mean(x * y) / xx,
            mean(x * x * x) / (xx * length),  # skewness
            mean(x * x * x * x) / (xx * xx),
            mean(x * x * t) / (xx * duration),  # curvature of the times
            mean(x * y * y) / (yy * length),  # growth of the width
            mean(x * t * t) / (tt * length),  # growth of the duration
        ]
        return ops.squeeze(ops.concatenate(found, axis=-1), axis=1)

    def compute_output_shape(self, pixels_shape: Any, weights_shape: Any) -> tuple[Any, ...]:
        """Shape of the moments."""
        return (pixels_shape[0], 3 * self.N_MOMENTS)


@keras.saving.register_keras_serializable(PACKAGE)
class PoolSet(keras.layers.Layer):
    """Mean, charge-weighted mean, maximum and means with learned weights of a set of features: (n, k, d) to (n, m).

    Parameters
    ----------
    heads : int
        Sets of learned weights (a softmax over the pixels); each averages its share of the features.
    """

    def __init__(self, heads: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, features_shape: Any, present_shape: Any, weights_shape: Any) -> None:
        """Make the weights' weights."""
        if self.heads:
            width = features_shape[-1]
            if width % self.heads:
                raise ValueError(f"the width must be a multiple of the heads. Received: {width}, {self.heads}")
            self.kernel = self.add_weight(shape=(width, self.heads), initializer="glorot_uniform", name="kernel")
        self.built = True

    def call(self, features: keras.KerasTensor, present: keras.KerasTensor, weights: keras.KerasTensor) -> Any:
        """Pool."""
        there = ops.cast(present, features.dtype)
        number = ops.sum(there, axis=1) + 1e-3
        outside = (1 - there) * 1e3
        pooled = [
            ops.sum(features * there, axis=1) / number,
            ops.sum(features * ops.cast(weights, features.dtype), axis=1),
            ops.max(features - outside, axis=1) * ops.max(there, axis=1),
        ]
        if self.heads:
            share = ops.softmax(ops.matmul(features, ops.cast(self.kernel, features.dtype)) - outside, axis=1)
            share = ops.repeat(share, features.shape[-1] // self.heads, axis=-1)
            pooled.append(ops.sum(features * share, axis=1))
        return ops.concatenate(pooled, axis=-1)

    def compute_output_shape(self, features_shape: Any, present_shape: Any, weights_shape: Any) -> tuple[Any, ...]:
        """Shape of the pooled features."""
        return (features_shape[0], features_shape[-1] * (4 if self.heads else 3))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable(PACKAGE)
class CutOff(keras.layers.Layer):
    """Limit values to +- `LARGEST`."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Limit."""
        return ops.clip(x, -LARGEST, LARGEST)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape."""
        return input_shape


def set_network(
    inputs: Mapping[str, keras.KerasTensor],
    width: int,
    exchanges: int,
    heads: int,
    units: Sequence[int],
    odd_units: int,
    dropout: float,
) -> keras.KerasTensor:
    """Build the backbone.

    Parameters
    ----------
    inputs : mapping
        ``brightest`` (k, features), ``brightest_mask`` (k,), ``shower_frame`` (4,), and ``parameters`` where there
        are some, see `cherenkov_pipeline.store.inputs`.
    width, exchanges, heads, units, odd_units, dropout
        See `~cherenkov_pipeline.models.options.SetNetworkOptions`.

    Returns
    -------
    keras.KerasTensor
        Features, (units[-1] + odd_units,).
    """

    def dense(x: Any, n: int, name: str, activation: Any = None) -> Any:
        return keras.layers.Dense(n, activation, name=f"backbone_{name}")(x)

    place, side = SideOfCamera(name="backbone_side")(inputs["shower_frame"])
    x, mask, weights = PrepareSet(name="backbone_set")(inputs["brightest"], inputs["brightest_mask"], side)
    known = [place, SetMoments(name="backbone_moments")(x, weights)]
    if "parameters" in inputs:
        known.append(CutOff(name="backbone_parameters")(inputs["parameters"]))
    image = keras.layers.Concatenate(name="backbone_image")(known)

    def told(x: Any, context: Any, name: str) -> Any:
        """Pixels that hear of the whole image."""
        each = dense(x, width, f"{name}_pixels")
        whole = keras.layers.Reshape((1, width), name=f"backbone_{name}_axis")(dense(context, width, f"{name}_context"))
        added = keras.layers.Add(name=f"backbone_{name}_sum")([each, whole])
        return keras.layers.Activation(gelu, name=f"backbone_{name}_activation")(added)

    x = dense(told(x, image, "pixels"), width, "pixels_out", gelu)
    for number in range(1, exchanges + 1):
        pooled = PoolSet(name=f"backbone_exchange_{number}_pool")(x, mask, weights)
        heard = dense(told(x, pooled, f"exchange_{number}"), width, f"exchange_{number}_out")
        x = keras.layers.Add(name=f"backbone_exchange_{number}")([x, heard])
    pooled = PoolSet(heads, name="backbone_pool")(x, mask, weights)
    x = keras.layers.Concatenate(name="backbone_joined")([pooled, image])
    for number, n_units in enumerate(units, start=1):
        x = dense(x, n_units, f"dense_{number}", gelu)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"backbone_dropout_{number}")(x)
    if not odd_units:
        return x
    odd = keras.layers.Multiply(name="backbone_odd")([dense(x, odd_units, "odd_dense", gelu), side])
    return keras.layers.Concatenate(name="backbone_features")([x, odd])
