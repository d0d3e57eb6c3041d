"""One shower after the other, from the cascade to triggered images: the loop that must be fast."""

import math
from typing import NamedTuple

import numba
import numpy as np

from cherenkov_pipeline.simulation.atmosphere import Slices
from cherenkov_pipeline.simulation.cherenkov import AngularTable
from cherenkov_pipeline.simulation.electromagnetic import RADIATION_LENGTH
from cherenkov_pipeline.simulation.electronics import Electronics, least_light, read_out
from cherenkov_pipeline.simulation.hadronic import DEPTH, DZ, ENERGY, MAXIMUM, WEIGHT, gamma_shower, proton_shower
from cherenkov_pipeline.simulation.imaging import collect, estimate
from cherenkov_pipeline.simulation.kernels import drop_stale_kernels
from cherenkov_pipeline.simulation.telescope import Telescopes

drop_stale_kernels(collect)

#: an image is drawn if its estimated light triggers with a fluctuation of so many standard deviations
WORTHWHILE = 3.0


class Observatory(NamedTuple):
    """Atmosphere, light, telescopes and electronics; a tuple, so that numba takes it."""

    atmosphere: Slices
    table: AngularTable
    telescopes: Telescopes
    electronics: Electronics
    faintest: float  # GeV: a photon below gives no telescope a photo-electron, wherever it falls


class Images(NamedTuple):
    """Room for the images of one shower, and what triggered."""

    true_image: np.ndarray  # int32 (n_uses, n_telescopes, n_pixels), photo-electrons of the shower
    waveforms: np.ndarray  # float32 (n_uses, n_telescopes, n_pixels, n_samples), heights
    triggered: np.ndarray  # bool (n_uses, n_telescopes)


def room_for_images(n_uses: int, observatory: Observatory) -> Images:
    """Make room for the images of a shower that is used ``n_uses`` times."""
    shape = (n_uses, len(observatory.telescopes.position), observatory.telescopes.n_pixels)
    return Images(
        true_image=np.zeros(shape, dtype=np.int32),
        waveforms=np.zeros((*shape, observatory.electronics.sky.shape[1]), dtype=np.float32),
        triggered=np.zeros(shape[:2], dtype=np.bool_),
    )


@numba.njit(cache=True)
def observe_next(
    first: int,
    primaries: np.ndarray,
    hadronic: bool,
    cores: np.ndarray,
    worthwhile: np.ndarray,
    observatory: Observatory,
    images: Images,
    rng: np.random.Generator,
) -> tuple[int, float, float]:
    """Simulate showers until one triggers a telescope.

    Parameters
    ----------
    first : int
        Shower to begin with.
    primaries : ndarray, shape (n_showers, N_COLUMNS)
        Primary particles, aimed at the origin.
    hadronic : bool
        Whether they are protons; gammas otherwise.
    cores : ndarray, shape (n_showers, n_uses, 3)
        Where the showers are moved to [m].
    worthwhile : ndarray of bool, shape (n_showers, n_uses)
        Uses that may trigger; the others are left out.
    observatory : Observatory
    images : Images
        Overwritten with the images of the shower that triggered.
    rng : numpy.random.Generator

    Returns
    -------
    shower : int
        The shower that triggered; -1 if none is left.
    first_interaction : float
        Its height above the observation level [m].
    depth_of_maximum : float
        Slant depth [g/cm2].
    """
    atmosphere, table, telescopes, electronics, faintest = observatory
    worth_drawing = least_light(electronics, WORTHWHILE)
    for shower in range(first, primaries.shape[0]):
        if not worthwhile[shower].any():
            continue
        if hadronic:
            photons, muons, first_interaction = proton_shower(primaries[shower], atmosphere, faintest, rng)
        else:
            photons, muons, first_interaction = gamma_shower(primaries[shower], atmosphere, rng)
        images.triggered[:] = False
        for use in range(cores.shape[1]):
            if not worthwhile[shower, use]:
                continue
            for telescope in range(telescopes.position.shape[0]):
                position = telescopes.position[telescope] - cores[shower, use]
                light, muon_light = estimate(photons, muons, position, telescopes, atmosphere, table)
                if light.sum() + muon_light < worth_drawing:
                    continue
                arrivals = collect(photons, muons, light, position, telescopes, atmosphere, table, rng)
                images.triggered[use, telescope] = read_out(
                    arrivals, electronics, images.true_image[use, telescope], images.waveforms[use, telescope], rng
                )
        if images.triggered.any():
            return shower, first_interaction, _depth_of_maximum(photons)
    return -1, math.nan, math.nan


@numba.njit(cache=True)
def _depth_of_maximum(photons: np.ndarray) -> float:
    """Slant depth of the maximum: the mean over the electromagnetic sub-showers, weighted by energy."""
    energy, weighted = 0.0, 0.0
    for photon in photons:
        maximum = photon[DEPTH] / -photon[DZ] + RADIATION_LENGTH * photon[MAXIMUM]
        energy += photon[WEIGHT] * photon[ENERGY]
        weighted += photon[WEIGHT] * photon[ENERGY] * maximum
    return weighted / energy if energy > 0 else math.nan
