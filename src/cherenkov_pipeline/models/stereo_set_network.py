"""Set network for events that several telescopes see: an encoder of images, messages between telescopes, geometry.

One `~cherenkov_pipeline.models.set_network` encodes the image of each telescope. Each telescope then hears of the
others (message passing, Gilmer et al. 2017, arXiv:1704.01212): what their encoders say, and where they stand and look
relative to its own image. With that it offers its two points on the sky, ahead of its image and behind, and their
precisions, which make one direction. Distances to the core and to the shower's maximum follow from it; they and the
features of all telescopes, by mean and maximum, are the features of the event.

Telescopes and images are compared in the frame of each image, on the camera centre's side of its axis: turning or
mirroring images, telescopes and sky together does the same to the direction and leaves everything else as it is. The
order of the telescopes does not count.

Images of several telescope types go through the same encoder, which hears of the type beside the image parameters: the
brightest pixels, in degrees, are alike in all cameras. Each type's inputs are scaled by themselves.

The encoder's layers have the names that they have in the set network of single telescopes, whose weights they can take
over; all others begin with ``backbone_array_``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.set_network import set_network
from cherenkov_pipeline.models.stereo_geometry import (
    ESTIMATE,
    JoinDirections,
    OtherTelescopes,
    PairGeometry,
    PoolTelescopes,
    ShowerGeometry,
)
from cherenkov_pipeline.models.telescopes import FoldTelescopes, UnfoldTelescopes

OF_IMAGES = ("brightest", "brightest_mask", "shower_frame", "parameters")
"""Inputs of the encoder."""


def stereo_set_network(
    inputs: Mapping[str, keras.KerasTensor], encoder: Mapping[str, Any], units: Sequence[int], dropout: float
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Build the backbone.

    Parameters
    ----------
    inputs : mapping
        Those of `~cherenkov_pipeline.models.set_network.set_network` with a telescope axis, ``telescopes``,
        ``positions`` and, of several types, ``telescope_types``, see `cherenkov_pipeline.store.stereo`.
    encoder, units, dropout
        See `~cherenkov_pipeline.models.options.StereoSetNetworkOptions`.

    Returns
    -------
    features : keras.KerasTensor
        One dimension.
    direction : keras.KerasTensor
        (2,) lon, lat [deg], which the output layer of the likelihood ``point`` starts from. Without that likelihood the
        network learns what direction serves its task best.
    """
    frame, positions, telescopes = (inputs[name] for name in ("shower_frame", "positions", "telescopes"))
    images = {
        name: FoldTelescopes(name=f"backbone_array_fold_{name}")(inputs[name]) for name in OF_IMAGES if name in inputs
    }
    if "telescope_types" in inputs:
        # the first dense layers that read them are an embedding of the type
        types = FoldTelescopes(name="backbone_array_fold_types")(inputs["telescope_types"])
        known = [images[name] for name in ("parameters",) if name in images]
        images["parameters"] = keras.layers.Concatenate(name="backbone_array_image_types")([*known, types])
    image = UnfoldTelescopes(frame.shape[1], name="backbone_array_unfold")(set_network(images, **encoder))

    x = keras.layers.Concatenate(name="backbone_array_heard")([image, _messages(image, inputs, units[0])])
    state = _dense(x, units, "backbone_array_telescope")
    # zeros: each telescope starts from the same guess
    estimates = keras.layers.Dense(len(ESTIMATE), kernel_initializer="zeros", name="backbone_array_estimates")(state)
    direction = JoinDirections(name="backbone_array_direction")(estimates, frame, telescopes)

    shower = ShowerGeometry(name="backbone_array_shower")(direction, frame, positions, telescopes)
    x = keras.layers.Concatenate(name="backbone_array_placed")([state, shower])
    x = PoolTelescopes(name="backbone_array_pooled")(_dense(x, units, "backbone_array_placed_telescope"), telescopes)
    x = _dense(x, units, "backbone_array_event")
    if dropout:
        x = keras.layers.Dropout(dropout, name="backbone_array_dropout")(x)
    return x, direction


def _messages(image: keras.KerasTensor, inputs: Mapping[str, keras.KerasTensor], units: int) -> keras.KerasTensor:
    """Tell each telescope about the others."""
    telescopes = inputs["telescopes"]
    pairs = PairGeometry(name="backbone_array_pairs")(inputs["shower_frame"], inputs["positions"], telescopes)
    n_telescopes = image.shape[1]
    listener = keras.layers.Reshape((n_telescopes, 1, units), name="backbone_array_listener_axis")(
        keras.layers.Dense(units, name="backbone_array_listener")(image)
    )
    speaker = keras.layers.Reshape((1, n_telescopes, units), name="backbone_array_speaker_axis")(
        keras.layers.Dense(units, use_bias=False, name="backbone_array_speaker")(image)
    )
    place = keras.layers.Dense(units, use_bias=False, name="backbone_array_place")(pairs)
    x = keras.layers.Add(name="backbone_array_said")([place, listener, speaker])
    x = keras.layers.ReLU(name="backbone_array_heard_pairs")(x)
    x = keras.layers.Dense(units, "relu", name="backbone_array_message")(x)
    return OtherTelescopes(name="backbone_array_messages")(x, telescopes)


def _dense(x: keras.KerasTensor, units: Sequence[int], name: str) -> keras.KerasTensor:
    for index, n_units in enumerate(units, start=1):
        x = keras.layers.Dense(n_units, "relu", name=f"{name}_{index}")(x)
    return x
