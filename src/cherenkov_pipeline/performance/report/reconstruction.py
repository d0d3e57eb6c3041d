"""The report of a reconstruction: what was predicted for the events of some files."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.table import Table as AstropyTable

from cherenkov_pipeline.performance.plots.energy import true_against_reco
from cherenkov_pipeline.performance.report.content import (
    Cell,
    Facts,
    Figure,
    KeyNumber,
    ReportContent,
    Section,
    Table,
)
from cherenkov_pipeline.performance.report.tables import format_number, table_of
from cherenkov_pipeline.performance.report.task import footer, provenance_section

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
    "validity": "Valid",
}
_KEYS = ("obs_id", "event_id", "tel_id")


def reconstruction_report(
    events: AstropyTable, facts: Mapping[str, str], provenance: pd.DataFrame, created: datetime
) -> ReportContent:
    """Put the report of a reconstruction together.

    Parameters
    ----------
    events : Table
        One row a prediction: the columns of a predictions table, and where it is known ``reason`` (text, why
        ``is_valid`` is False). True energies may be NaN or absent.
    facts : mapping of str to str
        What is worth knowing: inputs, models, where the DL2 files are.
    provenance : DataFrame
        ``step``, ``item``, ``fingerprint``, ``n_in``, ``n_out``, ``detail``.
    created : datetime
        With time zone.

    Returns
    -------
    ReportContent
        Without truth there is no figure and no error.
    """
    events = AstropyTable(events)
    valid = np.asarray(events["is_valid"], dtype=bool)
    blocks = []
    key_numbers = [
        KeyNumber("Predictions", format_number(len(events))),
        KeyNumber("Valid", format_number(int(valid.sum()))),
    ]
    summary = f"{format_number(int(valid.sum()))} of {format_number(len(events))} energies could be reconstructed."
    if "true_energy" in events.colnames:
        true, reco = (u.Quantity(events[name]).to_value("TeV") for name in ("true_energy", "reco_energy"))
        with np.errstate(invalid="ignore", divide="ignore"):
            events["relative_error"] = np.where(valid & (true > 0), reco / true - 1, np.nan)
        known = np.isfinite(events["relative_error"])
        if known.any():
            errors = np.abs(events["relative_error"][known])
            typical = f"{np.median(errors):.2f}"
            n_known = format_number(int(known.sum()))
            summary += f" The median |E_reco/E_true − 1| of the {n_known} with a known truth is {typical}."
            key_numbers.append(KeyNumber("Median |E_reco/E_true − 1|", typical))
            caption = "Each event with its predicted error."
            blocks.append(Figure(true_against_reco(events), "Reconstructed against true energy", caption))
    blocks.append(_events_table(events))
    return ReportContent(
        kind="Reconstruction report",
        title="Reconstructed events",
        summary=summary,
        key_numbers=tuple(key_numbers),
        sections=(
            Section("Events", tuple(blocks)),
            Section("Run", (Facts(dict(facts)),)),
            provenance_section(provenance),
        ),
        footer=footer(created),
    )


def _events_table(events: AstropyTable) -> Table:
    listed = events[:LISTED_EVENTS]
    for key in _KEYS:
        listed[key] = np.asarray(listed[key]).astype(str)  # numbers that name something have no separators
    listed["validity"] = _validity(listed)
    caption = "Energies without a valid prediction are missing, not guessed."
    if len(events) > LISTED_EVENTS:
        caption += f" The first {LISTED_EVENTS} of {format_number(len(events))} events; the DL2 files hold all."
    names = {column: name for column, name in _COLUMNS.items() if column in events.colnames or column == "validity"}
    productions = sorted(set(events["production"])) if "production" in names else []
    if len(productions) == 1:
        del names["production"]
        caption += f" All of {productions[0]}."
    table = table_of(listed, caption, names=names)
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
