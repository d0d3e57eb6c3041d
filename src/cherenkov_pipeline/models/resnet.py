"""Residual networks with squeeze-and-excitation on one telescope's image: CTLearn's thin ResNet.

He et al. 2015, arXiv:1512.03385 (residual blocks); Hu et al. 2017, arXiv:1709.01507 (squeeze-and-excitation of
channels); Roy et al. 2018, arXiv:1803.02579 (of cells, and of both); CTLearn: Brill et al. 2019, arXiv:1912.09877.
CTLearn 0.10 averages over the channels as well before it weighs them; here each channel has its own mean, as in Hu et
al. On the mapping ``axial``, with hexagonal convolutions, it is a residual network on the camera's own lattice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.convolutions import convolved, halved


def resnet(
    inputs: Mapping[str, keras.KerasTensor],
    filters: Sequence[int],
    blocks: Sequence[int],
    block: str,
    attention: str | None,
    attention_ratio: int,
    reduction: str,
    convolution: str,
    batch_normalization: bool,
    dropout: float,
    l2: float,
) -> keras.KerasTensor:
    """Build the backbone.

    Parameters
    ----------
    inputs : mapping
        ``image``: (rows, columns, channels).
    filters, blocks, block, attention, attention_ratio, reduction, convolution, batch_normalization, dropout, l2
        See `~cherenkov_pipeline.models.options.ResNetOptions`.

    Returns
    -------
    keras.KerasTensor
        Average of each channel of the last map.
    """
    make = _Blocks(block == "bottleneck", attention, attention_ratio, convolution, batch_normalization, l2)
    x = inputs["image"]
    for number, (n_filters, n_blocks) in enumerate(zip(filters, blocks, strict=True), start=1):
        strides = 1
        if number > 1 and reduction == "pooling":
            x = halved(x, convolution, f"backbone_pooling_{number}", size=3)
        elif number > 1:
            strides = 2
        for index in range(1, n_blocks + 1):
            x = make(x, n_filters, f"backbone_stack_{number}_block_{index}", strides if index == 1 else 1, index == 1)
    x = keras.layers.GlobalAveragePooling2D(name="backbone_average")(x)
    return keras.layers.Dropout(dropout, name="backbone_dropout")(x) if dropout else x


@dataclass(frozen=True)
class _Blocks:
    """Makes residual blocks of one kind."""

    bottleneck: bool
    attention: str | None
    attention_ratio: int
    convolution: str
    batch_normalization: bool
    l2: float

    def __call__(self, x: keras.KerasTensor, filters: int, name: str, strides: int, project: bool) -> keras.KerasTensor:
        """Add a block; the shortcut is a 1x1 convolution where ``project``."""
        widened = filters * (4 if self.bottleneck else 1)
        shortcut = self._convolved(x, widened, 1, f"{name}_shortcut", None, strides) if project else x
        if self.bottleneck:
            x = self._convolved(x, filters, 1, f"{name}_convolution_1", "relu", strides)
            x = self._convolved(x, filters, 3, f"{name}_convolution_2", "relu")
            x = self._convolved(x, widened, 1, f"{name}_convolution_3", None)
        else:
            x = self._convolved(x, filters, 3, f"{name}_convolution_1", "relu", strides)
            # CTLearn has a ReLU before the sum here; without it the block can also subtract (He et al.)
            x = self._convolved(x, filters, 3, f"{name}_convolution_2", None)
        x = squeeze_and_excitation(x, self.attention, self.attention_ratio, name)
        x = keras.layers.Add(name=f"{name}_sum")([shortcut, x])
        return keras.layers.ReLU(name=f"{name}_output")(x)

    def _convolved(
        self, x: keras.KerasTensor, filters: int, size: int, name: str, activation: str | None, strides: int = 1
    ) -> keras.KerasTensor:
        return convolved(
            x,
            filters,
            size,
            name,
            # a kernel of one cell has no shape
            convolution=self.convolution if size > 1 else "square",
            activation=activation,
            batch_normalization=self.batch_normalization,
            l2=self.l2,
            strides=strides,
        )


def squeeze_and_excitation(x: keras.KerasTensor, kind: str | None, ratio: int, name: str) -> keras.KerasTensor:
    """Weigh channels by their averages, cells by their channels, or both.

    Parameters
    ----------
    x : keras.KerasTensor
        (rows, columns, channels).
    kind : {"channel", "spatial", "dual", None}
    ratio : int
        Channels are squeezed by this factor, to one at least.
    name : str
        Prefix of the layers' names.
    """
    weighed = []
    if kind in ("channel", "dual"):
        n_channels = x.shape[-1]
        weight = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
        weight = keras.layers.Dense(max(1, n_channels // ratio), "relu", name=f"{name}_excitation_1")(weight)
        weight = keras.layers.Dense(n_channels, "sigmoid", name=f"{name}_excitation_2")(weight)
        weighed.append(keras.layers.Multiply(name=f"{name}_channels")([x, weight]))
    if kind in ("spatial", "dual"):
        weight = keras.layers.Conv2D(1, 1, activation="sigmoid", name=f"{name}_excitation_cells")(x)
        weighed.append(keras.layers.Multiply(name=f"{name}_cells")([x, weight]))
    if not weighed:
        return x
    return weighed[0] if len(weighed) == 1 else keras.layers.Add(name=f"{name}_dual")(weighed)
