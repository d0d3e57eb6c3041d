"""The report of a model of any other quantity: core position, depth of the shower maximum."""

from collections.abc import Mapping

import astropy.units as u
import matplotlib.figure
from astropy.table import QTable

from cherenkov_pipeline.performance.plots import regression as plots
from cherenkov_pipeline.performance.plots import uncertainty
from cherenkov_pipeline.performance.regression import CORE, XMAX, Quantity
from cherenkov_pipeline.performance.report.common import (
    GAMMA_EVENTS,
    Rows,
    bins_convention,
    bins_table,
    estimate,
    intervals_convention,
    key_numbers,
    quarters_table,
    results,
    rows_of,
    weights_convention,
)
from cherenkov_pipeline.performance.report.content import Drawing, Section
from cherenkov_pipeline.performance.report.gallery import ERROR_CAPTIONS, gallery_section
from cherenkov_pipeline.performance.report.tables import format_number
from cherenkov_pipeline.performance.report.task import TaskResult, illustrations

FIGURES = {
    "resolution": ("Resolution", "With its bootstrap interval."),
    "bias": ("Bias", "Median of reconstructed − true, with its bootstrap interval."),
    "errors": ("Errors", "Distribution of reconstructed − true."),
    "coverage": ("Coverage per energy", "Fraction of events inside the predicted 68.27 % interval."),
    "quarters": ("Quarters by predicted error", "Events sorted by their predicted error."),
}


def regression_figures(
    tables: Mapping[str, QTable], model: str, quantity: Quantity
) -> dict[str, matplotlib.figure.Figure]:
    """Draw every figure: ``resolution``, ``bias``, ``errors``, ``coverage`` (of the first coordinate), ``quarters``.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.regression.regression_tables`.
    model : str
        Name for the legends.
    quantity : Quantity
    """
    curves = {model: tables["per_energy"]}
    unit = f"{u.Unit(quantity.unit):unicode}"
    resolution, label = quantity.resolution, f"{quantity.title}: resolution [{unit}]"
    names = {one.name: one.label for one in quantity.coordinates}
    return {
        "resolution": plots.resolution(curves, resolution.name, label),
        "bias": plots.bias(curves, {f"bias_{name}": text for name, text in names.items()}, unit),
        "errors": plots.error_distribution(tables["distribution"], names, unit),
        "coverage": uncertainty.coverage(curves, f"coverage_68_{quantity.coordinates[0].name}"),
        "quarters": uncertainty.error_quarters(tables["quarters"], resolution.name, label),
    }


def regression_result(tables: Mapping[str, QTable], figures: Mapping[str, Drawing], quantity: Quantity) -> TaskResult:
    """Make the quantity's part of a report; a figure that is not there is left out."""
    metrics = rows_of(tables["metrics"])
    resolution = {quantity.resolution.name: "Resolution"}
    shown = resolution | {
        f"{name}_{one.name}": f"{label}, {one.label}"
        for one in quantity.coordinates
        for name, label in (("bias", "Bias"), ("resolution", "Half width"), ("coverage_68", "Coverage"))
    }
    sections = (
        Section("Results", results(tables)),
        Section(
            "Performance",
            (
                *illustrations(FIGURES, figures),
                bins_table(tables["per_energy"], "true_energy", "E_true [TeV]", shown),
                quarters_table(
                    tables["quarters"],
                    {"predicted_error": "Predicted error"} | resolution,
                    "Quarters by predicted error.",
                ),
            ),
        ),
        gallery_section(tables["gallery"], figures, ERROR_CAPTIONS, _event_quantities(quantity)),
    )
    conventions = {
        "Events": GAMMA_EVENTS,
        "Energy bins": bins_convention(tables["per_energy"]),
        "Error": "reconstructed − true",
        "Coverage": "fraction of events within the predicted error; 68.27 % if the errors are right",
        "Weighted": weights_convention(tables["metrics_weighted"]),
        "Intervals": intervals_convention(tables["metrics"]),
    }
    unit = f" {u.Unit(quantity.unit):unicode}"
    entries = ((quantity.resolution.label, quantity.resolution.name, 1, unit),)
    entries += tuple((f"Bias of {one.label}", f"bias_{one.name}", 1, unit) for one in quantity.coordinates)
    return TaskResult(_summary(metrics, quantity), key_numbers(metrics, entries), sections, conventions)


def _event_quantities(quantity: Quantity) -> dict[str, str]:
    found = {"distance": "Distance to the truth", "predicted_error": "Predicted error", "true_energy": "E_true"}
    for one in quantity.coordinates:
        found |= {f"true_{one.name}": f"True {one.label}", f"reco_{one.name}": f"Reconstructed {one.label}"}
    return found


def _summary(metrics: Rows, quantity: Quantity) -> str:
    n_valid, n_invalid = int(metrics["events_valid"]["value"]), int(metrics["events_invalid"]["value"])
    if not n_valid:
        return f"No gamma event has a valid {quantity.title.lower()}: there is nothing to evaluate."
    value, interval = estimate(metrics[quantity.resolution.name])
    text = (
        f"{quantity.title} of {format_number(n_valid)} of {format_number(n_valid + n_invalid)} gammas. "
        f"{quantity.resolution.label}: {value} {u.Unit(quantity.unit):unicode} ({interval})."
    )
    return text.replace(" ()", "")


def core_figures(
    tables: Mapping[str, QTable], model: str, published: str | None
) -> dict[str, matplotlib.figure.Figure]:
    """Draw every figure of the core position, see `regression_figures`."""
    return regression_figures(tables, model, CORE)


def core_result(tables: Mapping[str, QTable], figures: Mapping[str, Drawing]) -> TaskResult:
    """Make the core position's part of a report."""
    return regression_result(tables, figures, CORE)


def xmax_figures(
    tables: Mapping[str, QTable], model: str, published: str | None
) -> dict[str, matplotlib.figure.Figure]:
    """Draw every figure of the depth of the shower maximum, see `regression_figures`."""
    return regression_figures(tables, model, XMAX)


def xmax_result(tables: Mapping[str, QTable], figures: Mapping[str, Drawing]) -> TaskResult:
    """Make the part of the depth of the shower maximum of a report."""
    return regression_result(tables, figures, XMAX)
