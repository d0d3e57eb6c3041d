"""Curves of several models of one task in the same axes, with published ones."""

from collections.abc import Callable, Mapping
from functools import partial

import astropy.units as u
import numpy as np
from astropy.table import QTable
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from cherenkov_pipeline.performance.plots import direction, energy, regression, type, uncertainty
from cherenkov_pipeline.performance.plots.curves import shared_legend
from cherenkov_pipeline.performance.plots.style import plain_decades, styled
from cherenkov_pipeline.performance.published import ctlearn, random_forest_direction, random_forest_energy
from cherenkov_pipeline.performance.regression import CORE, XMAX, Quantity
from cherenkov_pipeline.performance.report import direction as direction_report
from cherenkov_pipeline.performance.report import energy as energy_report
from cherenkov_pipeline.performance.report import regression as regression_report
from cherenkov_pipeline.performance.report import type as type_report

WIDE = 8
"""Ratio of the largest to the smallest resolution beyond which a linear axis hides the small ones."""

Tables = Mapping[str, Mapping[str, QTable]]
"""Tables of `performance.evaluations` by the model's label."""

CAPTIONS: dict[str, dict[str, tuple]] = {
    "energy": {**energy_report.FIGURES, **energy_report.UNCERTAINTY_FIGURES},
    "type": {**type_report.FIGURES, **type_report.CURVES},
    "skydirection": {**direction_report.FIGURES, **direction_report.UNCERTAINTY_FIGURES},
    "cameradirection": {**direction_report.FIGURES, **direction_report.UNCERTAINTY_FIGURES},
    "core": regression_report.FIGURES,
    "xmax": regression_report.FIGURES,
}
"""Titles and captions of the figures by task: those of the report of one model."""


def overlays(task: str, tables: Tables, published: str | None, mode: str) -> dict[str, Figure]:
    """Draw every curve of a task for several models.

    Parameters
    ----------
    task : str
    tables : mapping
        By the model's label, from the same events.
    published : str or None
        Published curve of the random forest, as `EvaluationParameters.published_curve`; None draws nothing published.
    mode : str
        ``mono`` or ``stereo``: which of CTLearn's areas under the ROC curve are drawn.

    Returns
    -------
    dict of str to Figure
        By names of `CAPTIONS`.
    """
    figures = _DRAWN[task](tables, published, mode)
    return {name: shared_legend(figure) for name, figure in figures.items()}


def _of(tables: Tables, name: str) -> dict[str, QTable]:
    return {label: found[name] for label, found in tables.items()}


@styled
def _readable(figure: Figure, curves: Mapping[str, QTable], quantity: str) -> Figure:
    """Make the vertical axis logarithmic where one bad model would squeeze the others into a line."""
    values = np.concatenate([np.asarray(table[quantity])[np.asarray(table["drawn"])] for table in curves.values()])
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) and values.max() > WIDE * values.min():
        (axes,) = figure.axes
        points = np.concatenate([np.asarray(line.get_xydata(), dtype=float) for line in axes.lines])
        left, right = axes.get_xlim()
        shown = points[(points[:, 0] > left) & (points[:, 0] < right) & (points[:, 1] > 0), 1]
        axes.set_yscale("log")
        axes.set_ylim(shown.min() / 1.25, 1.5 * values.max())
        plain_decades(axes.yaxis)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    return figure


def _energy(tables: Tables, published: str | None, mode: str) -> dict[str, Figure]:
    curves = _of(tables, "per_energy")
    forest = random_forest_energy(published) if published else None
    points = ctlearn("energy_resolution", "stereo") if published else None
    return {
        "resolution": _readable(energy.energy_resolution(curves, forest, points), curves, "resolution"),
        "bias": energy.energy_bias(curves, forest),
        "coverage": uncertainty.coverage(curves),
        "pulls_per_energy": uncertainty.pull_per_energy(curves),
    }


def _type(tables: Tables, published: str | None, mode: str) -> dict[str, Figure]:
    curves = _of(tables, "per_energy")
    return {
        "roc": type.roc(_of(tables, "roc")),
        "reliability": type.reliability(_of(tables, "calibration")),
        "auc": type.auc_per_energy(curves, ctlearn("auc", mode) if published else None),
        "intensity": type.auc_per_intensity(_of(tables, "per_intensity")),
        "efficiency": type.efficiencies(curves),
    }


def _direction(tables: Tables, published: str | None, mode: str) -> dict[str, Figure]:
    curves = _of(tables, "per_energy")
    forest = random_forest_direction(published) if published else None
    points = ctlearn("angular_resolution", "stereo") if published else None
    return {
        "resolution": _readable(direction.angular_resolution(curves, forest, points), curves, "angular_resolution"),
        "within": direction.share_within(_of(tables, "within")),
        "right_side": direction.right_side(curves),
        "coverage": uncertainty.coverage(curves),
        "bias": direction.direction_bias(curves, {"alt": "Altitude [deg]", "az": "Azimuth [deg]"}),
    }


def _camera(tables: Tables, published: str | None, mode: str) -> dict[str, Figure]:
    camera = direction.direction_bias(_of(tables, "per_energy"), {"x": "x [mm]", "y": "y [mm]"})
    return {**_direction(tables, published, mode), "camera": camera}


def _regression(tables: Tables, published: str | None, mode: str, quantity: Quantity) -> dict[str, Figure]:
    curves, unit = _of(tables, "per_energy"), f"{u.Unit(quantity.unit):unicode}"
    biases = {f"bias_{one.name}": one.label for one in quantity.coordinates}
    name = quantity.resolution.name
    resolution = regression.resolution(curves, name, f"{quantity.title}: resolution [{unit}]")
    return {
        "resolution": _readable(resolution, curves, name),
        "bias": regression.bias(curves, biases, unit),
        "coverage": uncertainty.coverage(curves, f"coverage_68_{quantity.coordinates[0].name}"),
    }


_DRAWN: dict[str, Callable[[Tables, str | None, str], dict[str, Figure]]] = {
    "energy": _energy,
    "type": _type,
    "skydirection": _direction,
    "cameradirection": _camera,
    "core": partial(_regression, quantity=CORE),
    "xmax": partial(_regression, quantity=XMAX),
}
