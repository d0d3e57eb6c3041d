"""Samples of sub-images: labelled alerts, and frames without a source."""

from collections.abc import Iterator

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.alerts.images import REAL_CAUSES, SubImages
from cherenkov_pipeline.alerts.simulation.events import NOISE, draw_event
from cherenkov_pipeline.alerts.simulation.frames import find_peak, sky_image
from cherenkov_pipeline.alerts.simulation.observation import cut_sub_image, draw_windows, observe
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.errors import UserError

_SCHEDULE, _EVENTS, _FRAMES = range(3)
"""Streams of random numbers of a seed."""
_MOST_TRIES = 1000
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
        Beside the columns that `SubImages` names, the table has: ``coding_fraction``, ``trigger_row`` and
        ``trigger_column`` (in the sky image), ``disturbed_by`` (kind of the disturbance, empty: none) and
        ``n_other_sources``.

    Raises
    ------
    UserError
        If a cause does not trigger with these parameters.
    """
    alerts = []
    for number, cause, n_alerts in _schedule(parameters):
        alerts += _simulate_event(number, cause, n_alerts, parameters)
    return _together(alerts[: parameters.n_images])


def simulate_noise(parameters: AlertSimulationParameters, n_frames: int, chunk: int = 500) -> Iterator[SubImages]:
    """Simulate frames without any source, whether they trigger or not.

    Parameters
    ----------
    parameters : AlertSimulationParameters
        ``disturbances.share`` of the frames have a disturbance (no ghosts: these take a source), at full strength.
    n_frames : int
    chunk : int
        Frames that are held in memory.

    Yields
    ------
    SubImages
        The 56 x 56 pixels around the highest one of each frame. ``cause`` is `NOISE`, ``disturbed_by`` what disturbs,
        ``triggers`` whether the frame would have caused an alert.
    """
    for begin in range(0, n_frames, chunk):
        yield _together([_simulate_frame(number, parameters) for number in range(begin, min(begin + chunk, n_frames))])


def _schedule(parameters: AlertSimulationParameters) -> Iterator[tuple[int, str, int]]:
    """Give number, cause and number of alerts of each event: the cause that lacks most images comes next."""
    rng = np.random.default_rng((parameters.seed, _SCHEDULE))
    causes = list(parameters.causes)
    shares = np.array(list(parameters.causes.values()))
    done = np.zeros(len(causes))
    number = 0
    while done.sum() < parameters.n_images:
        n_alerts = 1 + int(rng.choice(len(parameters.sequences), p=parameters.sequences))
        # a little chance in the order, none in the sum
        lacking = shares * (done.sum() + n_alerts) - done + rng.uniform(0, 0.5, len(causes))
        cause = int(np.argmax(np.where(shares > 0, lacking, -np.inf)))
        done[cause] += n_alerts
        yield number, causes[cause], n_alerts
        number += 1


def _simulate_event(
    number: int, cause: str, n_alerts: int, parameters: AlertSimulationParameters
) -> list[tuple[np.ndarray, np.ndarray, dict]]:
    rng = np.random.default_rng((parameters.seed, _EVENTS, number))
    is_real = cause in REAL_CAUSES
    label = is_real != (rng.random() < parameters.label_noise)
    for _ in range(_MOST_TRIES):
        event = draw_event(cause, parameters, rng)
        if (alerts := observe(event, n_alerts, parameters, rng)) is not None:
            break
    else:
        raise UserError(
            f"Of {_MOST_TRIES} events of the cause {cause} none gave {n_alerts} alerts: lower trigger.threshold and "
            "trigger.spread_factor, or raise disturbances.strength."
        )
    burst = f"sim{parameters.seed}-{number:06d}"
    sub_images = []
    for at, (window, peak, sky) in enumerate(alerts):
        snr, codes, seen = cut_sub_image(event, window, peak, sky, parameters)
        known = {
            "image_id": f"{burst}-{at}",
            "burst_id": burst,
            "source_name": event.name,
            "cause": cause,
            "is_real": label,
            "true_is_real": is_real,
            "label_source": "simulation",
            "is_unclear": peak.snr < _UNCLEAR_SNR and peak.spread > _UNCLEAR_SPREAD,
        }
        sub_images.append((snr, codes, known | seen))
    return sub_images


def _simulate_frame(number: int, parameters: AlertSimulationParameters) -> tuple[np.ndarray, np.ndarray, dict]:
    rng = np.random.default_rng((parameters.seed, _FRAMES, number))
    event = draw_event(NOISE, parameters, rng)
    window = draw_windows(event, parameters, rng)[0]
    sky = sky_image(event, window, window, parameters, rng)
    peak = find_peak(sky, event.known, parameters.trigger)
    snr, codes, seen = cut_sub_image(event, window, peak, sky, parameters)
    known = {
        "image_id": f"noise{parameters.seed}-{number:06d}",
        "cause": NOISE,
        "is_real": False,
        "true_is_real": False,
        "triggers": peak.triggers,
    }
    return snr, codes, known | seen


def _together(sub_images: list[tuple[np.ndarray, np.ndarray, dict]]) -> SubImages:
    snr, codes, rows = zip(*sub_images, strict=True)
    return SubImages(np.stack(snr), np.stack(codes), Table(rows=list(rows)))
