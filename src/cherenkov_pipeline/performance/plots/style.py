"""One style for every figure: Okabe-Ito colours, plain-text labels, sizes for a page about 720 px wide."""

from collections.abc import Callable
from functools import wraps

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

#: Okabe & Ito (2008), distinguishable with every common colour vision.
BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)
INK, MUTED, GRID = "#1f2933", "#66727f", "#e4e8ed"

#: White to dark blue, for fractions and counts.
SEQUENTIAL = LinearSegmentedColormap.from_list("sequential", ["#f4f8fb", "#9ccbe6", BLUE, "#08243d"])

#: Limits of an energy axis without data, in TeV.
DEFAULT_ENERGIES = 0.1, 1000

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 9.5,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 10,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 10,
}


def styled[**P](function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw with the shared style, whatever the caller's settings are."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return function(*args, **kwargs)

    return draw


def new_figure(width: float = 6.0, height: float = 4.2) -> Figure:
    """Make an empty figure, sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def energy_axis(axes: Axes, label: str = "True energy [TeV]") -> None:
    """Make the horizontal axis a logarithmic energy; callers with data narrow its limits."""
    axes.set_xscale("log")
    axes.set_xlim(*DEFAULT_ENERGIES)
    plain_decades(axes.xaxis)
    axes.set_xlabel(label)


def plain_decades(axis: Axis) -> None:
    """Write the decades of a logarithmic axis as plain numbers (0.1, 1, 10)."""
    axis.set_major_locator(LogLocator(base=10))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def empty_note(axes: Axes, text: str) -> None:
    """Say inside empty axes why nothing is drawn."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED, wrap=True)


def corner_note(axes: Axes, text: str, *, right: bool = False) -> None:
    """Write a few lines into the upper corner of the axes."""
    axes.text(
        0.98 if right else 0.02,
        0.97,
        text,
        transform=axes.transAxes,
        ha="right" if right else "left",
        va="top",
        fontsize=9.5,
        linespacing=1.4,
    )
