"""Layers for events seen by several telescopes: one network reads the images of all of them.

The telescope axis is folded into the axis of the events, so that the layers in between are those of one telescope:
their weights are shared, and a backbone that was trained on single images fits.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cherenkov_pipeline.models.backend import PACKAGE, keras

ops = keras.ops

OF_TELESCOPES = ("parameters", "positions")
"""Further inputs (n, n_telescopes, k) that stereo models join to the features of each telescope, where given."""


@keras.saving.register_keras_serializable(PACKAGE)
class FoldTelescopes(keras.layers.Layer):
    """Each telescope becomes an event of its own: (n, n_telescopes, ...) to (n * n_telescopes, ...)."""

    def call(self, inputs: Any) -> Any:
        """Fold."""
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape of one telescope."""
        return (None, *input_shape[2:])


@keras.saving.register_keras_serializable(PACKAGE)
class UnfoldTelescopes(keras.layers.Layer):
    """Inverse of `FoldTelescopes`.

    Parameters
    ----------
    n_telescopes : int
    """

    def __init__(self, n_telescopes: int, **options: Any):
        super().__init__(**options)
        self.n_telescopes = n_telescopes

    def call(self, inputs: Any) -> Any:
        """Unfold."""
        return ops.reshape(inputs, (-1, self.n_telescopes, *inputs.shape[1:]))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape of all telescopes."""
        return (None, self.n_telescopes, *input_shape[1:])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "n_telescopes": self.n_telescopes}


@keras.saving.register_keras_serializable(PACKAGE)
class PresentTelescopes(keras.layers.Layer):
    """Features of absent telescopes become 0: called with (n, n_telescopes, ...) and ``telescopes``.

    A mask that a recurrent layer hands on ends here.
    """

    # Keras' own configuration of a layer has its name only where these are called kwargs
    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, *_: Any) -> None:
        """No mask."""
        return

    def call(self, inputs: Any, telescopes: Any) -> Any:
        """Blank."""
        return inputs * ops.reshape(
            ops.cast(telescopes, inputs.dtype), (-1, inputs.shape[1], *[1] * (len(inputs.shape) - 2))
        )

    def compute_output_shape(self, input_shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """Shape of the features."""
        return tuple(input_shape)


@keras.saving.register_keras_serializable(PACKAGE)
class BrightestFirst(keras.layers.Layer):
    """Rank of each telescope by the charge of its image: (n, n_telescopes) positions, absent ones last.

    Called with the images, whose first channel is the charge or grows with it, and ``telescopes``.
    """

    def call(self, image: Any, telescopes: Any) -> Any:
        """Sort."""
        charge = ops.sum(ops.cast(image[..., 0], "float32"), axis=tuple(range(2, len(image.shape) - 1)))
        return ops.argsort(ops.where(ops.cast(telescopes, "float32") > 0, -charge, 1e30), axis=1)

    def compute_output_shape(self, image_shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """One number a telescope."""
        return tuple(image_shape[:2])


@keras.saving.register_keras_serializable(PACKAGE)
class Reorder(keras.layers.Layer):
    """Put values (n, n_telescopes, ...) into an order (n, n_telescopes)."""

    def call(self, inputs: Any, order: Any) -> Any:
        """Take."""
        return ops.take_along_axis(
            inputs, ops.reshape(order, (-1, inputs.shape[1], *[1] * (len(inputs.shape) - 2))), axis=1
        )

    def compute_output_shape(self, input_shape: Sequence[int | None], *_: Any) -> tuple[int | None, ...]:
        """Shape of the values."""
        return tuple(input_shape)


def each_telescope(
    inputs: Mapping[str, keras.KerasTensor], encode: Callable[[keras.KerasTensor], keras.KerasTensor], order: str
) -> tuple[keras.KerasTensor, keras.KerasTensor | None, keras.KerasTensor]:
    """Apply one network to the images of all telescopes.

    Parameters
    ----------
    inputs : mapping
        ``image`` (n_telescopes, rows, columns, channels), ``telescopes`` (n_telescopes,) and, where given,
        `OF_TELESCOPES`.
    encode : callable
        From the image of one telescope to its features.
    order : str
        ``intensity``: brightest image first, absent telescopes last; ``given``: as they stand.

    Returns
    -------
    features : keras.KerasTensor
        (n_telescopes, ...), 0 where a telescope is absent.
    further : keras.KerasTensor or None
        (n_telescopes, k) the further inputs, alike.
    telescopes : keras.KerasTensor
        (n_telescopes,), 1 where a telescope is present, in the same order.
    """
    image, telescopes = inputs["image"], inputs["telescopes"]
    features = encode(FoldTelescopes(name="backbone_fold")(image))
    features = UnfoldTelescopes(image.shape[1], name="backbone_unfold")(features)
    features = PresentTelescopes(name="backbone_present")(features, telescopes)
    values = [inputs[name] for name in OF_TELESCOPES if name in inputs]
    further = keras.layers.Concatenate(name="backbone_further")(values) if len(values) > 1 else next(iter(values), None)
    if further is not None:
        further = PresentTelescopes(name="backbone_further_present")(further, telescopes)
    if order == "given":
        return features, further, telescopes
    places = BrightestFirst(name="backbone_order")(image, telescopes)
    ordered = [
        value if value is None else Reorder(name=f"backbone_ordered_{name}")(value, places)
        for name, value in (("features", features), ("further", further), ("telescopes", telescopes))
    ]
    return tuple(ordered)
