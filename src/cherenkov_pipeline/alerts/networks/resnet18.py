"""ResNet18 in plain Keras, layer by layer that of torchvision: its weights, and timm's and keras-hub's, fit.

He et al. 2015, arXiv:1512.03385. Layers have torchvision's names with underscores for points: ``layer2.0.downsample.1``
is ``layer2_0_downsample1``. Padding is explicit, as in torch: Keras' "same" would pad strided convolutions on the other
side. Without its classifier, three channels in, it has 11,186,112 numbers, of which 9,600 are moving averages.
"""

from collections.abc import Mapping

from cherenkov_pipeline.models.backend import keras

CHANNELS = 3
"""Of the images that weights were learnt on elsewhere."""

FILTERS = {"layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}
"""Stages, two blocks each."""

BLOCKS = 2

LAST_OF_STAGE = "{}_1_relu2"
"""Name of the layer that ends a stage."""


def resnet18(inputs: Mapping[str, keras.KerasTensor]) -> keras.KerasTensor:
    """Build the network without its classifier.

    Parameters
    ----------
    inputs : mapping
        ``image``: (rows, columns, channels), at most `CHANNELS` channels. Where there are fewer, the first one is
        repeated ahead of the others.

    Returns
    -------
    keras.KerasTensor
        The last map, 512 features at a 32nd of the rows and columns.
    """
    x = three_channels(inputs["image"])
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = keras.layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1")(x)
    x = _normalized(x, "bn1")
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.ZeroPadding2D(1, name="maxpool_pad")(x)  # nothing is below zero after ReLU
    x = keras.layers.MaxPooling2D(3, strides=2, name="maxpool")(x)
    for name in FILTERS:
        x = stage(x, name)
    return x


def stage(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Add one stage: two residual blocks; all but the first stage halve rows and columns."""
    for number in range(BLOCKS):
        strides = 2 if name != "layer1" and number == 0 else 1
        x = _block(x, FILTERS[name], strides, f"{name}_{number}")
    return x


def three_channels(image: keras.KerasTensor) -> keras.KerasTensor:
    """Repeat the first channel until there are as many as pre-trained weights expect."""
    n = image.shape[-1]
    if n > CHANNELS:
        raise ValueError(f"resnet18 reads at most {CHANNELS} channels. Received: {n}")
    if n == CHANNELS:
        return image
    first = image if n == 1 else image[..., :1]
    return keras.layers.Concatenate(name="three_channels")([*[first] * (CHANNELS - n), image])


def _block(x: keras.KerasTensor, filters: int, strides: int, name: str) -> keras.KerasTensor:
    """Two convolutions, and what they change added to what was there."""
    shortcut = x
    if strides > 1:
        shortcut = keras.layers.Conv2D(filters, 1, strides=strides, use_bias=False, name=f"{name}_downsample0")(x)
        shortcut = _normalized(shortcut, f"{name}_downsample1")
    for number, step in ((1, strides), (2, 1)):
        x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad{number}")(x)
        x = keras.layers.Conv2D(filters, 3, strides=step, use_bias=False, name=f"{name}_conv{number}")(x)
        x = _normalized(x, f"{name}_bn{number}")
        if number == 1:
            x = keras.layers.ReLU(name=f"{name}_relu1")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu2")(x)


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # torch's momentum 0.1 is Keras' 0.9
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)
