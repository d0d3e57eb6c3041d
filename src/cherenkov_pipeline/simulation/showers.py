"""Simulate a run: throw showers, keep those that trigger a telescope.

Throws that cannot trigger are left out before any work: where even the light of the brightest shower of that energy,
at that distance, stays so far below the trigger threshold that noise does not lift it over, or the source lies far
outside the camera. They count as thrown all the same.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import astropy.units as u
import numpy as np
from ctapipe.instrument import SubarrayDescription

from cherenkov_pipeline.simulation.array import sst1m_array
from cherenkov_pipeline.simulation.atmosphere import Slices, height, slices
from cherenkov_pipeline.simulation.cherenkov import AngularTable, angular_table
from cherenkov_pipeline.simulation.electromagnetic import CRITICAL_ENERGY, mean_development
from cherenkov_pipeline.simulation.electronics import electronics, extract, least_light
from cherenkov_pipeline.simulation.hadronic import (
    DEPTH,
    DX,
    DZ,
    ENERGY,
    MAXIMUM,
    N_COLUMNS,
    SHAPE,
    SPEED_OF_LIGHT,
    TIME,
    WEIGHT,
    X,
    Z,
)
from cherenkov_pipeline.simulation.imaging import ROULETTE, estimate
from cherenkov_pipeline.simulation.observation import Observatory, observe_next, room_for_images
from cherenkov_pipeline.simulation.parameters import AtmosphereParameters, Production, SimulationParameters
from cherenkov_pipeline.simulation.telescope import direction, telescopes
from cherenkov_pipeline.simulation.throwing import Throws

START_DEPTH = 0.01  # g/cm2, where primaries are started
#: light of the brightest showers relative to the mean gamma of their energy and distance
BRIGHTEST = {"gamma": 2.0, "proton": 2.0}
#: size of the fluctuation, in standard deviations, with which this light must trigger
HOPEFUL = 1.5
#: height of the lowest light that an image shows, and by how much an image may miss the camera
LOWEST_LIGHT = 4000 * u.m
FIELD_MARGIN = 1 * u.deg


@dataclass(frozen=True)
class TelescopeImage:
    """Image of one telescope that triggered."""

    true_image: np.ndarray  # int32 (n_pixels,), photo-electrons of the shower
    image: np.ndarray  # float32 (n_pixels,), p.e.
    peak_time: np.ndarray  # float32 (n_pixels,), ns


@dataclass(frozen=True)
class ShowerEvent:
    """One use of one shower that triggered at least one telescope; TeV, rad, m, g/cm2."""

    shower: int
    use: int
    energy: float
    alt: float
    az: float
    core_x: float
    core_y: float
    h_first_int: float  # above sea level
    x_max: float
    images: dict[int, TelescopeImage]


@dataclass(frozen=True)
class Setup:
    """What does not change within a run."""

    subarray: SubarrayDescription
    pointing: tuple[u.Quantity, u.Quantity]  # altitude, azimuth
    observatory: Observatory


@lru_cache(maxsize=4)
def _atmosphere_and_light(parameters: str, altitude: float) -> tuple[Slices, AngularTable]:
    atmosphere = slices(AtmosphereParameters.model_validate_json(parameters), altitude * u.m)
    return atmosphere, angular_table(atmosphere)


def prepare(parameters: SimulationParameters) -> Setup:
    """Prepare atmosphere, light, telescopes and electronics.

    Parameters
    ----------
    parameters : SimulationParameters

    Returns
    -------
    Setup
    """
    subarray = sst1m_array(altitude=parameters.site_altitude)
    (telescope,) = subarray.telescope_types
    pointing = (90 * u.deg - parameters.zenith, parameters.azimuth)
    atmosphere, table = _atmosphere_and_light(
        parameters.atmosphere.model_dump_json(), parameters.site_altitude.to_value(u.m)
    )
    observatory = Observatory(
        atmosphere=atmosphere,
        table=table,
        telescopes=telescopes(subarray, parameters.optics, *pointing),
        electronics=electronics(parameters.electronics, telescope.camera.geometry, telescope.camera.readout),
        faintest=0.0,
    )
    brightest = _mean_light(np.zeros(1), observatory).item() / 1000  # p.e. per GeV
    return Setup(
        subarray=subarray,
        pointing=pointing,
        observatory=observatory._replace(faintest=ROULETTE / brightest),
    )


def simulate(production: Production, throws: Throws, setup: Setup, rng: np.random.Generator) -> Iterator[ShowerEvent]:
    """Simulate the showers of a run.

    Parameters
    ----------
    production : Production
    throws : Throws
    setup : Setup
    rng : numpy.random.Generator

    Yields
    ------
    ShowerEvent
        Those that triggered, in the order of the throws.
    """
    cores = np.stack([throws.core_x, throws.core_y, np.zeros_like(throws.core_x)], axis=-1)
    primaries = start(throws.energy, throws.alt, throws.az, setup.observatory.atmosphere)
    worthwhile = hopeful(production, throws, setup)
    images = room_for_images(production.uses_per_shower, setup.observatory)
    ground = setup.subarray.reference_location.height.to_value(u.m)
    tel_ids = list(setup.subarray.tel)
    hadronic = production.particle == "proton"
    shower = -1
    while True:
        shower, first_interaction, x_max = observe_next(
            shower + 1, primaries, hadronic, cores, worthwhile, setup.observatory, images, rng
        )
        if shower < 0:
            return
        for use in np.flatnonzero(images.triggered.any(axis=1)).tolist():
            seen = np.flatnonzero(images.triggered[use])
            image, peak_time = extract(images.waveforms[use, seen], setup.observatory.electronics)
            yield ShowerEvent(
                shower=shower,
                use=use,
                energy=throws.energy[shower],
                alt=throws.alt[shower],
                az=throws.az[shower],
                core_x=throws.core_x[shower, use],
                core_y=throws.core_y[shower, use],
                h_first_int=first_interaction + ground,
                x_max=x_max,
                images={
                    tel_ids[index]: TelescopeImage(images.true_image[use, index].copy(), image[row], peak_time[row])
                    for row, index in enumerate(seen)
                },
            )


def start(energy: np.ndarray, alt: np.ndarray, az: np.ndarray, atmosphere: Slices) -> np.ndarray:
    """Start primaries at the top of the atmosphere, aimed at the origin, to pass it at time 0.

    Parameters
    ----------
    energy : ndarray, shape (n,)
        In TeV.
    alt, az : ndarray, shape (n,)
        Where they come from [rad].
    atmosphere : Slices

    Returns
    -------
    ndarray, shape (n, N_COLUMNS)
        See `cherenkov_pipeline.simulation.hadronic`.
    """
    axis = -direction(alt, az)
    z = height(START_DEPTH) - height(atmosphere.depth[-1]) + atmosphere.z[-1]
    path = z / -axis[:, 2]
    primaries = np.zeros((len(axis), N_COLUMNS))
    primaries[:, ENERGY] = 1000 * energy
    primaries[:, X : Z + 1] = -path[:, None] * axis
    primaries[:, DX : DZ + 1] = axis
    primaries[:, TIME] = -path / SPEED_OF_LIGHT
    primaries[:, DEPTH] = START_DEPTH
    primaries[:, WEIGHT] = 1
    primaries[:, MAXIMUM : SHAPE + 1] = [
        mean_development(math.log(photon_energy / CRITICAL_ENERGY)) for photon_energy in primaries[:, ENERGY]
    ]
    return primaries


def hopeful(production: Production, throws: Throws, setup: Setup) -> np.ndarray:
    """Throws that may trigger, from their energy, distance and direction alone.

    Returns
    -------
    ndarray of bool, shape (n_showers, uses_per_shower)
    """
    observatory = setup.observatory
    towards = direction(throws.alt, throws.az)
    core = np.stack([throws.core_x, throws.core_y, np.zeros_like(throws.core_x)], axis=-1)
    distance = np.full(throws.core_x.shape, np.inf)
    for position in observatory.telescopes.position:
        offset = position - core
        along = np.einsum("suk,sk->su", offset, towards)
        distance = np.minimum(distance, np.sqrt(np.maximum((offset**2).sum(axis=-1) - along**2, 0)))
    off_axis = np.arccos(np.clip(towards @ observatory.telescopes.axes[0], -1, 1))
    light = throws.energy[:, None] * _mean_light(distance, observatory) * BRIGHTEST[production.particle]
    margin = FIELD_MARGIN.to_value(u.rad) + np.arctan(distance / LOWEST_LIGHT.to_value(u.m))
    in_view = off_axis[:, None] < observatory.telescopes.field_radius + margin
    return in_view & (light > least_light(observatory.electronics, HOPEFUL))


def _mean_light(distance: np.ndarray, observatory: Observatory) -> np.ndarray:
    """Photo-electrons per TeV of a vertical gamma of 10 TeV, by distance to its axis [m]."""
    radii = np.linspace(0, 1500, 61)
    energy = 10.0
    photon = start(np.array([energy]), np.array([np.pi / 2]), np.array([0.0]), observatory.atmosphere)
    vertical = observatory.telescopes._replace(axes=np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]))
    light = [
        estimate(photon, photon[:0], np.array([r, 0.0, 0.0]), vertical, observatory.atmosphere, observatory.table)[0][0]
        for r in radii
    ]
    # never less than farther out: showers differ in height
    return np.interp(distance, radii, np.maximum.accumulate(light[::-1])[::-1]) / energy
