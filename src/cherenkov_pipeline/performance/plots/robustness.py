"""Figure of the robustness: one metric over each condition that was changed."""

import astropy.units as u
import numpy as np
from astropy.table import QTable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cherenkov_pipeline.performance.plots.style import BLUE, INK, MUTED, empty_note, new_figure, styled
from cherenkov_pipeline.performance.robustness.table import NOTHING


@styled
def ratio_over_conditions(rows: QTable, label: str) -> Figure:
    """Draw the ratio of a metric to its nominal value over the settings of each condition.

    Parameters
    ----------
    rows : QTable
        Those of one metric in `performance.robustness.table.robustness_table`.
    label : str
        Of the metric, for the axis.

    Returns
    -------
    Figure
        One panel a condition; filled where the reconstruction warns, open where it does not. The star is the nominal
        setting.
    """
    changed = rows[np.isfinite(np.asarray(rows["setting"]))]
    names = list(dict.fromkeys(np.asarray(changed["condition"]).tolist()))
    figure = new_figure(width=10.4, height=4.2)
    if not names:
        empty_note(figure.subplots(), "no condition")
        return figure
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        table = changed[np.asarray(changed["condition"]) == name]
        table.sort("setting")
        axes.axhline(1, color=INK, linewidth=0.9)
        axes.plot(table["nominal"][0], 1, "*", color=INK, markersize=11, label="nominal")
        for row in table:
            if np.isfinite([row["ratio_low"], row["ratio_high"]]).all():
                axes.vlines(row["setting"], row["ratio_low"], row["ratio_high"], color=BLUE, linewidth=2)
        noticed = np.asarray(table["noticed"]) != NOTHING
        for mask, fill, text in ((noticed, BLUE, "warned of"), (~noticed, "white", "not noticed")):
            axes.plot(
                table["setting"][mask],
                table["ratio"][mask],
                "o",
                color=BLUE,
                markerfacecolor=fill,
                markersize=7,
                label=text,
            )
        unit = table["setting_unit"][0]
        axes.set_xlabel(f"{name} [{u.Unit(str(unit)):unicode}]" if unit else name)
        axes.margins(x=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.tick_params(axis="x", color=MUTED)
    panels[0].set_ylabel(f"{label}, over nominal")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3)
    return figure
