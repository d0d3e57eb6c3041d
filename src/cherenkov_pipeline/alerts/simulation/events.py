"""What happens in the sky and in the detector during one event, drawn at random: the causes of alerts."""

import math
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from cherenkov_pipeline.alerts.images import FALSE_CAUSES, REAL_CAUSES
from cherenkov_pipeline.alerts.simulation.disturbances import DETECTOR_DISTURBANCES, strength
from cherenkov_pipeline.alerts.simulation.earth import Earth, draw_earth, draw_glow, hidden_share
from cherenkov_pipeline.alerts.simulation.instrument import SKY, coding_fraction, cosines
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters

SHORTEST = 20.48  # s

KNOWN_SOURCES = (
    "Sco X-1", "Crab", "Cyg X-1", "Cyg X-3", "GRS 1915+105", "GX 5-1", "GX 17+2", "GX 340+0", "GX 349+2", "GX 301-2",
    "Vela X-1", "Cen X-3", "Her X-1", "4U 1700-377", "4U 1636-536", "4U 1820-303", "4U 1626-67", "4U 1728-34",
    "Aql X-1", "Ser X-1", "Cir X-1", "OAO 1657-415", "GX 1+4", "GX 9+9", "GX 13+1", "GX 339-4", "EXO 2030+375",
    "1A 0535+262", "X Per", "4U 0614+09", "4U 1608-522", "Swift J1727.8-1613", "SMC X-1", "LMC X-4", "Cyg X-2",
)  # fmt: skip
"""Bright known sources in hard X-rays; each alert of one takes its name from here."""

_LIMB_CAUSE = "earth_limb"
_BRIGHT = 35.0, 180.0
"""Range of the signal to noise of a source whose ghosts trigger."""
_GLOWING = 0.6
"""Share of the frames with the Earth's limb in which some of it glows."""
_GLOW = 8.0, 80.0
"""Range of the counts of the glow, in square roots of the frame's counts."""
_RETREAT = 8.0
"""Pixels that other sources keep from the one that triggers."""


@dataclass(frozen=True)
class Source:
    """A point source.

    Attributes
    ----------
    row, column : float
        In the sky image.
    crab : float
        Flux in units of the Crab; 0 where `snr` sets it.
    snr : float
        Signal to noise expected in the first alert; 0 where `crab` sets it.
    cleaned : bool
        Whether it is subtracted on board, all but a twentieth.
    """

    row: float
    column: float
    crab: float = 0.0
    snr: float = 0.0
    cleaned: bool = False


@dataclass(frozen=True)
class Event:
    """One event, which gives one alert or several.

    Attributes
    ----------
    cause : str
        Of `CAUSES`.
    pattern : int
        Of the mask.
    duration : float
        Of the source or disturbance [s]; time scales up to it gain counts.
    colours : dict of str to float
        Counts by band relative to a spectrum like the Crab's.
    source : Source or None
        The one that triggers, or whose ghost does.
    others : tuple of Source
        Known sources in the field.
    disturbance : ndarray or None
        (80, 80), expected counts in units of the square root of the frame's counts.
    earth : Earth or None
        Where it stands, if it is in the field.
    unfitted : float
        Share of what the Earth hides that the fit of the background misses.
    glow : ndarray or None
        (`SKY`, `SKY`), what glows at the Earth's limb: expected counts by sky pixel in units of the square root of the
        frame's counts.
    name : str
        Of the source.
    """

    cause: str
    pattern: int
    duration: float
    colours: dict[str, float]
    source: Source | None = None
    others: tuple[Source, ...] = ()
    disturbance: np.ndarray | None = None
    earth: Earth | None = None
    unfitted: float = 0.0
    glow: np.ndarray | None = None
    name: str = field(default="")


def draw_event(cause: str, parameters: AlertSimulationParameters, rng: np.random.Generator) -> Event:
    """Draw an event of a cause."""
    real = cause in REAL_CAUSES
    settings = parameters.disturbances
    pattern = int(rng.choice(parameters.mask_patterns))
    colours = {band: float(rng.lognormal(0, 0.3)) for band in parameters.bands}
    kind, factor = cause, settings.strength
    if real:
        kind = str(rng.choice(FALSE_CAUSES)) if rng.random() < settings.share_in_real else ""
        factor *= settings.strength_in_real
    disturbance = factor * DETECTOR_DISTURBANCES[kind](rng) if kind in DETECTOR_DISTURBANCES else None
    globe = draw_earth(rng) if kind == _LIMB_CAUSE else None
    source, name = None, ""
    if real:
        source = Source(*_draw_place(_detectable(), globe, rng), snr=_draw_snr(parameters, rng))
        name = str(rng.choice(KNOWN_SOURCES)) if cause == "known_source" else ""
    others = _draw_others(parameters, source, globe, rng)
    if kind == "ghost":
        bright = Source(*_draw_place(_visible(), None, rng), snr=factor * strength(rng, *_BRIGHT))
        if real:  # beside the source that triggers
            others = (*others, bright)
        else:
            source, name = bright, str(rng.choice(KNOWN_SOURCES))
    unfitted, glow = 0.0, None
    if globe is not None:
        unfitted = min(1.0, factor * rng.uniform(0.1, 1))
        if rng.random() < _GLOWING and (spot := draw_glow(globe, rng)) is not None:
            glow = factor * strength(rng, *_GLOW) * spot
    return Event(
        cause=cause,
        pattern=pattern,
        duration=_draw_duration(cause, rng),
        colours=colours,
        source=source,
        others=others,
        disturbance=disturbance,
        earth=globe,
        unfitted=unfitted,
        glow=glow,
        name=name,
    )


def _draw_snr(parameters: AlertSimulationParameters, rng: np.random.Generator) -> float:
    settings = parameters.sources
    lowest = (settings.brightest / settings.faintest) ** -settings.slope
    return settings.faintest * rng.uniform(lowest, 1) ** (-1 / settings.slope)


def _draw_duration(cause: str, rng: np.random.Generator) -> float:
    if cause == "grb":
        return float(rng.lognormal(math.log(30), 1.0))
    if cause in ("known_source", "ghost", _LIMB_CAUSE):
        return float(np.exp(rng.uniform(math.log(100), math.log(5000))))
    return float(rng.lognormal(math.log(60), 1.2))


def _draw_others(
    parameters: AlertSimulationParameters,
    source: Source | None,
    globe: Earth | None,
    rng: np.random.Generator,
) -> tuple[Source, ...]:
    others = []
    for _ in range(rng.poisson(parameters.sources.others_in_field)):
        row, column = _draw_place(_visible(), globe, rng)
        crab = math.exp(rng.uniform(math.log(0.02), 0))
        cleaned = rng.random() < parameters.sources.others_cleaned
        if source is None or math.hypot(row - source.row, column - source.column) > _RETREAT:
            others.append(Source(row, column, crab=crab, cleaned=cleaned))
    return tuple(others)


def _draw_place(weight: np.ndarray, globe: Earth | None, rng: np.random.Generator) -> tuple[float, float]:
    """Draw a place in the sky image that the Earth does not cover."""
    if globe is not None:
        weight = weight * (hidden_share(globe, SHORTEST) == 0)
    cumulative = np.cumsum(weight)
    place = np.searchsorted(cumulative, rng.uniform(0, cumulative[-1]), side="right")
    row, column = np.unravel_index(place, (SKY, SKY))
    return float(row + rng.uniform(-0.5, 0.5)), float(column + rng.uniform(-0.5, 0.5))


@cache
def _visible() -> np.ndarray:
    """Solid angle of each sky pixel that some part of the detector sees."""
    return cosines() ** 3 * (coding_fraction() > 0.02)


@cache
def _detectable() -> np.ndarray:
    """Weigh sky pixels by the sources detected there: solid angle times those bright enough, which go with SNR^-1.6."""
    return cosines() ** 3 * (np.sqrt(coding_fraction()) * cosines()) ** 1.0 * (coding_fraction() > 0.1)
