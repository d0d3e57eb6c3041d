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
class Peak:
    """Highest pixel of a sky image: where, its signal to noise, the image's standard deviation, whether it triggers."""

    row: int
    column: int
    snr: float
    spread: float
    triggers: bool


def sky_image(
    event: Event, window: Window, first: Window, parameters: AlertSimulationParameters, rng: np.random.Generator
) -> np.ndarray:
    """Observe an event through a window.

    Parameters
    ----------
    event : Event
    window, first : Window
        The one to observe through, and that of the event's first alert, for which brightness and strength were drawn.
    parameters : AlertSimulationParameters
    rng : numpy.random.Generator

    Returns
    -------
    ndarray
        (`SKY`, `SKY`) float32, signal to noise.
    """
    level = _background_level(window, parameters)
    open_field = seen = level * background_shape(event.pattern)
    earth, hidden = event.disturbance.earth, None
    if earth is not None:
        hidden = hidden_share(earth, window.timescale)
        seen = level * background_shape(event.pattern, hidden)
    sources = _source_counts(event, window, first, hidden, parameters)
    counts = rng.poisson(seen + sources + _disturbance_counts(event, window, first, parameters))[None]
    decode = decoder(event.pattern)
    background = decode.fit_background(counts)
    if earth is not None:  # as if it had been fitted with less of the Earth in the field
        background += event.disturbance.unfitted * decode.fit_background((open_field - seen)[None])
    return decode.snr(counts, background)[0]


def _source_counts(
    event: Event, window: Window, first: Window, hidden: np.ndarray | None, parameters: AlertSimulationParameters
) -> np.ndarray:
    """Sum the expected counts of all sources while the Earth does not hide them: (80, 80)."""
    growth = _growth(event, window, first, parameters)
    crab = parameters.bands[window.band].crab.value * window.timescale / (OPEN_FRACTION * DETECTOR**2)
    total = np.zeros((DETECTOR, DETECTOR))
    for source in (*event.others, event.source):
        if source is None:
            continue
        if source.crab:
            counts = source.crab * crab * cosine(source.row, source.column)
        else:
            counts = _open_counts(event.pattern, source, first, parameters) * growth
        counts *= _RESIDUAL if source.cleaned else 1
        if hidden is not None:
            counts *= 1 - hidden[_pixel(source)]
        total += counts * shadow(mask_pattern(event.pattern), source.row, source.column)
    return total


def _disturbance_counts(
    event: Event, window: Window, first: Window, parameters: AlertSimulationParameters
) -> np.ndarray | float:
    """Give the expected counts of detector and limb: (80, 80), or 0."""
    unit = math.sqrt(_background_level(first, parameters) * DETECTOR**2) * _growth(event, window, first, parameters)
    counts, glow = event.disturbance.counts, event.disturbance.glow
    if counts is not None:
        return unit * counts
    if glow is not None:
        return unit * through_mask(event.pattern, glow) / (OPEN_FRACTION * DETECTOR**2)
    return 0.0


def find_peak(snr: np.ndarray, known: list[Source], settings: TriggerParameters) -> Peak:
    """Find the highest pixel of a sky image.

    Parameters
    ----------
    snr : ndarray
        (`SKY`, `SKY`)
    known : list of Source
        Sources of the catalogue, which are left out.
    settings : TriggerParameters
    """
    usable = coding_fraction() >= settings.smallest_coding_fraction
    searched = np.where(usable, snr, -np.inf)
    for source in known:
        _veto(searched, source)
    row, column = np.unravel_index(np.argmax(searched), snr.shape)
    spread, highest = float(snr[usable].std()), float(snr[row, column])
    triggers = highest > max(settings.threshold, settings.spread_factor * spread)
    return Peak(int(row), int(column), highest, spread, triggers)


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


def _open_counts(pattern: int, source: Source, first: Window, parameters: AlertSimulationParameters) -> float:
    """Give the counts in a fully open pixel that a source needs for its signal to noise in the first window.

    From (n S)² = SNR² (V_b + n V_s): S and V_s the decoded shadow of one count, V_b the variance of the background.
    """
    row, column = _pixel(source)
    signal, variance = decoder(pattern).at(shadow(mask_pattern(pattern), source.row, source.column), row, column)
    if signal < 1:  # at the border of the field, behind closed elements alone
        return 0.0
    level = _background_level(first, parameters)
    noise = level * decoder(pattern).at(background_shape(pattern), row, column)[1]
    own = source.snr**2 * variance
    return (own + math.sqrt(own**2 + 4 * signal**2 * source.snr**2 * noise)) / (2 * signal**2)


def _pixel(source: Source) -> tuple[int, int]:
    """Give the sky pixel in which a source stands."""
    row, column = (int(np.clip(round(at), 0, SKY - 1)) for at in (source.row, source.column))
    return row, column
