"""Single events in a report: their images, what was made of them, and where to find them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.figure
import numpy as np
from astropy.table import QTable, Row

from cherenkov_pipeline.directions import POINTING, Direction, from_sky, plain, pointing_of
from cherenkov_pipeline.dl1.contents import IMAGE, PRIMARY, particle_name
from cherenkov_pipeline.performance.gallery import (
    BEST,
    FALSE,
    MISSED,
    SURPRISING,
    UNCERTAIN,
    WORST,
    CameraImage,
    find_images,
)
from cherenkov_pipeline.performance.plots.camera import OTHER, RECO, TRUE, Mark, Panel, event_panels
from cherenkov_pipeline.performance.report.common import Captions
from cherenkov_pipeline.performance.report.content import Cell, Drawing, Section, Table, Text
from cherenkov_pipeline.performance.report.tables import cell, format_number
from cherenkov_pipeline.performance.report.task import illustrations
from cherenkov_pipeline.store import store_for

if TYPE_CHECKING:
    from cherenkov_pipeline.store import EventStore

ERROR_CAPTIONS: Captions = {
    BEST: ("Best events", "Those with the smallest errors."),
    WORST: ("Worst events", "Those with the largest errors."),
    UNCERTAIN: ("Least certain events", "Those with the largest predicted errors."),
    SURPRISING: (
        "Most surprising events",
        "Those with the largest errors in units of the predicted error: wrong, and sure of it.",
    ),
}
TYPE_CAPTIONS: Captions = {
    BEST: ("Best events", "Gammaness nearest to the truth."),
    UNCERTAIN: ("Least certain events", "Gammaness nearest to 0.5."),
    MISSED: ("Gammas taken for other particles", "The lowest gammaness of gammas: the worst and most surprising ones."),
    FALSE: (
        "Other particles taken for gammas",
        "The highest gammaness of other particles: the worst and most surprising ones.",
    ),
}

_LEGEND = (
    "Camera images in the telescope's frame, dark where the charge is large (by its square root, each image with a "
    "scale of its own). Outlined pixels survived the cleaning, the others are faint."
)
_DIRECTIONS = " Star: true direction. Marks at the edge of a picture lie outside of it."
_RECONSTRUCTED = (
    " Full circle: reconstructed direction, open circle: the other side of the image, each with the 68 % radius of "
    "that side; in percent, how probable the chosen side is."
)
_NO_IMAGES = "There are no pictures: no event store with the images of these events is at hand."
_ANGLES = ("_alt", "_az")
_MEASURED = {"hillas_intensity": "Intensity [p.e.]"}


def gallery_figures(
    kinds: Sequence[str], table: QTable, stores: "Mapping[str, EventStore]"
) -> dict[str, matplotlib.figure.Figure]:
    """Draw the images of chosen events with their true directions, and reconstructed ones where these were judged.

    Parameters
    ----------
    kinds : sequence of str
    table : QTable
        From `performance.gallery.choose_events`.
    stores : mapping of str to EventStore
        Those that the events come from; events that they do not have are left out.

    Returns
    -------
    dict of str to Figure
        By the kind.
    """
    table = table[np.isin(table["kind"], kinds)]
    images = find_images(table, store_for("mono" if "tel_id" in table.colnames else "stereo", stores))
    marks = _directions(table)
    panels: dict[str, list[Panel]] = {kind: [] for kind in kinds}
    for number, (event, image) in enumerate(zip(table, images, strict=True)):
        if image is not None:
            directions = {name: mark for name, found in marks.items() for mark in found[number : number + 1] if mark}
            panels[str(event["kind"])].append(_panel(event, image, directions))
    return {kind: event_panels(found) for kind, found in panels.items()}


def _panel(event: Row, found: CameraImage, marks: Mapping[str, Mark]) -> Panel:
    names = ("hillas_fov_lon", "hillas_fov_lat", "hillas_psi")
    axis = tuple(float(plain(found.row, name)) for name in names) if set(names) <= set(found.row.colnames) else None
    axis = axis if axis and np.isfinite(axis).all() else None
    return Panel(_title(event), found.camera, found.image, found.mask, axis, marks)


def _directions(table: QTable) -> dict[str, list[Mark | None]]:
    """Make the marks of all events."""
    if not _has_directions(table):
        return {}
    found = {TRUE: ("true", np.full(len(table), np.nan))}
    if "angle" in table.colnames:
        radius = plain(table, "reco_ang_distance_uncert")
        if "side_uncert" in table.colnames:
            side = plain(table, "side_uncert")
            radius = np.where(np.isfinite(side), side, radius)
        found[RECO] = ("reco", radius)
        if "other_uncert" in table.colnames:
            found[OTHER] = ("other", plain(table, "other_uncert"))
    return {name: _marks(_seen(table, prefix), radii) for name, (prefix, radii) in found.items()}


def _has_directions(table: QTable) -> bool:
    return {"true_alt", "true_az", *POINTING} <= set(table.colnames)


def _seen(table: QTable, prefix: str) -> Direction:
    return from_sky(plain(table, f"{prefix}_alt"), plain(table, f"{prefix}_az"), pointing_of(table))


def _marks(place: Direction, radii: np.ndarray) -> list[Mark | None]:
    return [
        Mark(float(lon), float(lat), float(radius)) if np.isfinite(lon + lat) else None
        for lon, lat, radius in zip(place.lon, place.lat, radii, strict=True)
    ]


def _title(event: Row) -> str:
    names = event.colnames
    true = _short(event["true_energy"].to_value("TeV"))
    notes = [f"{_short(float(event['hillas_intensity']))} p.e."]
    if "relative_error" in names:
        reco = _short(event["reco_energy"].to_value("TeV"))
        first = f"{true} → {reco} TeV ({_percent(event['relative_error'], '+')})"
        if np.isfinite(event["predicted_error"]):
            notes.insert(0, f"±{_percent(event['predicted_error'])} predicted")
    elif "angle" in names or "distance" in names:
        error, predicted = (event["angle" if "angle" in names else "distance"], event["predicted_error"])
        first = f"{_quantity(error)} off"
        if np.isfinite(predicted):
            first += f", {_quantity(predicted)} predicted"
        notes.insert(0, f"{true} TeV")
        if "head_probability" in names and np.isfinite(event["head_probability"]):
            probability = float(event["head_probability"])
            notes.append(f"side {_percent(max(probability, 1 - probability))}")
    else:
        first = f"{particle_name(int(event[PRIMARY]))}, gammaness {_gammaness(float(event['gammaness']))}"
        notes.insert(0, f"{true} TeV")
    return f"{event['number']}.  {first}\n{' · '.join(notes)}"


def _short(value: float) -> str:
    return format_number(value, 2 if value < 100 else 3)


def _percent(value: float, sign: str = "") -> str:
    text = f"{100 * float(value):{sign}z,.{0 if abs(value) >= 0.02 else 1}f} %".replace("-", "−")
    return text.replace("+0.0", "0.0")


def _quantity(value: object) -> str:
    unit = f"{value.unit:unicode}"
    return f"{_short(float(value.value))}{'' if unit == '°' else ' '}{unit}"


def _gammaness(value: float) -> str:
    if value in (0.0, 1.0):
        return f"{value:.0f}"
    digits = 2
    while digits < 6 and float(f"{value:.{digits}f}") in (0.0, 1.0):
        digits += 1
    return f"{value:.{digits}f}"


def gallery_section(
    table: QTable,
    figures: Mapping[str, Drawing],
    captions: Captions,
    quantities: Mapping[str, str],
) -> Section:
    """Make the section of the single events.

    Parameters
    ----------
    table : QTable
        From `performance.gallery.choose_events`.
    figures : mapping of str to Drawing
        With those of `gallery_figures`; where none is there, the section says so.
    captions : mapping
        `ERROR_CAPTIONS` or `TYPE_CAPTIONS`.
    quantities : mapping of str to str
        Columns of the table with their headers.
    """
    shown = illustrations(captions, figures)
    note = _NO_IMAGES
    if shown:
        note = _LEGEND + (_DIRECTIONS if _has_directions(table) else "")
        note += _RECONSTRUCTED if _has_directions(table) and "angle" in table.colnames else ""
    return Section("Single events", (Text(note), *shown, _events_table(table, captions, quantities)))


def _direction_cell(value: float) -> Cell:
    """Directions to a hundredth of a degree, whatever they are."""
    return Cell(f"{value:.2f}".replace("-", "−"), float(value))


def _events_table(table: QTable, captions: Captions, quantities: Mapping[str, str]) -> Table:
    order = list(captions)
    kinds = [Cell(f"{captions[kind][0]}, {number}", float(10 * order.index(kind) + number))
             for kind, number in table[["kind", "number"]].iterrows()]  # fmt: skip
    header, columns = ["Event"], [kinds]
    for name, label in {**quantities, **_MEASURED}.items():
        if name in table.colnames:
            unit = table[name].unit
            header.append(f"{label} [{unit:unicode}]" if unit else label)
            made = _direction_cell if name.endswith(_ANGLES) else cell
            columns.append([made(value) for value in np.asarray(table[name])])
    if PRIMARY in table.colnames:
        header.append("Particle")
        columns.append([Cell(particle_name(int(number))) for number in table[PRIMARY]])
    header.append("Production")
    columns.append([Cell(str(name)) for name in table["production"]])
    for name in IMAGE:
        if name in table.colnames:
            header.append(name)
            columns.append([Cell(str(number), float(number)) for number in table[name]])
    rows = tuple(zip(*columns, strict=True))
    return Table(tuple(header), rows, "Where to find these events: production, and keys in its files.")
