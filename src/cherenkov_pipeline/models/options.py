"""Options of the models and heads that can be chosen by name: plain parameters, light to import."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from cherenkov_pipeline.config import Parameters

Convolution = Literal["square", "hexagonal"]

_HEXAGONAL = "Hexagonal: kernels of the pixels' own lattice, for the mapping 'axial'; odd kernel_size."


class Regularization(Parameters):
    """What keeps a network from learning its events by heart; options of every convolutional model."""

    batch_normalization: bool = Field(False, description="Normalise each convolution's output over the batch.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of the backbone's features dropped in training.")
    l2: NonNegativeFloat = Field(0.0, description="The loss grows by this times the sum of the squared kernels.")


class ConvolutionOptions(Regularization):
    """Stack of convolutions, each followed by a pooling; the defaults are CTLearn's."""

    filters: tuple[PositiveInt, ...] = Field(
        (32, 32, 64, 128), min_length=1, description="Filters of each convolution."
    )
    kernel_size: int = Field(3, ge=1, description="Cells along a side of the kernels.")
    convolution: Convolution = Field("square", description=_HEXAGONAL)

    @model_validator(mode="after")
    def _odd_hexagons(self) -> Self:
        if self.convolution == "hexagonal" and self.kernel_size % 2 == 0:
            raise ValueError(f"hexagonal kernels have an odd kernel_size. Received: {self.kernel_size}")
        return self


class SingleTelOptions(ConvolutionOptions):
    """Options of `single_tel`."""

    pooling: Literal["flatten", "average"] = Field(
        "flatten", description="What the head reads: all cells of the last map, or their average."
    )


class ResNetOptions(Regularization):
    """Options of `resnet`; the defaults are CTLearn's thin ResNet."""

    filters: tuple[PositiveInt, ...] = Field((48, 96, 128, 256), min_length=1, description="Filters of each stack.")
    blocks: tuple[PositiveInt, ...] = Field((2, 3, 3, 3), min_length=1, description="Residual blocks of each stack.")
    block: Literal["bottleneck", "basic"] = Field(
        "bottleneck", description="Bottleneck: 1x1, 3x3, 1x1 with four times the filters; basic: two of 3x3."
    )
    attention: Literal["dual", "channel", "spatial"] | None = Field(
        "dual", description="Squeeze-and-excitation of channels, of cells, or both; null: none."
    )
    attention_ratio: PositiveInt = Field(16, description="Channels are squeezed by this factor.")
    reduction: Literal["stride", "pooling"] = Field(
        "stride",
        description="How a stack halves rows and columns: it leaves out every other cell (CTLearn), or takes the "
        "largest value around each cell that it keeps: 3x3, or the pixel and its six neighbours.",
    )
    convolution: Convolution = Field("square", description=_HEXAGONAL)

    @model_validator(mode="after")
    def _as_many_blocks(self) -> Self:
        if len(self.filters) != len(self.blocks):
            raise ValueError(f"filters and blocks have one entry a stack. Received: {self.filters}, {self.blocks}")
        return self


class HexResNetOptions(ResNetOptions):
    """Options of `hex_resnet`: residual blocks of hexagonal convolutions."""

    filters: tuple[PositiveInt, ...] = Field((32, 64, 128, 256), min_length=1, description="Filters of each stack.")
    blocks: tuple[PositiveInt, ...] = Field((2, 2, 2, 2), min_length=1, description="Residual blocks of each stack.")
    block: Literal["bottleneck", "basic"] = Field(
        "basic", description="Bottleneck: 1x1, 3x3, 1x1 with four times the filters; basic: two of 3x3."
    )
    reduction: Literal["stride", "pooling"] = Field(
        "pooling", description="As of `resnet`; both lead from a hexagonal lattice to one of twice its pitch."
    )
    convolution: Convolution = Field("hexagonal", description=_HEXAGONAL)
    batch_normalization: bool = Field(True, description="Normalise each convolution's output over the batch.")


class _TelescopeOptions(ConvolutionOptions):
    order: Literal["intensity", "given"] = Field(
        "intensity",
        description="Order of the telescopes: brightest image first, by the sum of the first channel, a charge, and "
        "absent ones last; or that of the subarray.",
    )


class CnnRnnOptions(_TelescopeOptions):
    """Options of `cnn_rnn`; the defaults are those of CTLearn's proceedings."""

    units: PositiveInt = Field(2048, description="Size of the LSTM's state.")
    states: Literal["all", "last"] = Field(
        "all", description="What the head reads: the state after each telescope, or that after the last."
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="Fraction dropped of what enters and leaves the LSTM.")


class VariableInputOptions(_TelescopeOptions):
    """Options of `variable_input`."""

    combination: Literal["vectors", "maps"] = Field(
        "vectors",
        description="The telescopes' features one after the other, for a dense head; or their maps as channels of one "
        "image, which more convolutions read.",
    )
    array_filters: tuple[PositiveInt, ...] = Field(
        (128, 256), min_length=1, description="Filters of the convolutions after the telescopes; combination maps only."
    )


class SetNetworkOptions(Parameters):
    """Options of `set_network`."""

    width: PositiveInt = Field(64, description="Features of each pixel.")
    exchanges: int = Field(2, ge=0, le=16, description="How often the pixels hear of the whole image.")
    heads: int = Field(4, ge=0, description="Sets of learned weights in the last pool; they divide the width.")
    units: tuple[PositiveInt, ...] = Field((128, 64), min_length=1, description="Units of the dense layers at the end.")
    odd_units: int = Field(16, ge=0, description="Features that change their sign when the shower is mirrored.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of units dropped after each of the dense layers.")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.heads and self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads. Received: {self.width}, {self.heads}")
        return self


class ForestParameters(Parameters):
    """How the random forests are grown. The defaults are those of the SST-1M collaboration (sst1mpipe)."""

    n_trees_regression: int = Field(150, ge=1, description="trees of each regressor (energy, distance to the source)")
    n_trees_classification: int = Field(100, ge=1, description="trees of each classifier (head or tail, particle)")
    max_depth: int | None = Field(30, ge=1, description="greatest depth of a tree; null: no limit")
    min_samples_leaf: int = Field(10, ge=1, description="events that a leaf must have")
    min_samples_split: int = Field(10, ge=2, description="events that a node must have to be split")
    timing: bool = Field(True, description="whether the time gradient along the image is a feature")
    n_jobs: int = Field(2, ge=1, description="trees grown side by side; the result depends on it by rounding alone")


class TelescopeSetOptions(SetNetworkOptions):
    """Options of the `set_network` that encodes the image of each telescope."""

    odd_units: int = Field(
        0, ge=0, description="As of `set_network`; telescopes are compared in mirrored frames and need none."
    )


class StereoSetNetworkOptions(Parameters):
    """Options of `stereo_set_network`."""

    encoder: TelescopeSetOptions = Field(TelescopeSetOptions(), description="Network for each telescope's image.")
    units: tuple[PositiveInt, ...] = Field(
        (96, 64), min_length=1, description="Units of the dense layers: of each telescope, of each pair, of the event."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of the event's features dropped in training.")


class DenseOptions(Parameters):
    """Options of the dense head."""

    units: tuple[PositiveInt, ...] = Field((128,), description="Units of each dense layer.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Fraction of units dropped after each layer in training.")
    batch_normalization: bool = Field(False, description="Normalise each layer's output over the batch.")
    l2: NonNegativeFloat = Field(0.0, description="The loss grows by this times the sum of the squared kernels.")
