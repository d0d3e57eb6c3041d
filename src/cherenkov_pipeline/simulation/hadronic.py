"""Hadronic cascades: a hadron becomes photons (from neutral pions) and muons.

A recursive cascade with constant interaction lengths, inelasticity, multiplicity and transverse momentum from simple
distributions; it gives the sub-structure of hadronic images, not the details of hadronic physics.
"""

import math

import numba
import numpy as np

from cherenkov_pipeline.simulation.atmosphere import Slices
from cherenkov_pipeline.simulation.electromagnetic import CONVERSION_LENGTH, CRITICAL_ENERGY, draw_development

SPEED_OF_LIGHT = 0.299792458  # m/ns
UPPER_SCALE_HEIGHT = 6361.43  # m

NUCLEON_LENGTH = 82.0  # g/cm2, interaction length in air
PION_LENGTH = 110.0
PION_DECAY_LENGTH = 55.9  # m per GeV
NEUTRAL_PION_MASS = 0.135  # GeV
MUON_ENERGY_SHARE = 0.79  # of the pion's energy, mean
INELASTICITY = 2.2  # both parameters of a Beta distribution
MULTIPLICITY = (4.0, 2.2)  # mean number of pions: constant, per ln(E / 10 GeV)
DIRICHLET = 0.35  # sharing of the energy among the pions
TRANSVERSE_MOMENTUM = (2.0, 0.17)  # Gamma distribution: shape, scale [GeV]
MIN_HADRON = 2.0  # GeV, hadrons below are dropped
MIN_PHOTON = 0.3  # GeV
MIN_MUON = 5.0  # GeV, about the Cherenkov threshold at sea level

#: columns of a particle: energy [GeV], position x, y, z [m, z above the observation level], direction x, y, z,
#: time [ns], vertical depth [g/cm2], kind, weight (how many photons one stands for), depth of the maximum and shape of
#: its cascade (see `electromagnetic`); for a photon, position and depth are those of the start of its cascade
ENERGY, X, Y, Z, DX, DY, DZ, TIME, DEPTH, KIND, WEIGHT, MAXIMUM, SHAPE = range(13)
N_COLUMNS = 13
NUCLEON, PION = 0.0, 1.0


@numba.njit(cache=True)
def _height(atmosphere: Slices, depth: float) -> float:
    """Height above the observation level at a vertical depth, interpolated in the slices."""
    position = depth / atmosphere.step - 0.5
    n = atmosphere.z.size
    if position <= 0.0:
        # above the middle of the first slice: isothermal with the scale height of the upper atmosphere
        return atmosphere.z[0] - UPPER_SCALE_HEIGHT * math.log(max(depth, 1e-3) / atmosphere.depth[0])
    index = min(int(position), n - 2)
    share = position - index
    return max(atmosphere.z[index] * (1.0 - share) + atmosphere.z[index + 1] * share, 0.0)


@numba.njit(cache=True)
def _fly(particle: np.ndarray, atmosphere: Slices, slant_depth: float) -> float:
    """Move a particle along its direction through ``slant_depth`` [g/cm2]; gives the length of the path [m]."""
    cosine = -particle[DZ]
    particle[DEPTH] += slant_depth * cosine
    length = (particle[Z] - _height(atmosphere, particle[DEPTH])) / cosine
    particle[X] += length * particle[DX]
    particle[Y] += length * particle[DY]
    particle[Z] += length * particle[DZ]
    particle[TIME] += length / SPEED_OF_LIGHT
    return length


@numba.njit(cache=True)
def _turn(particle: np.ndarray, angle: float, azimuth: float) -> None:
    """Turn a particle's direction by ``angle`` towards ``azimuth`` about it."""
    dx, dy, dz = particle[DX], particle[DY], particle[DZ]
    # two unit vectors perpendicular to a direction that is never horizontal
    norm = math.sqrt(dx * dx + dz * dz)
    ax, az = dz / norm, -dx / norm
    bx, by, bz = dy * az, dz * ax - dx * az, -dy * ax
    sine, cosine = math.sin(angle), math.cos(angle)
    a, b = sine * math.cos(azimuth), sine * math.sin(azimuth)
    particle[DX] = cosine * dx + a * ax + b * bx
    particle[DY] = cosine * dy + b * by
    particle[DZ] = cosine * dz + a * az + b * bz


@numba.njit(cache=True)
def grown(array: np.ndarray, n: int) -> np.ndarray:
    """Give an array with room for ``n`` rows: the same if it has, else a larger copy."""
    if n <= array.shape[0]:
        return array
    larger = np.empty((2 * n, array.shape[1]))
    larger[: array.shape[0]] = array
    return larger


@numba.njit(cache=True)
def start_photon(photon: np.ndarray, atmosphere: Slices, rng: np.random.Generator) -> float:
    """Move a photon to its first interaction and draw its cascade; height of it [m], negative if below the ground."""
    slant = rng.exponential(CONVERSION_LENGTH)
    if photon[DEPTH] - slant * photon[DZ] >= atmosphere.depth[-1]:
        return -1.0
    _fly(photon, atmosphere, slant)
    photon[MAXIMUM], photon[SHAPE] = draw_development(math.log(photon[ENERGY] / CRITICAL_ENERGY), rng)
    return photon[Z]


@numba.njit(cache=True)
def gamma_shower(
    primary: np.ndarray, atmosphere: Slices, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Shower of a primary gamma: like `proton_shower`, with one photon and no muon."""
    photons = np.empty((1, N_COLUMNS))
    photons[0] = primary
    first_interaction = start_photon(photons[0], atmosphere, rng)
    n_photons = 1 if first_interaction >= 0.0 else 0
    return photons[:n_photons], np.empty((0, N_COLUMNS)), first_interaction


@numba.njit(cache=True)
def proton_shower(
    primary: np.ndarray, atmosphere: Slices, thin_below: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float]:
    """Cascade of a primary proton.

    Parameters
    ----------
    primary : ndarray
        Columns of this module; position anywhere on the axis, at its depth.
    atmosphere : Slices
    thin_below : float
        Photons below this energy [GeV] are thinned at random: those kept stand for their like, energy and light
        are kept on average.
    rng : numpy.random.Generator

    Returns
    -------
    photons : ndarray, shape (n_photons, N_COLUMNS)
        Photons of neutral pions, each at the start of its cascade.
    muons : ndarray, shape (n_muons, N_COLUMNS)
        Muons where the pions were born that decayed to them.
    first_interaction : float
        Its height above the observation level [m].
    """
    photons = np.empty((64, N_COLUMNS))
    muons = np.empty((16, N_COLUMNS))
    stack = np.empty((64, N_COLUMNS))
    shares = np.empty(200)
    child = np.empty(N_COLUMNS)
    stack[0] = primary
    stack[0, KIND] = NUCLEON
    n_stack, n_photons, n_muons = 1, 0, 0
    first_interaction = -1.0
    while n_stack:
        n_stack -= 1
        hadron = stack[n_stack].copy()
        slant = rng.exponential(PION_LENGTH if hadron[KIND] == PION else NUCLEON_LENGTH)
        lands = hadron[DEPTH] - slant * hadron[DZ] >= atmosphere.depth[-1]
        if hadron[KIND] == PION:
            decay = rng.exponential(PION_DECAY_LENGTH * hadron[ENERGY])
            target = 0.0 if lands else _height(atmosphere, hadron[DEPTH] - slant * hadron[DZ])
            if decay < (hadron[Z] - target) / -hadron[DZ]:
                energy = MUON_ENERGY_SHARE * hadron[ENERGY]
                if energy > MIN_MUON:
                    # the pion radiates as its muon does: the track begins where the pion was born
                    muons = grown(muons, n_muons + 1)
                    muons[n_muons] = hadron
                    muons[n_muons, ENERGY] = energy
                    n_muons += 1
                continue
        if lands:
            continue
        _fly(hadron, atmosphere, slant)
        if first_interaction < 0.0:
            first_interaction = hadron[Z]

        lost = rng.beta(INELASTICITY, INELASTICITY) * hadron[ENERGY]
        mean = MULTIPLICITY[0] + MULTIPLICITY[1] * max(math.log(hadron[ENERGY] / 10.0), 0.0)
        n_pions = min(max(rng.poisson(mean), 2), shares.size)
        total = 0.0
        for index in range(n_pions):
            shares[index] = rng.standard_gamma(DIRICHLET)
            total += shares[index]
        for index in range(-1, n_pions):
            child[:] = hadron
            if index < 0:
                energy = hadron[ENERGY] - lost
            else:
                energy = lost * shares[index] / total
                child[KIND] = PION
            neutral = child[KIND] == PION and rng.random() < 1.0 / 3.0
            if energy < (2 * MIN_PHOTON if neutral else MIN_HADRON):
                continue
            child[ENERGY] = energy
            momentum = TRANSVERSE_MOMENTUM[1] * rng.standard_gamma(TRANSVERSE_MOMENTUM[0])
            _turn(child, math.atan(momentum / energy), 2 * math.pi * rng.random())
            if child[DZ] > -0.3:  # nearly horizontal: leaves the shower
                continue
            if not neutral:
                stack = grown(stack, n_stack + 1)
                stack[n_stack] = child
                n_stack += 1
                continue
            # two photons, back to back and isotropic in the rest frame of the pion
            cosine = 2 * rng.random() - 1
            azimuth = 2 * math.pi * rng.random()
            for sign in (-1, 1):
                energy = child[ENERGY] * (1 + sign * cosine) / 2
                chance = min(energy / thin_below, 1.0)
                if energy < MIN_PHOTON or (chance < 1.0 and rng.random() >= chance):
                    continue
                photons = grown(photons, n_photons + 1)
                photon = photons[n_photons]
                photon[:] = child
                photon[ENERGY] = energy
                photon[WEIGHT] = 1.0 / chance
                transverse = NEUTRAL_PION_MASS / 2 * math.sqrt(1 - cosine * cosine)
                _turn(photon, math.atan(transverse / energy), azimuth + (math.pi if sign < 0 else 0.0))
                if photon[DZ] < -0.3 and start_photon(photon, atmosphere, rng) >= 0.0:
                    n_photons += 1
    return photons[:n_photons], muons[:n_muons], first_interaction
