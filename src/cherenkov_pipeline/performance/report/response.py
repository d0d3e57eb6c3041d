"""The report of the instrument response."""

from collections.abc import Mapping
from datetime import datetime

import astropy.units as u
import matplotlib.figure
import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.plots import response as plots
from cherenkov_pipeline.performance.plots.curves import shared_legend
from cherenkov_pipeline.performance.plots.direction import angular_resolution
from cherenkov_pipeline.performance.plots.energy import energy_resolution
from cherenkov_pipeline.performance.published import (
    Comparison,
    effective_areas,
    published_for,
    random_forest_direction,
    random_forest_energy,
)
from cherenkov_pipeline.performance.report.common import bins_table
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
from cherenkov_pipeline.performance.report.published import after_cuts, beside_response, sensitivity_verdict
from cherenkov_pipeline.performance.report.tables import cell, format_number
from cherenkov_pipeline.performance.report.task import footer, productions_text
from cherenkov_pipeline.performance.response.parameters import ResponseParameters
from cherenkov_pipeline.performance.response.stages import LABELS

AREA_FACTOR = 1.5
"""Ratio to the published areas that is accepted, and its inverse."""

NAME = "this response"


def response_figures(
    tables: Mapping[str, QTable], cuts: QTable, parameters: ResponseParameters, evaluation: EvaluationParameters
) -> dict[str, matplotlib.figure.Figure]:
    """Draw every figure of the response.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.response.tables.response_tables`.
    cuts : QTable
    parameters : ResponseParameters
    evaluation : EvaluationParameters

    Returns
    -------
    dict of str to Figure
        By the names in `performance.response.names.FIGURES`. Published areas are those of one telescope, CTLearn's
        figures after cuts those of an array: each is drawn beside the like.
    """
    curve = published_for("mono" if parameters.level == "telescope" else "stereo", evaluation)
    published = after_cuts(parameters) if curve else {}
    return {
        "areas": plots.effective_areas(
            tables["areas"], LABELS, effective_areas() if parameters.level == "telescope" else None
        ),
        "cuts": plots.selection_cuts(cuts),
        "energy": shared_legend(
            energy_resolution(
                {NAME: tables["energy"]},
                random_forest_energy(curve) if curve else None,
                after_cuts=published.get("energy_resolution"),
            )
        ),
        "direction": shared_legend(
            angular_resolution(
                {NAME: tables["direction"]},
                random_forest_direction(curve) if curve else None,
                after_cuts=published.get("angular_resolution"),
            )
        ),
        "background": plots.background_rates(tables["background"], LABELS),
        "sensitivity": plots.sensitivity(tables["sensitivity"], _conditions(parameters), published.get("sensitivity")),
    }


def response_report(
    tables: Mapping[str, QTable],
    cuts: QTable,
    figures: Mapping[str, Drawing],
    facts: Mapping[str, str],
    parameters: ResponseParameters,
    created: datetime,
) -> ReportContent:
    """Put the report together.

    Parameters
    ----------
    tables : mapping of str to QTable
        From `performance.response.tables.response_tables`.
    cuts : QTable
    figures : mapping of str to Drawing
        From `response_figures`.
    facts : mapping of str to str
        What is worth knowing: the DL2 files.
    parameters : ResponseParameters
    created : datetime
        With time zone.
    """
    compared = area_comparisons(tables["areas"]) if parameters.level == "telescope" else []
    what = "one telescope (each image is an event)" if parameters.level == "telescope" else "the array"
    return ReportContent(
        kind="Instrument response",
        title=f"Instrument response of {what}",
        summary=_summary(tables["sensitivity"], compared, parameters),
        key_numbers=_key_numbers(tables["sensitivity"], compared),
        sections=(
            _sensitivity_section(tables["sensitivity"], figures["sensitivity"], parameters),
            _area_section(tables["areas"], figures["areas"], compared),
            _selection_section(cuts, figures["cuts"], parameters),
            Section(
                "Resolution",
                (
                    Figure(figures["energy"], "Energy resolution", "Gammas after the gammaness cut."),
                    Figure(
                        figures["direction"],
                        "Angular resolution",
                        "68.27 % containment of the gammas after the gammaness cut, before the θ cut.",
                    ),
                ),
            ),
            _background_section(tables["background"], figures["background"]),
            *beside_response(tables, parameters),
            Section("Events", (_counts(tables["counts"]), Facts(dict(facts)))),
            _conventions(parameters),
        ),
        footer=footer(created),
        data=productions_text(facts.get("Productions", "").split(", ")),
    )


def area_comparisons(areas: QTable) -> list[Comparison]:
    """Set effective areas beside the published ones.

    Parameters
    ----------
    areas : QTable
        From `performance.response.stages.areas`.

    Returns
    -------
    list of Comparison
        Of the stages there are, at the published energies, interpolated between the neighbouring bins in the
        logarithms; NaN where these are not drawn.
    """
    found = []
    for row in effective_areas():
        table = areas[areas["stage"] == row["stage"]]
        if not len(table):
            continue
        energy = np.log(table["true_energy_center"].to_value("TeV"))
        at = np.log(row["true_energy"].to_value("TeV"))
        values = []
        for name in ("area", "area_low", "area_high"):
            with np.errstate(invalid="ignore", divide="ignore"):
                known = np.log(np.where(table["drawn"], table[name].to_value("m2"), np.nan))
            values.append(float(np.exp(np.interp(at, energy, known, left=np.nan, right=np.nan))))
        label = f"area {LABELS[row['stage']]}, {row['true_energy'].to_value('TeV'):g} TeV [m²]"
        found.append(
            Comparison(
                f"area_{row['stage']}_{row['true_energy'].to_value('TeV'):g}tev",
                label,
                float(row["area"].to_value("m2")),
                values[0],
                0.5 * (values[2] - values[1]),
            )
        )
    return found


def _agrees(comparison: Comparison) -> bool | None:
    """Whether an area is within `AREA_FACTOR` of the published one; None where there is none."""
    if np.isnan(comparison.value):
        return None
    return bool(1 / AREA_FACTOR <= comparison.ratio <= AREA_FACTOR)


def _conditions(parameters: ResponseParameters) -> str:
    return f"{parameters.observation_time.to_value('h'):g} h, {parameters.significance:g} σ"


def _best(table: QTable) -> QTable.Row | None:
    """Row of the best sensitivity in units of the Crab."""
    drawn = table[table["drawn"]]
    return drawn[int(np.argmin(np.asarray(drawn["relative_sensitivity"])))] if len(drawn) else None


def _summary(table: QTable, compared: list[Comparison], parameters: ResponseParameters) -> str:
    best = _best(table)
    if best is None:
        said = ["No bin has enough simulated gammas and protons for a sensitivity: simulate more."]
    else:
        share = f"{100 * best['relative_sensitivity']:.0f} % of the Crab, from {_range(best, 'reco_energy')} TeV"
        said = [f"The best sensitivity in {_conditions(parameters)} is {share}."]
        said.append(sensitivity_verdict(table, parameters))
    judged = [_agrees(one) for one in compared if _agrees(one) is not None]
    if judged:
        said.append(
            f"{sum(judged)} of {len(judged)} effective areas are within a factor {AREA_FACTOR} of the published ones."
        )
    return " ".join(filter(None, said))


def _key_numbers(table: QTable, compared: list[Comparison]) -> tuple[KeyNumber, ...]:
    numbers = []
    best = _best(table)
    if best is not None:
        numbers.append(
            KeyNumber(
                "Best sensitivity",
                f"{100 * best['relative_sensitivity']:.0f} % Crab",
                f"{_range(best, 'reco_energy')} TeV",
            )
        )
    numbers += [
        KeyNumber(
            one.label[:1].upper() + one.label[1:], format_number(one.value), f"published {format_number(one.official)}"
        )
        for one in compared
        if one.key in ("area_trigger_1tev", "area_trigger_10tev") and np.isfinite(one.value)
    ]
    return tuple(numbers)


def _range(row: QTable.Row, name: str) -> str:
    low, high = (row[f"{name}_{side}"].to_value("TeV") for side in ("low", "high"))
    return f"{format_number(low)} to {format_number(high)}"


def _sensitivity_section(table: QTable, figure: Drawing, parameters: ResponseParameters) -> Section:
    shown = table[table["n_gammas"] > 0]
    unit = f"{table['sensitivity'].unit:unicode}"
    header = ("E_reco [TeV]", "Gammas", "Protons", "Signal", "Background", "Crab units", unit, "Limited by")
    rows = tuple(
        (
            _bin(row, "reco_energy"),
            *(cell(row[name]) for name in ("n_gammas", "n_protons", "n_signal", "n_background")),
            _interval(row, "relative_sensitivity"),
            _interval(row, "sensitivity"),
            Cell(str(row["limited_by"]) if row["drawn"] else "too few simulated: not drawn"),
        )
        for row in shown
    )
    n_out = int(np.sum(~np.asarray(shown["drawn"])))
    caption = (
        "Gammas and protons: simulated ones behind a bin. Signal of the Crab and background: their numbers in "
        f"{parameters.observation_time.to_value('h'):g} h in the source region. "
        f"{n_out} of {len(shown)} bins with gammas have fewer than {table.meta['minimum_events']} "
        f"gammas or {table.meta['minimum_protons']} protons, and are not drawn: their background is not known. "
        "Intervals: one standard error of the simulated numbers. The cuts were chosen on the same events: with few "
        "protons the best of several choices is a little too good."
    )
    listed = "sensitivity" in after_cuts(parameters)
    beside = "what CTLearn reached is set beside this one below" if listed else "none is drawn here"
    published = Text(
        f"No table of the collaboration's own sensitivity is at hand: {beside}. The flux of the Crab nebula (HEGRA) is "
        "the reference."
    )
    return Section(
        "Sensitivity",
        (Figure(figure, "Differential sensitivity", "Bars: width of the bins, and one standard error.", True),
         Table(header, rows, caption, in_summary=True), published),
    )  # fmt: skip


def _area_section(areas: QTable, figure: Drawing, compared: list[Comparison]) -> Section:
    blocks = [
        Figure(
            figure,
            "Effective area",
            "For gammas of the simulated source, after each cut; bars: one standard error.",
            True,
        )
    ]
    if compared:
        header = ("Area", "Published", "Here", "Error", "Ratio", f"Within a factor {AREA_FACTOR}")
        rows = tuple(
            (Cell(one.label), cell(one.official), cell(one.value), cell(one.error), cell(one.ratio), cell(_agrees(one)))
            for one in compared
        )
        meta = effective_areas().meta
        caption = (
            f"Published: {meta['source']}; {meta['conventions']}. Here: interpolated between bins, for a source beside "
            "the axis. At 1 TeV the area rises so steeply that the interpolation comes out low; it depends on a "
            "trigger threshold that is not public."
        )
        blocks.append(Table(header, rows, caption, in_summary=True))
    last = areas[areas["stage"] == areas["stage"][-1]]
    n_empty = int(np.sum((last["n_thrown"] > 0) & ~last["drawn"]))
    blocks.append(
        Text(
            f"{n_empty} of {int(np.sum(last['n_thrown'] > 0))} bins of true energy that were thrown have fewer than "
            f"{areas.meta['minimum_events']} gammas after all cuts and are not drawn there."
        )
    )
    return Section("Effective area", tuple(blocks))


def _selection_section(cuts: QTable, figure: Drawing, parameters: ResponseParameters) -> Section:
    filled = cuts[np.isfinite(np.asarray(cuts["gammaness"]))]
    rows = tuple(
        (
            _bin(row, "reco_energy"),
            cell(row["gammaness"]),
            cell(row["gammaness_efficiency"]),
            _theta(row),
            cell(row["theta_efficiency"]),
            cell(bool(row["optimised"])),
        )
        for row in filled
    )
    header = ("E_reco [TeV]", "Gammaness ≥", "Keeps", "θ ≤ [deg]", "Keeps", "Optimised")
    caption = (
        "Of all pairs of shares of the gammas the one with the best sensitivity is taken, in each bin by itself; pairs "
        f"that leave fewer than {parameters.minimum_protons} simulated protons do not count. "
        f"{len(cuts) - len(filled)} of {len(cuts)} bins have too few gammas for a cut and are left out. Keeps: "
        "measured share of the gammas of the bin, of each cut by itself; less than the share that was chosen where "
        f"theta_max, {parameters.theta_max.to_value('deg'):g}°, cuts it short."
    )
    return Section("Event selection", (Figure(figure, "Cuts per bin"), Table(header, rows, caption)))


def _background_section(rates: QTable, figure: Drawing) -> Section:
    totals = {
        LABELS[stage]: f"{format_number(float(rates['rate'][rates['stage'] == stage].sum().to_value('Hz')))} Hz"
        for stage in dict.fromkeys(rates["stage"])
    }
    caption = "After the θ cut: what falls into the source region, from the protons near the pointing."
    table = bins_table(
        _with_bins_meta(rates[rates["stage"] == "gammaness"]),
        "reco_energy",
        "E_reco [TeV]",
        {"rate": "Rate after the gammaness cut"},
    )
    return Section("Background", (Figure(figure, "Background rate", caption), Facts(totals), table))


def _with_bins_meta(table: QTable) -> QTable:
    table.meta["n_outside_bins"] = 0
    return table


def _counts(counts: QTable) -> Table:
    """Numbers at each stage: what a cut takes is the difference to the row above."""
    names = {"thrown": "thrown", **LABELS}
    particles = list(dict.fromkeys(counts["particle"]))
    number = {(row["particle"], row["stage"]): int(row["n"]) for row in counts}
    rows, before = [], dict.fromkeys(particles, 0)
    for stage, label in names.items():
        if any((particle, stage) not in number for particle in particles):
            continue
        cells = [Cell(label)]
        for particle in particles:
            n = number[particle, stage]
            cells += [cell(n), cell(before[particle] - n) if stage != "thrown" else Cell("–")]
            before[particle] = n
        rows.append(tuple(cells))
    header = ("Stage", *(text for particle in particles for text in (f"{particle.capitalize()}s", "lost")))
    return Table(header, tuple(rows), "Simulated, not weighted. With one telescope a shower counts once for each.")


def _conventions(parameters: ResponseParameters) -> Section:
    return Section(
        "Conventions",
        (
            Facts(
                {
                    "Weights": "gammas to the Crab nebula (HEGRA), protons to DAMPE's protons and helium (pyirf)",
                    "Sensitivity": f"{_conditions(parameters)} (Li & Ma) in each bin, alpha {parameters.alpha:g}, at "
                    f"least {parameters.minimum_excess:g} gammas and {100 * parameters.minimum_excess_share:g} % of "
                    "the background",
                    "Background": "protons reconstructed within "
                    f"{parameters.background_offset.to_value('deg'):g}° of the pointing, in the proportion of the "
                    "solid angles; no electrons",
                    "Energies": "true for areas and resolutions, reconstructed for cuts, background and sensitivity",
                    "Energy resolution": "half of the central 68.27 % interval of E_reco/E_true − 1",
                    "Published forest": "resolutions of the 60 % most gamma-like gammas, directions of those on the "
                    "right side alone",
                    "FITS files": "gamma-astro-data-format 0.2: point-like with RAD_MAX, full-enclosure with PSF",
                }
            ),
        ),
    )


def _bin(row: QTable.Row, name: str) -> Cell:
    return Cell(_range(row, name), float(row[f"{name}_low"].to_value("TeV")))


def _theta(row: QTable.Row) -> Cell:
    value = float(row["theta"].to_value("deg"))
    return Cell(format_number(value), value, "theta_max" if row["theta_limited"] else "")


def _interval(row: QTable.Row, name: str) -> Cell:
    value, low, high = (float(u.Quantity(row[name + suffix]).value) for suffix in ("", "_low", "_high"))
    note = f"{format_number(low, 2)} to {format_number(high, 2)}" if np.isfinite(value) else ""
    return Cell(format_number(value), value if np.isfinite(value) else None, note)
