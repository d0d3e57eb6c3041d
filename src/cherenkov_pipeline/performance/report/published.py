"""What CTLearn's authors published, beside what a report shows: an orientation, as it is of other events."""

from collections.abc import Mapping

import astropy.units as u
import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.published import ctlearn, ctlearn_after_cuts
from cherenkov_pipeline.performance.report.content import Cell, Section, Table
from cherenkov_pipeline.performance.report.tables import MISSING, cell, format_number
from cherenkov_pipeline.performance.response.parameters import ResponseParameters

TITLE = "Published by CTLearn"
FACTOR = 2
"""Ratio to a published value of a response that is accepted, and its inverse."""

_BY_TASK = {
    "energy": ("energy_resolution",),
    "type": ("auc", "accuracy"),
    "skydirection": ("angular_resolution",),
    "cameradirection": ("angular_resolution",),
}
_IN_RESPONSE = {
    "sensitivity": ("sensitivity", "sensitivity"),
    "energy_resolution": ("energy", "resolution"),
    "angular_resolution": ("direction", "angular_resolution"),
}
"""Quantity -> table of the response and column."""


def beside_models(task: str, mode: str) -> tuple[Section, ...]:
    """Make the section of a comparison; figures after cuts are listed beside models of whole events alone.

    Parameters
    ----------
    task : str
    mode : str
        ``mono`` or ``stereo``: what the models take.

    Returns
    -------
    tuple of Section
        Empty where nothing is published.
    """
    rows = []
    for quantity in _BY_TASK.get(task, ()):
        for kind in ("mono", "stereo"):
            for row in ctlearn(quantity, kind):
                energies = _range(row["true_energy_low"], row["true_energy_high"], "all")
                value = Cell(format_number(float(row["value"])), float(row["value"]))
                rows.append(_row(quantity, f"{row['model']}, {kind}", "none", energies, value, row["source"]))
        if mode == "stereo":
            for row in ctlearn_after_cuts(quantity):
                energies = _range(row["energy"], row["energy"], "not told")
                value = _span(row["low"], row["high"])
                rows.append(_row(quantity, f"{row['model']}, stereo", "after cuts", energies, value, row["source"]))
    if not rows:
        return ()
    caption = "Of other events: an orientation, not a comparison. The models of this page are judged without cuts."
    header = ("Quantity", "Model", "Cuts", "E_true", "Value", "Source")
    return (Section(TITLE, (Table(header, tuple(rows), f"{caption} Angles in degrees."),)),)


def after_cuts(parameters: ResponseParameters) -> dict[str, QTable]:
    """Choose the published values that are of the kind of a response: of an array, with the same observation time.

    Returns
    -------
    dict of str to QTable
        From `performance.published.ctlearn_after_cuts`, by quantity.
    """
    if parameters.level != "subarray":
        return {}
    found = {quantity: ctlearn_after_cuts(quantity) for quantity in _IN_RESPONSE}
    if not np.isclose(found["sensitivity"].meta["observation_hours"], parameters.observation_time.to_value("h")):
        del found["sensitivity"]
    return found


def beside_response(tables: Mapping[str, QTable], parameters: ResponseParameters) -> tuple[Section, ...]:
    """Make the section of an instrument response.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.response.tables.response_tables`.
    parameters : ResponseParameters

    Returns
    -------
    tuple of Section
        Empty where nothing of the kind is published, see `after_cuts`.
    """
    rows, conventions = [], ""
    for quantity, published in after_cuts(parameters).items():
        name, column = _IN_RESPONSE[quantity]
        conventions = published.meta["conventions"]
        for row in published:
            unit = f" [{row['low'].unit:unicode}]" if row["low"].unit != u.one else ""
            energy = _range(row["energy"], row["energy"], "not told")
            values = _here(tables[name], column, row)
            here = _span(values.min(), values.max()) if len(values) else Cell(MISSING)
            within = cell(_agrees(values, row))
            rows.append(_row(f"{quantity}{unit}", energy, _span(row["low"], row["high"]), here, within, row["source"]))
    if not rows:
        return ()
    caption = (
        f"CTLearn's stereo models on SST-1M simulations at 20° of zenith, after cuts: {conventions}. Other events and "
        "other cuts: an orientation, not a comparison. Here: in the bin of that energy; where it is not told, the "
        "smallest and the largest value of the bins that are drawn, and no verdict."
    )
    header = ("Quantity", "Energy", "Published", "Here", f"Within a factor {FACTOR}", "Source")
    return (Section(TITLE, (Table(header, tuple(rows), caption, in_summary=True),)),)


def sensitivity_verdict(table: QTable, parameters: ResponseParameters) -> str:
    """Say whether a sensitivity is near the published one; nothing where there is none of the kind, or none here."""
    for row in after_cuts(parameters).get("sensitivity", ()):
        within = _agrees(_here(table, _IN_RESPONSE["sensitivity"][1], row), row)
        if within is not None:
            at = _range(row["energy"], row["energy"], "")
            text = f"At {at} the sensitivity is{'' if within else ' not'} within a factor {FACTOR} of the published one"
            return f"{text}." if within else f"{text}, which is of other events and other cuts."
    return ""


def _row(quantity: str, *cells: object) -> tuple[Cell, ...]:
    found = [one if isinstance(one, Cell) else Cell(str(one)) for one in cells]
    return (Cell(quantity[:1].upper() + quantity[1:].replace("_", " ")), *found)


def _range(low: u.Quantity, high: u.Quantity, unknown: str) -> str:
    low, high = low.to_value("TeV"), high.to_value("TeV")
    if np.isnan(low):
        return unknown
    return f"{low:g} TeV" if low == high else f"{low:g} to {high:g} TeV"


def _here(table: QTable, column: str, published: QTable.Row) -> u.Quantity:
    """Values of a response where one is published: (n,), of all bins that are drawn where its energy is not told."""
    shown = table[table["drawn"]]
    if np.isfinite(published["energy"]):
        at = published["energy"]
        shown = shown[(shown["reco_energy_low"] <= at) & (at < shown["reco_energy_high"])]
    return u.Quantity(shown[column]).to(published["low"].unit)


def _agrees(values: u.Quantity, published: QTable.Row) -> bool | None:
    """Whether values are within `FACTOR` of a published one; None where there are none, or its energy is not told."""
    if not len(values) or not np.isfinite(published["energy"]):
        return None
    return bool(np.all((values >= published["low"] / FACTOR) & (values <= FACTOR * published["high"])))


def _span(low: u.Quantity, high: u.Quantity) -> Cell:
    texts = dict.fromkeys(format_number(float(one.value)) for one in (low, high))
    return Cell(" to ".join(texts), float(low.value))
