"""What happens in the sky and in the detector during one event, drawn at random: the causes of alerts."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from cherenkov_pipeline.alerts.images import FALSE_CAUSES, REAL_CAUSES
from cherenkov_pipeline.alerts.simulation.disturbances import (
    GHOST,
    LIMB,
    NO_DISTURBANCE,
    Disturbance,
    draw_disturbance,
)
from cherenkov_pipeline.alerts.simulation.earth import Earth, hidden_share
from cherenkov_pipeline.alerts.simulation.instrument import SKY, coding_fraction, cosines
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters

SHORTEST = 20.48
"""Shortest time scale [s]; the others are twice as long, four times, ..."""
NOISE = "noise"
"""Cause of frames without a source."""

KNOWN_SOURCES = (
    "Sco X-1", "Crab", "Cyg X-1", "Cyg X-3", "GRS 1915+105", "GX 5-1", "GX 17+2", "GX 340+0", "GX 349+2", "GX 301-2",
    "Vela X-1", "Cen X-3", "Her X-1", "4U 1700-377", "4U 1636-536", "4U 1820-303", "4U 1626-67", "4U 1728-34",
    "Aql X-1", "Ser X-1", "Cir X-1", "OAO 1657-415", "GX 1+4", "GX 9+9", "GX 13+1", "GX 339-4", "EXO 2030+375",
    "1A 0535+262", "X Per", "4U 0614+09", "4U 1608-522", "Swift J1727.8-1613", "SMC X-1", "LMC X-4", "Cyg X-2",
)  # fmt: skip
"""Bright known sources in hard X-rays; each alert of one takes its name from here."""

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
        Signal to noise expected in the first alert, while the Earth does not hide it; 0 where `crab` sets it.
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
        Of `CAUSES`, or `NOISE`.
    pattern : int
        Of the mask.
    duration : float
        Of the source or disturbance [s]; time scales up to it gain counts.
    colours : dict of str to float
        Counts by band relative to a spectrum like the Crab's.
    source : Source or None
        The one that triggers, or whose ghost does.
    others : tuple of Source
        Other known sources in the field.
    disturbance : Disturbance
        What is no source.
    name : str
        Of the source.
    """

    cause: str
    pattern: int
    duration: float
    colours: dict[str, float]
    source: Source | None = None
    others: tuple[Source, ...] = ()
    disturbance: Disturbance = NO_DISTURBANCE
    name: str = ""

    @property
    def known(self) -> list[Source]:
        """Sources of the catalogue beside the one that triggers: they do not trigger themselves."""
        return [*self.others, *([self.source] if self.source and self.cause not in REAL_CAUSES else [])]


def draw_event(cause: str, parameters: AlertSimulationParameters, rng: np.random.Generator) -> Event:
    """Draw an event.

    Parameters
    ----------
    cause : str
        Of `CAUSES`; `NOISE` for one without any source, but perhaps with a disturbance.
    parameters : AlertSimulationParameters
    rng : numpy.random.Generator
    """
    settings = parameters.disturbances
    pattern = int(rng.choice(parameters.mask_patterns))
    colours = {band: float(rng.lognormal(0, 0.3)) for band in parameters.bands}
    kind, factor = cause, settings.strength
    if cause in REAL_CAUSES:
        factor *= settings.strength_in_real
    if cause not in FALSE_CAUSES:
        kinds = [kind for kind in FALSE_CAUSES if cause != NOISE or kind != GHOST]  # a ghost takes a source
        kind = str(rng.choice(kinds)) if rng.random() < settings.share else ""
    disturbance = draw_disturbance(kind, factor, rng)
    source, name = None, ""
    if cause in REAL_CAUSES:
        source = Source(*_draw_place(_detectable(), disturbance.earth, rng), snr=_draw_snr(parameters, rng))
        name = str(rng.choice(KNOWN_SOURCES)) if cause == "known_source" else ""
    others = _draw_others(parameters, source, disturbance.earth, rng) if cause != NOISE else ()
    if disturbance.bright:
        bright = Source(*_draw_place(_visible(), None, rng), snr=disturbance.bright)
        if source is None:
            source, name = bright, str(rng.choice(KNOWN_SOURCES))
        else:
            others = (*others, bright)
    return Event(
        cause=cause,
        pattern=pattern,
        duration=_draw_duration(cause, rng),
        colours=colours,
        source=source,
        others=others,
        disturbance=disturbance,
        name=name,
    )


def _draw_snr(parameters: AlertSimulationParameters, rng: np.random.Generator) -> float:
    settings = parameters.sources
    lowest = (settings.brightest / settings.faintest) ** -settings.slope
    return settings.faintest * rng.uniform(lowest, 1) ** (-1 / settings.slope)


def _draw_duration(cause: str, rng: np.random.Generator) -> float:
    if cause == "grb":
        return float(rng.lognormal(math.log(30), 1.0))
    if cause in ("known_source", GHOST, LIMB):
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
    """Solid angle of each sky pixel that enough of the detector sees for a known source to matter."""
    return cosines() ** 3 * (coding_fraction() > 0.03)


@cache
def _detectable() -> np.ndarray:
    """Weigh sky pixels by the sources seen there: solid angle, and how many are bright enough (flux^-1)."""
    return cosines() ** 3 * np.sqrt(coding_fraction()) * cosines() * (coding_fraction() > 0.05)
