"""An event observed through the trigger's windows, and the sub-image cut out around what triggers."""

import math

import numpy as np

from cherenkov_pipeline.alerts.images import CENTER, REAL_CAUSES, SIZE, place
from cherenkov_pipeline.alerts.simulation.events import SHORTEST, Event
from cherenkov_pipeline.alerts.simulation.frames import Peak, Window, find_peak, sky_image
from cherenkov_pipeline.alerts.simulation.instrument import SKY, coding_fraction
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters

_SPARE_WINDOWS = 8
_SAME_PLACE = 2.5
"""Pixels between a source and the trigger that it causes."""


def observe(
    event: Event, n_alerts: int, parameters: AlertSimulationParameters, rng: np.random.Generator
) -> list[tuple[Window, Peak, np.ndarray]] | None:
    """Observe an event until it has given its alerts.

    The first window has to trigger. For the later ones there are some tries, as on board, where every image of every
    window is searched: an event is not brighter for having several alerts.

    Returns
    -------
    list of (Window, Peak, ndarray) or None
        With the sky image of each alert; None if the event does not give them all.
    """
    alerts: list[tuple[Window, Peak, np.ndarray]] = []
    for window in draw_windows(event, parameters, rng)[: n_alerts + _SPARE_WINDOWS * (n_alerts > 1)]:
        snr = sky_image(event, window, alerts[0][0] if alerts else window, parameters, rng)
        peak = find_peak(snr, event.known, parameters.trigger)
        if peak.triggers and _belongs(peak, event):
            alerts.append((window, peak, snr))
        if len(alerts) in (0, n_alerts):
            break
    return alerts if len(alerts) == n_alerts else None


def draw_windows(event: Event, parameters: AlertSimulationParameters, rng: np.random.Generator) -> list[Window]:
    """Draw the order in which windows are tried: time scales about the event's duration first, any band."""
    fitting = math.log2(max(event.duration / SHORTEST, 1))
    scales = np.arange(parameters.largest_doubling + 1)
    weights = np.exp(-0.5 * ((scales - fitting) / 1.2) ** 2) + 1e-3
    bands = list(parameters.bands)
    n_windows = len(bands) * len(scales)
    order = rng.choice(n_windows, n_windows, replace=False, p=np.tile(weights / weights.sum() / len(bands), len(bands)))
    return [Window(SHORTEST * 2.0 ** int(at % len(scales)), bands[at // len(scales)]) for at in order]


def cut_sub_image(
    event: Event, window: Window, peak: Peak, snr: np.ndarray, parameters: AlertSimulationParameters
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Cut the sub-image around a peak out of the sky image; it ends where the sky image does.

    Returns
    -------
    snr, codes : ndarray
        (`SIZE`, `SIZE`), as of `SubImages`.
    row : dict
        What is known of it, for the table.
    """
    begin = [max(0, at - CENTER) for at in (peak.row, peak.column)]
    end = [min(SKY, at - CENTER + SIZE) for at in (peak.row, peak.column)]
    part = slice(begin[0], end[0]), slice(begin[1], end[1])
    image, codes = place(
        snr[part],
        (peak.row - begin[0], peak.column - begin[1]),
        (coding_fraction() >= parameters.trigger.smallest_coding_fraction)[part],
        [(round(source.row) - begin[0], round(source.column) - begin[1]) for source in event.known],
    )
    row = {
        "snr_max": peak.snr,
        "snr_std": peak.spread,
        "timescale": window.timescale,
        "energy_band": window.band,
        "trigger_row": peak.row,
        "trigger_column": peak.column,
        "coding_fraction": float(coding_fraction()[peak.row, peak.column]),
        "mask_pattern": event.pattern,
        "disturbed_by": event.disturbance.kind,
        "n_other_sources": len(event.others),
    }
    return image, codes, row


def _belongs(peak: Peak, event: Event) -> bool:
    """Tell whether an event's cause is what triggered."""
    if event.cause not in REAL_CAUSES or event.source is None:
        return True
    return math.hypot(peak.row - event.source.row, peak.column - event.source.column) <= _SAME_PLACE
