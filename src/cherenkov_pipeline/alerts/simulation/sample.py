"""Labelled sub-images: events drawn and observed until they trigger."""

import math
from collections.abc import Iterator

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.alerts.images import CENTER, REAL_CAUSES, SIZE, SubImages, place
from cherenkov_pipeline.alerts.simulation.events import SHORTEST, Event, draw_event
from cherenkov_pipeline.alerts.simulation.frames import Trigger, Window, find_trigger, sky_image
from cherenkov_pipeline.alerts.simulation.instrument import SKY, coding_fraction
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.errors import UserError

_MOST_TRIES = 20_000
_SPARE_WINDOWS = 8
_SAME_PLACE = 2.5
"""Pixels between a source and the trigger that it causes."""
_UNCLEAR_SNR, _UNCLEAR_SPREAD = 7.5, 1.3


def simulate_sample(parameters: AlertSimulationParameters) -> SubImages:
    """Simulate labelled sub-images.

    Parameters
    ----------
    parameters : AlertSimulationParameters

    Returns
    -------
    SubImages
        Events in the order of their numbers, the alerts of each together; fewer images are the first ones of more.

    Raises
    ------
    UserError
        If a cause does not trigger with these parameters.
    """
    rows: list[dict] = []
    images, codes = [], []
    for number, cause, n_alerts in _schedule(parameters):
        for snr, code, row in _simulate_event(number, cause, n_alerts, parameters):
            images.append(snr)
            codes.append(code)
            rows.append(row)
    return SubImages(np.stack(images), np.stack(codes), Table(rows=rows))[: parameters.n_images]


def _schedule(parameters: AlertSimulationParameters) -> Iterator[tuple[int, str, int]]:
    """Give number, cause and number of alerts of each event: the cause that lacks most images comes next."""
    rng = np.random.default_rng((parameters.seed, 0))
    causes = list(parameters.causes)
    shares = np.array(list(parameters.causes.values()))
    done = np.zeros(len(causes))
    number = 0
    while done.sum() < parameters.n_images:
        n_alerts = 1 + int(rng.choice(len(parameters.sequences), p=parameters.sequences))
        # a little chance in the order, none in the sum
        lacking = shares * (done.sum() + n_alerts) - done + rng.uniform(0, 0.5, len(causes)) * (shares > 0)
        cause = int(np.argmax(lacking))
        done[cause] += n_alerts
        yield number, causes[cause], n_alerts
        number += 1


def _simulate_event(
    number: int, cause: str, n_alerts: int, parameters: AlertSimulationParameters
) -> list[tuple[np.ndarray, np.ndarray, dict]]:
    rng = np.random.default_rng((parameters.seed, 1, number))
    is_real = cause in REAL_CAUSES
    label = is_real != (rng.random() < parameters.label_noise)
    for _ in range(_MOST_TRIES):
        event = draw_event(cause, parameters, rng)
        alerts = _observe(event, n_alerts, parameters, rng)
        if alerts is None:
            continue
        known = {
            "is_real": label,
            "true_is_real": is_real,
            "cause": cause,
            "label_source": "simulation",
            "burst_id": f"sim{parameters.seed}-{number:06d}",
            "source_name": event.name,
            "mask_pattern": event.pattern,
            "n_other_sources": len(event.others),
            "is_disturbed": not is_real or event.disturbance is not None or event.earth is not None,
        }
        return [
            _sub_image(event, window, trigger, snr, {"image_id": f"{known['burst_id']}-{at}", **known}, parameters)
            for at, (window, trigger, snr) in enumerate(alerts)
        ]
    raise UserError(f"{cause}: no event of {_MOST_TRIES} triggers; lower the threshold or raise the strength.")


def _observe(
    event: Event, n_alerts: int, parameters: AlertSimulationParameters, rng: np.random.Generator
) -> list[tuple[Window, Trigger, np.ndarray]] | None:
    """Observe an event until it has given its alerts; None if it does not give them all.

    The first window has to trigger. For the later ones there are some tries, as on board, where every image of every
    window is searched: an event is not brighter for having several alerts.
    """
    known = list(event.others)
    if event.cause == "ghost" and event.source is not None:
        known.append(event.source)
    alerts: list[tuple[Window, Trigger, np.ndarray]] = []
    for window in _windows(event, parameters, rng)[: n_alerts + _SPARE_WINDOWS * (n_alerts > 1)]:
        snr = sky_image(event, window, alerts[0][0] if alerts else window, parameters, rng)
        trigger = find_trigger(snr, known, parameters.trigger)
        if trigger is not None and _belongs(trigger, event):
            alerts.append((window, trigger, snr))
        if len(alerts) in (0, n_alerts):
            break
    return alerts if len(alerts) == n_alerts else None


def _belongs(trigger: Trigger, event: Event) -> bool:
    """Tell whether an event's cause is what triggered."""
    if event.cause not in REAL_CAUSES or event.source is None:
        return True
    return math.hypot(trigger.row - event.source.row, trigger.column - event.source.column) <= _SAME_PLACE


def _windows(event: Event, parameters: AlertSimulationParameters, rng: np.random.Generator) -> list[Window]:
    """Draw the order in which windows are tried: time scales about the event's duration first, any band."""
    fitting = math.log2(max(event.duration / SHORTEST, 1))
    scales = np.arange(parameters.largest_doubling + 1)
    weights = np.exp(-0.5 * ((scales - fitting) / 1.2) ** 2) + 1e-3
    bands = list(parameters.bands)
    order = rng.choice(
        len(bands) * len(scales),
        len(bands) * len(scales),
        replace=False,
        p=np.tile(weights / weights.sum() / len(bands), len(bands)),
    )
    return [Window(SHORTEST * 2.0 ** int(at % len(scales)), bands[at // len(scales)]) for at in order]


def _sub_image(
    event: Event,
    window: Window,
    trigger: Trigger,
    snr: np.ndarray,
    known: dict,
    parameters: AlertSimulationParameters,
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Cut the sub-image around the trigger out of the sky image; it ends where the sky image does."""
    begin = [max(0, at - CENTER) for at in (trigger.row, trigger.column)]
    end = [min(SKY, at - CENTER + SIZE) for at in (trigger.row, trigger.column)]
    part = slice(begin[0], end[0]), slice(begin[1], end[1])
    others = [*event.others, *([event.source] if event.cause == "ghost" and event.source is not None else [])]
    image, codes = place(
        snr[part],
        (trigger.row - begin[0], trigger.column - begin[1]),
        (coding_fraction() >= parameters.trigger.smallest_coding_fraction)[part],
        [(round(other.row) - begin[0], round(other.column) - begin[1]) for other in others],
    )
    row = {
        **known,
        "snr_max": trigger.snr,
        "snr_std": trigger.spread,
        "is_unclear": trigger.snr < _UNCLEAR_SNR and trigger.spread > _UNCLEAR_SPREAD,
        "timescale": window.timescale,
        "energy_band": window.band,
        "trigger_row": trigger.row,
        "trigger_column": trigger.column,
        "coding_fraction": coding_fraction()[trigger.row, trigger.column],
    }
    return image, codes, row
