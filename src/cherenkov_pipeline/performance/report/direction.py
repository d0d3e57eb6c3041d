"""The report of a direction model, on the sky or in the camera."""

from collections.abc import Mapping

import matplotlib.figure
import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.plots import direction as plots
from cherenkov_pipeline.performance.plots import uncertainty
from cherenkov_pipeline.performance.plots.curves import shared_legend
from cherenkov_pipeline.performance.published import random_forest_direction
from cherenkov_pipeline.performance.report.common import (
    GAMMA_EVENTS,
    Rows,
    bins_convention,
    estimate,
    intervals_convention,
    key_numbers,
    regression_sections,
    rows_of,
    weights_convention,
)
from cherenkov_pipeline.performance.report.content import Drawing
from cherenkov_pipeline.performance.report.gallery import ERROR_CAPTIONS, gallery_section
from cherenkov_pipeline.performance.report.tables import format_number
from cherenkov_pipeline.performance.report.task import TaskResult

FIGURES = {
    "resolution": (
        "Angular resolution",
        "68.27 % containment, with its bootstrap interval. Full line: all events. Broken lines: events whose source "
        "was put on the right side of the image, as the published reference of one telescope has it.",
    ),
    "within": ("Fraction of events within an angle", "With its interval; the dotted line marks 68.27 %."),
    "theta2": (
        "θ²",
        "Squared angle to the true direction, and to the place across the pointing from it, as far as both regions do "
        "not overlap.",
    ),
    "field_of_view": (
        "Directions in the field of view",
        "True and reconstructed directions relative to the pointing (cross).",
        True,
    ),
    "bias": ("Bias and standard deviation", "Of altitude and azimuth, with their bootstrap intervals.", True),
    "camera": ("Bias and standard deviation in the camera", "Of x and y in the camera frame.", True),
}
UNCERTAINTY_FIGURES = {
    "right_side": ("Side of the image", "Share of events whose source was put on its side of the image's centroid."),
    "quarters": (
        "Quarters by predicted error",
        "Events sorted by their predicted radius: a good prediction tells good events from bad ones.",
    ),
    "coverage": ("Coverage per energy", "Fraction of sources inside the predicted 68.27 % radius."),
}


def direction_figures(
    tables: Mapping[str, QTable], model: str, published: str | None
) -> dict[str, matplotlib.figure.Figure]:
    """Draw every figure of a direction on the sky.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.direction.direction_tables`.
    model : str
        Name for the legends.
    published : str or None
        Published curve that is drawn for reference, from `performance.published.published_for`.

    Returns
    -------
    dict of str to Figure
        ``resolution``, ``within``, ``theta2``, ``field_of_view``, ``bias``, ``right_side``, ``quarters``, ``coverage``.
    """
    forest = random_forest_direction(published) if published else None
    curves = {model: tables["per_energy"]}
    return {
        "resolution": shared_legend(plots.angular_resolution(curves, forest)),
        "within": plots.share_within({model: tables["within"]}),
        "theta2": plots.theta_squared(tables["theta2"]),
        "field_of_view": plots.field_of_view(tables["field_of_view"]),
        "bias": plots.direction_bias(curves, {"alt": "Altitude [deg]", "az": "Azimuth [deg]"}),
        "right_side": plots.right_side(curves),
        "quarters": uncertainty.error_quarters(tables["quarters"], "angular_resolution", "Angular resolution [deg]"),
        "coverage": uncertainty.coverage(curves),
    }


def camera_figures(
    tables: Mapping[str, QTable], model: str, published: str | None
) -> dict[str, matplotlib.figure.Figure]:
    """Draw every figure of a direction in the camera: those of `direction_figures`, and ``camera``."""
    curves = {model: tables["per_energy"]}
    return {
        **direction_figures(tables, model, published),
        "camera": plots.direction_bias(curves, {"x": "x [mm]", "y": "y [mm]"}),
    }


def direction_result(tables: Mapping[str, QTable], figures: Mapping[str, Drawing]) -> TaskResult:
    """Make the direction's part of a report.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.direction.direction_tables`.
    figures : mapping of str to Drawing
        From `direction_figures` or `camera_figures` and from `report.gallery.gallery_figures`; a figure that is not
        there is left out.
    """
    metrics = rows_of(tables["metrics"])
    sections = regression_sections(
        tables, figures, FIGURES, UNCERTAINTY_FIGURES, _QUANTITIES, "Quarters by predicted radius."
    )
    events = gallery_section(tables["gallery"], figures, ERROR_CAPTIONS, _EVENT_QUANTITIES)
    summary = _summary(metrics, tables["metrics"].meta["confidence"])
    return TaskResult(summary, key_numbers(metrics, _KEY_NUMBERS), (*sections, events), _conventions(tables))


_QUANTITIES = {
    "predicted_error": "Predicted radius",
    "angular_resolution": "Resolution",
    "angular_resolution_right": "Right side alone",
    "right_side": "On the right side",
    "containment_50": "50 %",
    "containment_95": "95 %",
    "coverage_68": "Coverage",
}
_EVENT_QUANTITIES = {
    "angle": "Angle to the truth",
    "predicted_error": "Predicted radius",
    "true_energy": "E_true",
    "true_alt": "True altitude",
    "true_az": "True azimuth",
    "reco_alt": "Altitude",
    "reco_az": "Azimuth",
}
_KEY_NUMBERS = (
    ("Angular resolution", "angular_resolution", 1, "°"),
    ("On the right side", "right_side", 100, " %"),
    ("Coverage of 68 % radii", "coverage_68", 100, " %"),
    ("Better half / worse half", "half_ratio", 1, ""),
)


def _conventions(tables: Mapping[str, QTable]) -> dict[str, str]:
    found = {
        "Events": GAMMA_EVENTS,
        "Energy bins": bins_convention(tables["per_energy"]),
        "Angle": "on the sphere, between true and reconstructed direction",
        "Angular resolution": "68.27 % containment of the angle (pyirf), all events",
        "Right side": "the source lies on the side of the image's centroid, along its main axis, where it was put",
        "θ² off": "angle to the place that lies across the pointing from the true direction; of the events whose "
        "source is at least as far from the pointing, as the source itself would be counted else; scaled to all events",
        "Coverage": "fraction of events whose angle is within the predicted radius; 68.27 % if the radii are right",
        "Halves": "68.27 % containment of the half with the smaller predicted radii, over that of the other half",
    }
    if "bias_x" in tables["per_energy"].colnames:
        found["Camera"] = "ctapipe's camera frame, with the equivalent focal length"
    return {
        **found,
        "Weighted": weights_convention(tables["metrics_weighted"]),
        "Intervals": intervals_convention(tables["metrics"]),
    }


def _summary(metrics: Rows, confidence: float) -> str:
    n_valid, n_invalid = int(metrics["events_valid"]["value"]), int(metrics["events_invalid"]["value"])
    if not n_valid:
        return "No gamma event has a valid direction: there is nothing to evaluate."
    resolution, interval = estimate(metrics["angular_resolution"])
    text = (
        f"On {format_number(n_valid)} of {format_number(n_valid + n_invalid)} gammas the direction is "
        f"reconstructed with a resolution (68.27 % containment) of {resolution}° ({interval})."
    )
    if np.isfinite(metrics["right_side"]["value"]):
        share, share_interval = estimate(metrics["right_side"], factor=100)
        text += f" {share} % ({share_interval}) are put on the right side of the image."
    if metrics["coverage_68"]["n"]:
        coverage, coverage_interval = estimate(metrics["coverage_68"], factor=100)
        text += f" The predicted 68 % radii hold {coverage} % ({coverage_interval}) of the sources."
    if interval:
        text += f" In brackets: {100 * confidence:g} % intervals."
    return text.replace(" ()", "")
