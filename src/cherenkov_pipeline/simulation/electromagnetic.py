"""Electromagnetic showers: number and energies of the electrons.

Longitudinal profile after Greisen (1956), energy spectrum after Nerling et al. 2006 (astro-ph/0506729).
"""

import math

import numba
import numpy as np

RADIATION_LENGTH = 36.7  # g/cm2
CRITICAL_ENERGY = 0.085  # GeV
CONVERSION_LENGTH = 9 / 7 * RADIATION_LENGTH  # g/cm2, of a photon
DEVELOPMENT_LENGTH = 30.0  # g/cm2: by how much the cascade's development fluctuates after the first interaction
#: Greisen's depth counts from where the photon enters, on average before the cascade starts; this many radiation
#: lengths (at most this share of the depth of the maximum) put the maximum where CORSIKA has it: 325 g/cm2 at 1 TeV
HEAD_START = 2.6
HEAD_START_SHARE = 0.52


@numba.njit(cache=True)
def shower_size(log_energy: float, t: float) -> float:
    """Mean number of electrons and positrons: Greisen's formula.

    Parameters
    ----------
    log_energy : float
        ln(E / critical energy).
    t : float
        Depth in radiation lengths, the `head_start` included; positive.
    """
    return 0.31 / math.sqrt(log_energy) * math.exp(t * (1.0 - 1.5 * math.log(shower_age(log_energy, t))))


@numba.njit(cache=True)
def shower_age(log_energy: float, t: float) -> float:
    """Age s of a shower at depth ``t``: 1 at the maximum. Arguments as for `shower_size`."""
    return 3.0 * t / (t + 2.0 * log_energy)


@numba.njit(cache=True)
def head_start(log_energy: float) -> float:
    """Depth of a cascade's start on Greisen's scale, in radiation lengths."""
    return min(HEAD_START, HEAD_START_SHARE * log_energy)


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
