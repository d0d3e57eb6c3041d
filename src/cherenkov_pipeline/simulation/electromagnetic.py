"""Electromagnetic showers: number and energies of the electrons.

The longitudinal profile is a gamma distribution in depth, both of whose parameters fluctuate from shower to shower
(Longo and Sestili 1975, Nucl. Instrum. Meth. 128, 283; Grindhammer and Peters 2000, hep-ex/0001020). Its constants
were fitted to the Cherenkov profiles of the 100 CORSIKA gammas of 0.25-20 TeV that SST-1M's sim_telarray file carries.
The energy spectrum is that of Nerling et al. 2006 (astro-ph/0506729).
"""

import math

import numba
import numpy as np

RADIATION_LENGTH = 36.7  # g/cm2
CRITICAL_ENERGY = 0.085  # GeV
CONVERSION_LENGTH = 9 / 7 * RADIATION_LENGTH  # g/cm2, of a photon
#: depth of the maximum below the first interaction, in radiation lengths: ln(E / critical energy) less this, at least
#: a share of it
MAXIMUM_OFFSET = 1.7
MAXIMUM_SHARE = 0.48
#: standard deviation of this depth, in radiation lengths (at most a share of the depth), with the tail to large depths
#: of a gamma distribution of this shape
MAXIMUM_SPREAD = 0.79
MAXIMUM_SPREAD_SHARE = 0.25
MAXIMUM_TAIL = 4.0
#: shape of the profile: growth with ln(E / critical energy), offset, least mean, standard deviation of ln(shape - 1),
#: correlation with the depth of the maximum
SHAPE_GROWTH = 0.67
SHAPE_OFFSET = -0.3
SHAPE_LEAST = 1.5
SHAPE_SPREAD = 0.18
SHAPE_CORRELATION = 0.34
#: track length of all electrons, relative to the energy over the critical energy, in radiation lengths
TRACK_LENGTH = 0.93


@numba.njit(cache=True)
def mean_development(log_energy: float) -> tuple[float, float]:
    """Give the depth of the maximum and the shape of the mean shower.

    Parameters
    ----------
    log_energy : float
        ln(E / critical energy); positive.

    Returns
    -------
    maximum : float
        Depth of the maximum below the first interaction, in radiation lengths.
    shape : float
        Shape parameter of the profile, above 1.
    """
    maximum = max(log_energy - MAXIMUM_OFFSET, MAXIMUM_SHARE * log_energy)
    return maximum, max(SHAPE_OFFSET + SHAPE_GROWTH * log_energy, SHAPE_LEAST)


@numba.njit(cache=True)
def draw_development(log_energy: float, rng: np.random.Generator) -> tuple[float, float]:
    """Draw the depth of the maximum and the shape of one shower: see `mean_development`."""
    maximum, shape = mean_development(log_energy)
    late = (rng.standard_gamma(MAXIMUM_TAIL) - MAXIMUM_TAIL) / math.sqrt(MAXIMUM_TAIL)
    other = math.sqrt(1.0 - SHAPE_CORRELATION**2) * rng.standard_normal()
    steeper = math.exp(SHAPE_SPREAD * (SHAPE_CORRELATION * late + other))
    return maximum + min(MAXIMUM_SPREAD, MAXIMUM_SPREAD_SHARE * maximum) * late, 1.0 + (shape - 1.0) * steeper


@numba.njit(cache=True)
def size_at_maximum(log_energy: float, maximum: float, shape: float) -> float:
    """Give the number of electrons and positrons at the maximum of a shower."""
    power = shape - 1.0
    log_height = power * (math.log(power) - 1.0) - math.lgamma(shape)
    return TRACK_LENGTH * math.exp(log_energy + log_height) * power / maximum


@numba.njit(cache=True)
def relative_size(t: float, maximum: float, shape: float) -> float:
    """Give the number of electrons relative to that at the maximum, ``t`` radiation lengths below the start."""
    return math.exp((shape - 1.0) * (1.0 - t / maximum + math.log(t / maximum)))


@numba.njit(cache=True)
def shower_age(t: float, maximum: float) -> float:
    """Age s of a shower: 1 at the maximum.

    As Nerling et al. define it, depth counts from the top of the atmosphere, on average 9/7 radiation lengths above the
    first interaction.

    Parameters
    ----------
    t, maximum : float
        Depth, and that of the maximum, below the first interaction, in radiation lengths.
    """
    return 3.0 * (t + 9 / 7) / (t + 2.0 * maximum + 27 / 7)


def electron_spectrum(energy: np.ndarray, age: float) -> np.ndarray:
    """Share of the electrons per logarithmic interval of energy.

    Equation 8 of Nerling et al. 2006, normalised to 1 above 1 MeV over the given energies.

    Parameters
    ----------
    energy : ndarray
        Energies [MeV], equally spaced in the logarithm.
    age : float
        Age s of the shower.

    Returns
    -------
    ndarray
        dN / dlnE, same shape.
    """
    a1 = 6.42522 - 1.53183 * age
    a2 = 168.168 - 42.1368 * age
    spectrum = energy / ((energy + a1) * (energy + a2) ** age)
    return spectrum / (spectrum.sum() * np.log(energy[1] / energy[0]))
