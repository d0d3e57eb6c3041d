"""Figures of the particle type."""

from collections.abc import Mapping

import numpy as np
from astropy.table import QTable
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.plots.curves import colors_of, draw_curve, frame_energy, show_at_least
from cherenkov_pipeline.performance.plots.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    SEQUENTIAL,
    empty_note,
    new_figure,
    styled,
)

ENERGY_LABELS = {"reco_energy": "Reconstructed energy [TeV]", "true_energy": "True energy [TeV]"}


@styled
def roc(curves: Mapping[str, QTable]) -> Figure:
    """Draw the ROC curve: gamma efficiency over the background's.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables ``roc`` of `performance.type.type_tables` by the model's name.
    """
    figure = new_figure(height=4.8)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
    for name, color in colors_of(curves).items():
        table = curves[name]
        area = table.meta["auc"]
        label = f"{name}: area {area:.4f}" if np.isfinite(area) else name
        axes.plot(table["background_efficiency"], table["gamma_efficiency"], color=color, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    axes.set(xlabel="Background efficiency", ylabel="Gamma efficiency")
    if not any(np.isfinite(table.meta["auc"]) for table in curves.values()):
        empty_note(axes, "there are not both gammas and others")
        return figure
    axes.legend(loc="lower right")
    return figure


@styled
def gammaness(distribution: QTable) -> Figure:
    """Draw the gammaness of gammas and others, each normalised.

    Parameters
    ----------
    distribution : QTable
        Of `performance.type.type_tables`.
    """
    figure = new_figure()
    axes = figure.subplots()
    edges = np.append(distribution["gammaness_low"], distribution["gammaness_high"][-1])
    for name, label, color in (("n_background", "others", ORANGE), ("n_gamma", "gammas", BLUE)):
        counts = np.asarray(distribution[name], dtype=float)
        shares = counts / max(counts.sum(), 1)
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.22)
        axes.stairs(shares, edges, color=color, linewidth=1.6, label=f"{label}, {int(counts.sum()):,}")
    axes.set(xlim=(0, 1), xlabel="Gammaness", ylabel="Share of events per bin")
    axes.set_ylim(0, None)
    axes.legend(loc="upper center")
    return figure


@styled
def auc_per_energy(curves: Mapping[str, QTable], points: QTable | None = None) -> Figure:
    """Draw the area under the ROC curve per bin of energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables ``per_energy`` of `performance.type.type_tables` by the model's name.
    points : QTable, optional
        Published values of `performance.published.ctlearn`, of all energies together: dotted lines.
    """
    figure = new_figure()
    axes = figure.subplots()
    energy = _energy(curves)
    for name, color in colors_of(curves).items():
        draw_curve(axes, curves[name], "auc", color, name, "energy")
    for point in points if points is not None else ():
        label = f"{points.meta['label']}, {point['model']}, all energies"
        axes.axhline(point["value"], color=MUTED, linewidth=1.4, linestyle=":", label=label)
    frame_energy(axes, curves, "energy", energy)
    show_at_least(axes, 0.5, 1.005, curves, "auc")
    axes.set_ylabel("Area under the ROC curve")
    axes.legend(loc="lower right")
    return figure


@styled
def auc_per_intensity(curves: Mapping[str, QTable]) -> Figure:
    """Draw the area under the ROC curve per bin of the image's intensity.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables ``per_intensity`` of `performance.type.type_tables` by the model's name.
    """
    figure = new_figure()
    axes = figure.subplots()
    for name, color in colors_of(curves).items():
        table = curves[name]
        value, low, high = (np.where(table["drawn"], table["auc" + side], np.nan) for side in ("", "_low", "_high"))
        center = table["log_intensity_center"]
        axes.plot(center, value, color=color, marker="o", label=name)
        axes.fill_between(center, low, high, color=color, alpha=0.15, linewidth=0)
    if not any(np.asarray(table["drawn"]).any() for table in curves.values()):
        empty_note(axes, "every bin has too few events")
    show_at_least(axes, 0.5, 1.005, curves, "auc")
    axes.set(xlabel="log10(intensity / p.e.)", ylabel="Area under the ROC curve")
    axes.legend(loc="lower right")
    return figure


@styled
def efficiencies(curves: Mapping[str, QTable]) -> Figure:
    """Draw what a cut at gammaness 0.5 keeps of gammas and others, per bin of energy.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables ``per_energy`` of `performance.type.type_tables` by the model's name.
    """
    figure = new_figure(height=4.6)
    panels = figure.subplots(2, 1, sharex=True)
    energy = _energy(curves)
    labels = {"gamma_efficiency": "Gammas kept", "background_efficiency": "Others kept"}
    for axes, (quantity, label) in zip(panels, labels.items(), strict=True):
        for name, color in colors_of(curves).items():
            draw_curve(axes, curves[name], quantity, color, name, "energy")
        frame_energy(axes, curves, "energy", energy)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel(label)
    panels[0].set_xlabel("")
    panels[0].legend(loc="lower right")
    figure.align_ylabels()
    return figure


@styled
def reliability(curves: Mapping[str, QTable]) -> Figure:
    """Draw the share of gammas over the predicted probability.

    Parameters
    ----------
    curves : mapping of str to QTable
        Tables ``calibration`` of `performance.type.type_tables` by the model's name.
    """
    figure = new_figure(height=4.8)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, label="as it should be")
    for name, color in colors_of(curves).items():
        table = curves[name]
        axes.plot(table["gammaness"], table["gamma_share"], color=color, marker="o", label=name)
        axes.vlines(table["gammaness"], table["gamma_share_low"], table["gamma_share_high"], color=color, linewidth=1.2)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="Gammaness", ylabel="Share of gammas")
    axes.legend(loc="upper left")
    return figure


@styled
def confusion(table: QTable) -> Figure:
    """Draw the decisions, normalised for each particle, at both thresholds.

    Parameters
    ----------
    table : QTable
        ``confusion`` of `performance.type.type_tables`.
    """
    decisions = list(dict.fromkeys(table["decision"]))
    figure = new_figure(width=10.4, height=4.0)
    for axes, decision in zip(figure.subplots(1, len(decisions)), decisions, strict=True):
        rows = table[table["decision"] == decision]
        counts = np.stack([rows["n_as_gamma"], rows["n_as_background"]], axis=1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1)
        axes.grid(visible=False)
        for row, column in np.ndindex(shares.shape):
            text = f"{100 * shares[row, column]:.1f} %\n{counts[row, column]:,}"
            color = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=10)
        axes.set_xticks([0, 1], ["gamma", "other"])
        axes.set_yticks([0, 1], ["gamma", "other"])
        axes.set(xlabel="Taken for", ylabel="True particle")
        threshold = float(rows["threshold"][0])
        at = f" (gammaness ≥ {threshold:.3f})" if np.isfinite(threshold) else ""
        axes.set_title(decision + at, fontsize=11)
    return figure


def _energy(curves: Mapping[str, QTable]) -> str:
    return ENERGY_LABELS[next(iter(curves.values())).meta["energy"]]
