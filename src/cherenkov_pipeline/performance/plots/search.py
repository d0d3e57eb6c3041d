"""Figure of a configuration search: how it went on, and what each parameter does."""

import math

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cherenkov_pipeline.performance.plots.style import AMBER, BLUE, MUTED, ORANGE, empty_note, new_figure, styled

COLUMNS = 3
LONGEST_LABEL = 24


@styled
def search_overview(trials: Table) -> Figure:
    """Draw the objective of every trial in their order, and against each parameter.

    Parameters
    ----------
    trials : Table
        As `cherenkov_pipeline.training.study.SearchResult` has it. Trials that were pruned are drawn open, failed ones
        are left out. The best one is marked.
    """
    names = list(trials.meta["scales"])
    n_rows = 1 + math.ceil(len(names) / COLUMNS)
    figure = new_figure(width=9.0, height=2.8 * n_rows)
    grid = figure.add_gridspec(n_rows, COLUMNS)
    shown = trials[np.isfinite(np.asarray(trials["objective"], dtype=float))]
    best = _best(shown)
    progress = figure.add_subplot(grid[0, :])
    _draw_progress(progress, shown, best)
    for number, name in enumerate(names):
        axes = figure.add_subplot(grid[1 + number // COLUMNS, number % COLUMNS])
        _draw_parameter(axes, shown, name, best)
        axes.set_ylabel(trials.meta["objective"] if number % COLUMNS == 0 else "")
    return figure


def _best(trials: Table) -> int | None:
    """Row of the best trial that finished."""
    finished = np.flatnonzero(np.asarray(trials["state"]) == "finished")
    if not len(finished):
        return None
    objective = _signed(trials)[finished]
    return int(finished[np.argmin(objective)])


def _signed(trials: Table) -> np.ndarray:
    sign = 1 if trials.meta["goal"] == "minimum" else -1
    return sign * np.asarray(trials["objective"], dtype=float)


def _draw_progress(axes: Axes, trials: Table, best: int | None) -> None:
    axes.set(xlabel="Trial", ylabel=trials.meta["objective"])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if best is None:
        empty_note(axes, "no trial has finished")
        return
    number = np.asarray(trials["trial"], dtype=float)
    _draw_trials(axes, number, trials, best, labelled=True)
    finished = np.asarray(trials["state"]) == "finished"
    signed = np.minimum.accumulate(np.where(finished, _signed(trials), np.inf))
    reached = np.isfinite(signed)
    sign = 1 if trials.meta["goal"] == "minimum" else -1
    axes.step(number[reached], sign * signed[reached], where="post", color=MUTED, linewidth=1.2, label="best so far")
    axes.legend()


def _draw_parameter(axes: Axes, trials: Table, name: str, best: int | None) -> None:
    axes.set_xlabel(name)
    if best is None:
        return
    values = trials[name]
    if trials.meta["scales"][name] == "discrete":
        texts = [str(value) for value in values]
        known = list(dict.fromkeys(sorted(texts)))
        place = np.array([known.index(text) for text in texts], dtype=float)
        labels = [text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…" for text in known]
        axes.set_xticks(range(len(known)), labels, rotation=20 if max(map(len, labels)) > 8 else 0)
        axes.set_xlim(-0.5, len(known) - 0.5)
    else:
        place = np.asarray(values, dtype=float)
        if trials.meta["scales"][name] == "logarithmic":
            axes.set_xscale("log")
    _draw_trials(axes, place, trials, best)


def _draw_trials(axes: Axes, place: np.ndarray, trials: Table, best: int, labelled: bool = False) -> None:
    state, objective = np.asarray(trials["state"]), np.asarray(trials["objective"], dtype=float)
    for name, color, face in (("finished", BLUE, BLUE), ("pruned", AMBER, "none")):
        chosen = state == name
        if chosen.any():
            label = name if labelled else None
            axes.plot(place[chosen], objective[chosen], "o", color=color, markerfacecolor=face, label=label)
    axes.plot(place[best], objective[best], "o", color=ORANGE, markersize=11, markerfacecolor="none",
              label="best" if labelled else None)  # fmt: skip
