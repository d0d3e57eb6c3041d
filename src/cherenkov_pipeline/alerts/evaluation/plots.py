"""Figures of the methods: curves of the training, winning probabilities, calibration, risk over coverage."""

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable, Table
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from cherenkov_pipeline.alerts.evaluation.indicators import LAST_EPOCHS, winning_probability
from cherenkov_pipeline.performance.plots.style import BLUE, GRID, INK, MUTED, ORANGE, PALETTE, new_figure, styled


@styled
def accuracy_curves(history: QTable, name: str = "") -> Figure:
    """Draw accuracy and loss of training and validation images per epoch: indicators B and C.

    Parameters
    ----------
    history : QTable
        With ``epoch``, ``accuracy``, ``val_accuracy``, ``loss``, ``val_loss``. The last epochs, which the indicators
        are read from, are shaded.
    name : str
        Of the model, as the title.
    """
    figure = new_figure(height=4.8)
    panels = figure.subplots(2, 1, sharex=True)
    epoch = np.asarray(history["epoch"])
    marker = "o" if len(epoch) <= 40 else None
    for axes, quantity, label in zip(panels, ("accuracy", "loss"), ("Accuracy", "Loss"), strict=True):
        axes.axvspan(epoch[-LAST_EPOCHS:][0] - 0.5, epoch[-1] + 0.5, color=GRID, alpha=0.6, linewidth=0)
        axes.plot(epoch, history[quantity], color=BLUE, marker=marker, markersize=3.5, label="training")
        axes.plot(epoch, history[f"val_{quantity}"], color=ORANGE, marker=marker, markersize=3.5, label="validation")
        axes.set_ylabel(label)
    panels[0].set_title(name, fontsize=11)
    panels[0].legend(loc="lower right")
    panels[1].set_xlabel("Epoch")
    panels[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels()
    return figure


@styled
def winning_probabilities(
    logits: np.ndarray, is_real: np.ndarray, thresholds: Mapping[str, float] | None = None
) -> Figure:
    """Draw how certain right and wrong decisions are: indicator D, from which a threshold can be read.

    Parameters
    ----------
    logits : ndarray
        (n,), of test images.
    is_real : ndarray of bool
        (n,), labels.
    thresholds : mapping, optional
        Name -> a confidence at which there is a line.
    """
    winning, right = winning_probability(logits), (logits > 0) == np.asarray(is_real, dtype=bool)
    figure = new_figure()
    axes = figure.subplots()
    edges = np.linspace(0.5, 1, 26)
    counts = [np.histogram(winning[chosen], edges)[0] for chosen in (right, ~right)]
    axes.stairs(counts[0], edges, fill=True, color=BLUE, alpha=0.75, label=f"right, {right.sum():,}")
    axes.stairs(counts[1], edges, fill=True, color=ORANGE, label=f"wrong, {(~right).sum():,}")
    for (name, threshold), style in zip((thresholds or {}).items(), ("--", ":"), strict=False):
        axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=style, label=f"{name} from {threshold:g}")
    axes.set_yscale("symlog", linthresh=10)  # one wrong among a hundred right ones is to be seen
    top = 1.3 * max(8, *counts[0], *counts[1])
    axes.yaxis.set_major_locator(FixedLocator([0, 5, *(step * 10**n for n in range(1, 7) for step in (1, 2, 5))]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(xlim=(0.5, 1), xlabel="Probability of the class that wins")
    axes.set(ylim=(0, top), ylabel="Test images, logarithmic above 10")
    axes.legend(loc="upper left")
    return figure


@styled
def reliability(tables: Mapping[str, Table]) -> Figure:
    """Draw the share of real sources over the predicted probability, from `scores.reliability_table`."""
    figure = new_figure(height=4.8)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, label="as it should be")
    for (name, table), color in zip(tables.items(), PALETTE, strict=False):
        axes.plot(table["probability"], table["share"], color=color, marker="o", label=name)
        axes.vlines(table["probability"], table["low"], table["high"], color=color, linewidth=1.2)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="Probability of a real source", ylabel="Share of real sources")
    axes.legend(loc="upper left")
    return figure


@styled
def risk_coverage(tables: Mapping[str, Table]) -> Figure:
    """Draw the share of wrong verdicts over the share of images that get one, from `scores.risk_coverage`.

    Parameters
    ----------
    tables : mapping of str to Table
        By the method's name.
    """
    figure = new_figure()
    axes = figure.subplots()
    for (name, table), color in zip(tables.items(), PALETTE, strict=False):
        axes.step(table["coverage"], 100 * table["risk"], where="post", color=color, label=name)
    axes.set(xlim=(0, 1), xlabel="Share of images with a verdict", ylabel="Wrong among them [%]")
    axes.set_ylim(0, None)
    axes.legend(loc="upper left")
    return figure


@styled
def strata(table: QTable, quantity: str = "accuracy", label: str = "Accuracy") -> Figure:
    """Draw a metric in parts of the sample with its intervals, from `scores.strata_table`."""
    filled = table[table["n"] > 0]
    figure = new_figure(height=0.9 + 0.3 * len(filled))
    axes = figure.subplots()
    places = np.arange(len(filled))
    axes.hlines(places, filled[f"{quantity}_low"], filled[f"{quantity}_high"], color=BLUE, linewidth=1.4)
    axes.plot(filled[quantity], places, "o", color=BLUE)
    axes.set_yticks(places, [f"{name} ({n:,})" for name, n in zip(filled["stratum"], filled["n"], strict=True)])
    axes.invert_yaxis()
    axes.set(xlabel=label)
    return figure


@styled
def ablation(table: Table) -> Figure:
    """Draw the accuracy of each variant with its interval, from `ablation.ablation_table`; dashed: the first one's."""
    figure = new_figure(height=1.2 + 0.4 * len(table))
    axes = figure.subplots()
    places = np.arange(len(table))
    kinds = [("accuracy", BLUE, "against the labels"), ("true_accuracy", ORANGE, "against what was simulated")]
    for shift, (name, color, label) in zip((-0.1, 0.1), kinds, strict=True):
        if name in table.colnames:
            axes.hlines(places + shift, table[f"{name}_low"], table[f"{name}_high"], color=color, linewidth=1.4)
            axes.plot(table[name], places + shift, "o", color=color, label=label)
            axes.axvline(table[name][0], color=color, linewidth=0.8, linestyle="--", alpha=0.6)
    axes.set_yticks(places, [str(name).replace("_", " ") for name in table["variant"]])
    axes.invert_yaxis()
    axes.set(xlabel="Accuracy")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


@styled
def false_alarms(table: Table) -> Figure:
    """Draw how often frames without any source are called one, from `scores.false_alarm_curve`."""
    figure = new_figure()
    axes = figure.subplots()
    axes.plot(table["threshold"], table["rate"], color=BLUE, label="called a source")
    axes.fill_between(table["threshold"], table["low"], table["high"], color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(table["threshold"], table["triggered_rate"], color=ORANGE, linestyle="--", label="and triggering")
    axes.set_yscale("symlog", linthresh=1e-4)
    axes.set(xlim=(0.5, 1), xlabel="Threshold of the probability", ylabel="Share of all frames")
    axes.set_ylim(0, None)
    axes.legend(loc="upper right")
    return figure
