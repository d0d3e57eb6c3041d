"""Picture of a network: its layers as blocks, from top to bottom and column after column."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from cherenkov_pipeline.performance.plots.style import (
    AMBER,
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SKY,
    empty_note,
    new_figure,
    styled,
)

#: Layers that say little by themselves are written into the block before them.
MINOR = ("Activation", "ReLU", "Normalization", "Dropout", "Add", "Multiply", "Identity", "Cast")

#: First match of a part of the layer's type decides on the colour; custom layers are green.
KIND_COLORS = (
    ("Input", MUTED),
    ("Pool", SKY),
    ("Conv", BLUE),
    ("Attention", PURPLE),
    ("LSTM", PURPLE),
    ("GRU", PURPLE),
    ("Dense", ORANGE),
    ("Flatten", AMBER),
    ("Reshape", AMBER),
    ("Concatenate", AMBER),
)

ROWS = 9
BLOCK_WIDTH, BLOCK_HEIGHT, GAP, COLUMN_GAP = 3.2, 0.5, 0.26, 0.5


@dataclass
class Block:
    """One box of the picture: a layer and the minor layers after it."""

    name: str
    kind: str
    shape: str
    parameters: int
    extras: list[str] = field(default_factory=list)


@styled
def architecture(layers: pd.DataFrame | Table) -> Figure:
    """Draw the layers of a network as blocks.

    Parameters
    ----------
    layers : table
        One row a layer, in the order of the computation: ``name``, ``kind``, ``output_shape`` (such as ``48x48x32``),
        ``parameters``; from `cherenkov_pipeline.models.cost.layer_table`.

    Returns
    -------
    Figure
        As wide as its columns need; activations, normalisations and dropout stand in the block before them.
    """
    blocks = _blocks(layers)
    n_columns = max(1, -(-len(blocks) // ROWS))
    n_rows = max(1, -(-len(blocks) // n_columns))
    width = n_columns * (BLOCK_WIDTH + COLUMN_GAP) - COLUMN_GAP
    height = n_rows * (BLOCK_HEIGHT + GAP) - GAP
    figure = new_figure(width + 0.3, height + 0.3)
    axes = figure.subplots()
    axes.set(xlim=(-0.1, width + 0.1), ylim=(-height - 0.1, 0.1), aspect="equal")
    axes.axis("off")
    if not blocks:
        empty_note(axes, "no layers")
    corners = [
        (column * (BLOCK_WIDTH + COLUMN_GAP), -row * (BLOCK_HEIGHT + GAP) - BLOCK_HEIGHT)
        for column, row in (divmod(index, n_rows) for index in range(len(blocks)))
    ]
    for block, corner in zip(blocks, corners, strict=True):
        _draw_block(axes, block, corner)
    for start, end in pairwise(corners):
        _draw_arrow(axes, start, end)
    return figure


def _blocks(layers: pd.DataFrame | Table) -> list[Block]:
    blocks: list[Block] = []
    columns = (np.asarray(layers[name]).tolist() for name in ("name", "kind", "output_shape", "parameters"))
    for name, kind, shape, parameters in zip(*columns, strict=True):
        if blocks and any(part in kind for part in MINOR):
            blocks[-1].extras.append(kind)
            blocks[-1].parameters += int(parameters)
        else:
            blocks.append(Block(name, kind, shape.replace("x", " × "), int(parameters)))
    return blocks


def _draw_block(axes: Axes, block: Block, corner: tuple[float, float]) -> None:
    color = next((color for part, color in KIND_COLORS if part in block.kind), GREEN)
    box = {"boxstyle": "round,pad=0,rounding_size=0.07", "linewidth": 1, "edgecolor": color}
    x, y = corner
    axes.add_patch(FancyBboxPatch(corner, BLOCK_WIDTH, BLOCK_HEIGHT, facecolor=f"{color}22", **box))
    left, right = x + 0.1, x + BLOCK_WIDTH - 0.1
    title = " + ".join([block.kind, *_short(block.extras)])
    axes.text(left, y + 0.66 * BLOCK_HEIGHT, _cut(title, 36), va="center", fontsize=8.5, fontweight="bold", color=INK)
    axes.text(left, y + 0.27 * BLOCK_HEIGHT, _cut(block.name, 22), va="center", fontsize=8, color=MUTED)
    details = block.shape + (f" · {block.parameters:,} par." if block.parameters else "")
    axes.text(right, y + 0.27 * BLOCK_HEIGHT, _cut(details, 34), va="center", ha="right", fontsize=8, color=INK)


def _draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    below = start[0] == end[0]
    tail = (start[0] + BLOCK_WIDTH / 2, start[1]) if below else (start[0] + BLOCK_WIDTH, start[1] + BLOCK_HEIGHT / 2)
    head = (end[0] + BLOCK_WIDTH / 2, end[1] + BLOCK_HEIGHT) if below else (end[0], end[1] + BLOCK_HEIGHT / 2)
    if not below:
        middle = start[0] + BLOCK_WIDTH + COLUMN_GAP / 2
        axes.plot([tail[0], middle, middle], [tail[1], tail[1], head[1]], color=MUTED, linewidth=1.1)
        tail = (middle, head[1])
    axes.add_patch(
        FancyArrowPatch(
            tail,
            head,
            arrowstyle="-|>",
            mutation_scale=8,
            color=MUTED,
            linewidth=1.1,
            shrinkA=0,
            shrinkB=0,
        )
    )


def _short(extras: list[str]) -> list[str]:
    names = {"BatchNormalization": "BatchNorm", "LayerNormalization": "LayerNorm"}
    return [names.get(extra, extra) for extra in dict.fromkeys(extras)]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
