"""Cherenkov light of the electrons of a shower: yield and angular distribution about the shower axis.

Electrons of energy E are scattered about the axis; each radiates on a cone. For a Gaussian scattering of width
sigma the two convolve to exp(-(x^2 + c^2) / 2 sigma^2) I0(x c / sigma^2) / (2 pi sigma^2) per solid angle, x being the
angle to the axis and c that of the cone. Electrons are scattered exponentially (Hillas 1982, J. Phys. G 8, 1461): a
sum of Gaussians, their variances distributed as Gamma(3/2). An electron that was scattered is also beside the axis, the
farther the more: in part in the direction in which it flies, in part at random. Both widen the light on the ground as a
larger angle would. The sum over Nerling's electron energies is tabulated in height, age and angle: that from the slice
of the axis to the place where the light arrives.

The constants of scattering and place are those with which the nine showers of SST-1M's sim_telarray file give CORSIKA's
photons per m2 on the ground and sim_telarray's true images, each with the longitudinal profile that CORSIKA gave it.
"""

from typing import NamedTuple

import numba
import numpy as np
from scipy.special import i0e
from scipy.stats import gamma

from cherenkov_pipeline.simulation.atmosphere import Slices
from cherenkov_pipeline.simulation.electromagnetic import RADIATION_LENGTH, electron_spectrum

FINE_STRUCTURE = 1 / 137.036
ELECTRON_MASS = 0.511  # MeV
#: photons per metre and sin^2 of the Cherenkov angle, 300-550 nm (Frank and Tamm)
PHOTONS_PER_METRE = 2 * np.pi * FINE_STRUCTURE * (1 / 300e-9 - 1 / 550e-9)
#: scattering of electrons, Hillas 1982 (there 21 MeV): (this / E)^2 x mean w; w = RISE E (1 + v) / (1 + 13 v +
#: 8.3 v^2), v = E / (value at age 1, growth with ln(age)); besides, the angles grow with age, from this share at age 0
SCATTERING = 20.0  # MeV
SCATTERING_RISE = 0.0054  # per MeV
SCATTERING_ENERGY = 1150.0, 454.0  # MeV
SCATTERING_START = 0.5
YOUNGEST = 0.15  # age below which v grows no more
#: how far beside the axis an electron is, in radiation lengths for each radian of scattering: in the direction in which
#: it flies, and standard deviation about it in each direction
DRIFT = 1.3
DIFFUSION = 0.65
N_GAUSSIANS = 4
SLICES_PER_HEIGHT = 3  # the light is computed in each third slice
MAX_ANGLE, N_ANGLES = 0.6, 240  # rad, and size of the table in angle
MAX_AGE, N_AGES = 2.0, 15
LARGEST_LEVER = 3.0  # radiation lengths over the height, at most: close to the ground


class AngularTable(NamedTuple):
    """Photons per electron, g/cm2 of its path and steradian, about the axis of an electromagnetic shower.

    Tabulated in slice of the atmosphere, age and square root of the angle; a tuple, so that numba takes it.
    """

    photons: np.ndarray  # (n_slices, n_ages, n_angles), 1 / (g/cm2) / sr
    age_step: float
    root_step: float  # of the square root of the angle [rad^0.5]


def angular_table(atmosphere: Slices) -> AngularTable:
    """Tabulate the light of electromagnetic showers in an atmosphere.

    Parameters
    ----------
    atmosphere : Slices

    Returns
    -------
    AngularTable
    """
    ages = np.linspace(0, MAX_AGE, N_AGES)
    angles = np.linspace(0, np.sqrt(MAX_ANGLE), N_ANGLES) ** 2
    energies = np.geomspace(1, 1e5, 60)
    log_step = np.log(energies[1] / energies[0])
    spectra = np.array([electron_spectrum(energies, max(age, 0.1)) for age in ages])
    variances = gamma.ppf((np.arange(N_GAUSSIANS) + 0.5) / N_GAUSSIANS, 1.5)
    variances /= variances.mean()

    heights = np.append(np.arange(0, atmosphere.z.size - 1, SLICES_PER_HEIGHT), atmosphere.z.size - 1)
    table = np.empty((heights.size, N_AGES, N_ANGLES))
    for row, index in enumerate(heights):
        refractivity = atmosphere.refractivity[index]
        sin2 = 2 * refractivity * (1 - np.minimum(ELECTRON_MASS**2 / (2 * refractivity) / energies**2, 1))
        radiates = sin2 > 0
        light = PHOTONS_PER_METRE * sin2[radiates] / (100 * atmosphere.density[index]) * log_step  # per g/cm2
        cone = np.sqrt(sin2[radiates])[:, None]
        place = lever(atmosphere, index)
        widened = (1 + DRIFT * place) ** 2 + (DIFFUSION * place) ** 2
        for column, age in enumerate(ages):
            scattering = widened * mean_square_angle(energies[radiates, None], age) / 2
            ring = np.mean([_ring(angles, cone, scattering * v) for v in variances], axis=0)
            table[row, column] = (spectra[column, radiates] * light) @ ring

    position = np.interp(np.arange(atmosphere.z.size), heights, np.arange(heights.size))
    low = np.minimum(position.astype(int), heights.size - 2)
    share = (position - low)[:, None, None]
    photons = (1 - share) * table[low] + share * table[low + 1]
    return AngularTable(photons, MAX_AGE / (N_AGES - 1), np.sqrt(MAX_ANGLE) / (N_ANGLES - 1))


def mean_square_angle(energy: np.ndarray, age: float) -> np.ndarray:
    """Mean square angle [rad^2] of electrons to the axis of their shower.

    Parameters
    ----------
    energy : ndarray
        Energies [MeV].
    age : float
        Age s of the shower.
    """
    at_one, growth = SCATTERING_ENERGY
    v = energy / (at_one + growth * np.log(max(age, YOUNGEST)))
    w = SCATTERING_RISE * energy * (1 + v) / (1 + 13 * v + 8.3 * v**2)
    return w * (SCATTERING / energy * (SCATTERING_START + (1 - SCATTERING_START) * age)) ** 2


@numba.njit(cache=True)
def radiation_length(atmosphere: Slices, index: int) -> float:
    """Radiation length in a slice [m]."""
    return RADIATION_LENGTH / (100 * atmosphere.density[index])


@numba.njit(cache=True)
def lever(atmosphere: Slices, index: int) -> float:
    """Radiation length in a slice over its height above the observation level; limited close to the ground."""
    return min(radiation_length(atmosphere, index) / atmosphere.z[index], LARGEST_LEVER)


def _ring(angle: np.ndarray, cone: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Probability per steradian at ``angle`` of a cone scattered with ``variance`` in each direction."""
    exponent = -((angle - cone) ** 2) / (2 * variance)
    return np.exp(exponent) * i0e(angle * cone / variance) / (2 * np.pi * variance)


@numba.njit(cache=True)
def light_density(table: AngularTable, index: int, age: float, angle: float) -> float:
    """Interpolate an `AngularTable`: photons per electron, g/cm2 and steradian.

    Parameters
    ----------
    table : AngularTable
    index : int
        Slice of the atmosphere.
    age : float
        Age of the shower; above 2 as at 2.
    angle : float
        Angle to the axis [rad]; beyond 0.6 there is no light.
    """
    a = min(age / table.age_step, table.photons.shape[1] - 1.000001)
    b = np.sqrt(angle) / table.root_step
    i = int(a)
    j = int(b)
    if j >= table.photons.shape[2] - 1:
        return 0.0
    da = a - i
    db = b - j
    row = table.photons[index]
    return (1 - da) * ((1 - db) * row[i, j] + db * row[i, j + 1]) + da * (
        (1 - db) * row[i + 1, j] + db * row[i + 1, j + 1]
    )
