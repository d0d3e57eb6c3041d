"""One sky image of the trigger: expected counts, Poisson's noise, decoding, and whether it triggers."""

import math
from dataclasses import dataclass

import numpy as np

from cherenkov_pipeline.alerts.simulation.background import background_shape, through_mask
from cherenkov_pipeline.alerts.simulation.decoding import decoder
from cherenkov_pipeline.alerts.simulation.earth import hidden_share
from cherenkov_pipeline.alerts.simulation.events import Event, Source
from cherenkov_pipeline.alerts.simulation.instrument import (
    DETECTOR,
    OPEN_FRACTION,
    SKY,
    coding_fraction,
    cosine,
    mask_pattern,
    shadow,
)
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters, TriggerParameters

_RESIDUAL = 0.05
"""Of a source that is cleaned."""
_VETOED = 5.0
"""Pixels around a known source that do not trigger."""


@dataclass(frozen=True)
class Window:
    """Time scale [s] and energy band of a sky image."""

    timescale: float
    band: str


@dataclass(frozen=True)
class Trigger:
    """Where a sky image triggers: row, column, signal to noise, and the standard deviation of the image."""

    row: int
    column: int
    snr: float
    spread: float


def sky_image(
    event: Event, window: Window, first: Window, parameters: AlertSimulationParameters, rng: np.random.Generator
) -> np.ndarray:
    """Observe an event through a window: signal to noise, (`SKY`, `SKY`) float32.

    ``first`` is the window of the event's first alert, where its brightness was drawn.
    """
    band, level = parameters.bands[window.band], _background_level(window, parameters)
    expected = level * background_shape(event.pattern)
    unfitted = None
    if event.earth is not None:
        seen = level * background_shape(event.pattern, hidden_share(event.earth, window.timescale))
        unfitted = event.unfitted * (expected - seen)
        expected = seen
    for other in event.others:
        crab = band.crab.value * window.timescale
        if other.snr:
            counts = _open_counts(event, other, first, parameters) * _growth(event, window, first, parameters)
        else:
            counts = other.crab * crab / (OPEN_FRACTION * DETECTOR**2) * cosine(other.row, other.column)
        counts *= _RESIDUAL if other.cleaned else 1
        expected = expected + counts * shadow(mask_pattern(event.pattern), other.row, other.column)
    growth = _growth(event, window, first, parameters)
    if event.source is not None:
        counts = _open_counts(event, event.source, first, parameters) * growth
        expected = expected + counts * shadow(mask_pattern(event.pattern), event.source.row, event.source.column)
    unit = growth * math.sqrt(_background_level(first, parameters) * DETECTOR**2)
    if event.disturbance is not None:
        expected = expected + unit * event.disturbance
    if event.glow is not None:
        expected = expected + unit / DETECTOR**2 * through_mask(event.pattern, event.glow) / OPEN_FRACTION
    counts = rng.poisson(expected)[None]
    background = decoder(event.pattern).fit_background(counts)
    if unfitted is not None:  # the fit does not see this part: its own quadratic surface stays in the image
        background = background + decoder(event.pattern).fit_background(unfitted[None])
    return decoder(event.pattern).snr(counts, background)[0]


def find_trigger(snr: np.ndarray, known: list[Source], settings: TriggerParameters) -> Trigger | None:
    """Find where a sky image triggers; None if it does not.

    Parameters
    ----------
    snr : ndarray
        (`SKY`, `SKY`)
    known : list of Source
        Sources of the catalogue, which do not trigger.
    settings : TriggerParameters
    """
    usable = coding_fraction() >= settings.smallest_coding_fraction
    searched = np.where(usable, snr, -np.inf)
    for source in known:
        _veto(searched, source)
    row, column = np.unravel_index(np.argmax(searched), snr.shape)
    spread, highest = float(snr[usable].std()), float(snr[row, column])
    if highest <= max(settings.threshold, settings.spread_factor * spread):
        return None
    return Trigger(int(row), int(column), highest, spread)


def _veto(searched: np.ndarray, source: Source) -> None:
    """Take the neighbourhood of a source out of a search."""
    low = [max(0, math.ceil(at - _VETOED)) for at in (source.row, source.column)]
    part = tuple(slice(at, at + 2 * int(_VETOED) + 1) for at in low)
    rows, columns = np.ogrid[tuple(slice(at, at + size) for at, size in zip(low, searched[part].shape, strict=True))]
    searched[part][np.hypot(rows - source.row, columns - source.column) <= _VETOED] = -np.inf


def _background_level(window: Window, parameters: AlertSimulationParameters) -> float:
    """Give the counts by pixel."""
    return parameters.bands[window.band].background.value * window.timescale / DETECTOR**2


def _growth(event: Event, window: Window, first: Window, parameters: AlertSimulationParameters) -> float:
    """Give the counts of the event in a window relative to its first one."""
    time = min(window.timescale, event.duration) / min(first.timescale, event.duration)
    colour = event.colours[window.band] / event.colours[first.band]
    crab = parameters.bands[window.band].crab.value / parameters.bands[first.band].crab.value
    return time * colour * crab


def _open_counts(event: Event, source: Source, first: Window, parameters: AlertSimulationParameters) -> float:
    """Give the counts in a fully open pixel that a source needs for its signal to noise in the first window.

    From (n S)² = SNR² (V_b + n V_s): S and V_s the decoded shadow of one count, V_b the variance of the background.
    """
    pattern = event.pattern
    row, column = (int(np.clip(round(at), 0, SKY - 1)) for at in (source.row, source.column))
    one = shadow(mask_pattern(pattern), source.row, source.column)
    base = _background_level(first, parameters) * background_shape(pattern)
    signal, variance = decoder(pattern).at(one, row, column)
    _, noise = decoder(pattern).at(base, row, column)
    square = source.snr**2
    return (square * variance + math.sqrt((square * variance) ** 2 + 4 * signal**2 * square * noise)) / (2 * signal**2)
