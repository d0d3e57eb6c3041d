"""The report of a reconstruction: what was predicted for the events of some files."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.table import Table as AstropyTable

from cherenkov_pipeline.directions import separation
from cherenkov_pipeline.dl1.contents import IMAGE, PRIMARY
from cherenkov_pipeline.performance.report.content import (
    Cell,
    Drawing,
    Facts,
    Figure,
    KeyNumber,
    ReportContent,
    Section,
    Table,
    Text,
)
from cherenkov_pipeline.performance.report.tables import format_number, table_of
from cherenkov_pipeline.performance.report.task import footer, productions_text, provenance_section
from cherenkov_pipeline.store.quantities import LABELS

#: Events that the page lists; the DL2 files hold all of them.
LISTED_EVENTS = 500

_COLUMNS = {
    "production": "Production",
    "obs_id": "Run",
    "event_id": "Event",
    "tel_id": "Tel.",
    "hillas_intensity": "Intensity [p.e.]",
    "true_energy": "E_true",
    "reco_energy": "E_reco",
    "relative_error": "ΔE/E",
    "gammaness": "Gammaness",
    "reco_alt": "Alt.",
    "reco_az": "Az.",
    "reco_ang_distance_uncert": "68 % radius",
    "angle": "Angle to truth",
    "validity": "Valid",
}

_DRIFT = {
    "data": "Images of",
    "reference": "Training images of",
    "quantity": "Quantity",
    "distance": "Distance",
    "chance": "Chance",
    "median_at": "Median at quantile",
    "n_images": "Images",
    "drifted": "Differs",
    "tasks": "Models of",
}

_UNKNOWN_PRIMARY = -1


def reconstruction_report(
    events: AstropyTable,
    facts: Mapping[str, str],
    provenance: pd.DataFrame,
    figure: Drawing,
    created: datetime,
    drift: AstropyTable | None = None,
) -> ReportContent:
    """Put the report of a reconstruction together.

    Parameters
    ----------
    events : Table
        One row a prediction: the columns of a predictions table of any tasks, of images or of events, and where it is
        known ``reason`` (text, why ``is_valid`` is False). True energies may be NaN or absent.
    facts : mapping of str to str
        What is worth knowing: inputs, models, where the DL2 files are.
    provenance : DataFrame
        ``step``, ``item``, ``fingerprint``, ``n_in``, ``n_out``, ``detail``.
    figure : Drawing
        Of `performance.plots.energy.true_against_reco`, of the events that are judged.
    created : datetime
        With time zone.
    drift : Table, optional
        From `cherenkov_pipeline.reconstruction.drift.drift_table`.

    Returns
    -------
    ReportContent
        Without truth there is no figure and no error.
    """
    events = AstropyTable(events)
    valid = np.asarray(events["is_valid"], dtype=bool)
    gamma = judged_gammas(events)
    blocks = []
    key_numbers = [
        KeyNumber("Predictions", format_number(len(events))),
        KeyNumber("Valid", format_number(int(valid.sum()))),
    ]
    summary = f"{format_number(int(valid.sum()))} of {format_number(len(events))} predictions are valid."
    events["relative_error"] = _relative_error(events, valid & gamma)
    events["angle"] = _angle(events, valid & gamma) << u.deg
    typical = []
    known = np.isfinite(events["relative_error"])
    if known.any():
        value = f"{np.median(np.abs(events['relative_error'][known])):.2f}"
        number = format_number(int(known.sum()))
        typical.append(f"|E_reco/E_true − 1| of the {number} gammas with a known truth is {value}")
        key_numbers.append(KeyNumber("Median |E_reco/E_true − 1|", value))
        blocks.append(Figure(figure, "Reconstructed against true energy", "Each gamma with its predicted error."))
    angle = np.asarray(events["angle"])
    if np.isfinite(angle).any():
        value = f"{np.nanmedian(angle):.2f}°"
        typical.append(f"angle between reconstructed and true direction is {value}")
        key_numbers.append(KeyNumber("Median angle to the truth", value))
    if typical:
        summary += f" The median {', and the median '.join(typical)}."
    blocks.append(_events_table(events))
    return ReportContent(
        kind="Reconstruction report",
        title="Reconstructed events",
        summary=summary,
        key_numbers=tuple(key_numbers),
        sections=(
            Section("Events", tuple(blocks)),
            *(() if drift is None else (drift_section(drift),)),
            Section("Run", (Facts(dict(facts)),)),
            provenance_section(provenance),
        ),
        footer=footer(created),
        data=productions_text(events["production"]),
    )


def drift_section(drift: AstropyTable) -> Section:
    """Make the section that says whether the images look like the training data."""
    title = "Compared with the training data"
    if not len(drift):
        return Section(title, (Text("The models' cards do not tell what their training data look like."),))
    drifted = int(np.sum(drift["drifted"]))
    verdict = "No quantity differs from the training data."
    if drifted:
        verdict = f"{drifted} of {len(drift)} differ from the training data: predictions may be biased."
    labels = AstropyTable(drift)
    labels["quantity"] = [LABELS.get(name, name) for name in drift["quantity"]]
    caption = (
        f"Distance: the largest difference of the cumulated distributions, given intensity and time gradient of the "
        f"image; it differs from {drift.meta['limit']:g} on, where chance hardly makes it so large and there are "
        f"{drift.meta['minimum_events']} events."
    )
    return Section(title, (Text(verdict), table_of(labels, caption, _DRIFT)))


def judged_gammas(events: AstropyTable) -> np.ndarray:
    """Tell which events are judged: gammas, as energies and directions are those of gammas; without a type all."""
    primary = np.asarray(events[PRIMARY]) if PRIMARY in events.colnames else np.zeros(len(events))
    return (primary == 0) | (primary == _UNKNOWN_PRIMARY)


def _relative_error(events: AstropyTable, valid: np.ndarray) -> np.ndarray:
    """E_reco/E_true - 1; NaN where either is not known."""
    names = ("true_energy", "reco_energy")
    if not all(name in events.colnames for name in names):
        return np.full(len(events), np.nan)
    true, reco = (u.Quantity(events[name]).to_value("TeV") for name in names)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(valid & (true > 0), reco / true - 1, np.nan)


def _angle(events: AstropyTable, valid: np.ndarray) -> np.ndarray:
    """Angle between true and reconstructed direction [deg]; NaN where either is not known."""
    names = ("true_az", "true_alt", "reco_az", "reco_alt")
    if not all(name in events.colnames for name in names):
        return np.full(len(events), np.nan)
    return np.where(valid, separation(*(u.Quantity(events[name]).to_value("deg") for name in names)), np.nan)


def _events_table(events: AstropyTable) -> Table:
    listed = events[:LISTED_EVENTS]
    for key in (key for key in IMAGE if key in listed.colnames):  # events of all telescopes have no tel_id
        listed[key] = np.asarray(listed[key]).astype(str)  # numbers that name something have no separators
    listed["validity"] = _validity(listed)
    caption = "Values without a valid prediction are missing, not guessed."
    if len(events) > LISTED_EVENTS:
        caption += f" The first {LISTED_EVENTS} of {format_number(len(events))} predictions; the DL2 files hold all."
    shown = [name for name in events.colnames if events[name].dtype.kind != "f" or np.isfinite(events[name]).any()]
    has_energies = "reco_energy" in events.colnames
    shown += ["reco_energy"] * has_energies + ["validity"]  # energies are listed even if none is valid
    names = {column: name for column, name in _COLUMNS.items() if column in shown}
    productions = sorted(set(events["production"])) if "production" in names else []
    if len(productions) == 1:
        del names["production"]
        caption += f" All of {productions[0]}."
    table = table_of(listed, caption, names=names)
    if not has_energies:
        return table
    column = list(names).index("reco_energy")
    errors = u.Quantity(listed["reco_energy_uncert"]).to_value(listed["reco_energy"].unit)
    rows = tuple(
        (*row[:column], _with_error(row[column], error), *row[column + 1 :])
        for row, error in zip(table.rows, errors, strict=True)
    )
    return replace(table, rows=rows)


def _validity(events: AstropyTable) -> list[str]:
    reasons = events["reason"] if "reason" in events.colnames else [""] * len(events)
    return [
        "yes" if valid else f"no: {reason}" if reason else "no"
        for valid, reason in zip(events["is_valid"], reasons, strict=True)
    ]


def _with_error(energy: Cell, error: float) -> Cell:
    return replace(energy, text=f"{energy.text} ± {format_number(error, 2)}") if np.isfinite(error) else energy
