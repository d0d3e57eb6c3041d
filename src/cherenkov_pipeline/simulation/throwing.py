"""What is thrown at the array: energies, directions and core positions, and the count of all of it."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from cherenkov_pipeline.ground import pointing_axes, shadows
from cherenkov_pipeline.simulation.parameters import Production


@dataclass(frozen=True)
class Throws:
    """Showers and their uses; arrays of plain numbers: TeV, rad, m.

    Attributes
    ----------
    energy, alt, az : ndarray, shape (n_showers,)
        Energy [TeV] and direction of the source [rad].
    core_x, core_y : ndarray, shape (n_showers, uses_per_shower)
        Core positions on the ground: North and West of the array's centre [m].
    """

    energy: np.ndarray
    alt: np.ndarray
    az: np.ndarray
    core_x: np.ndarray
    core_y: np.ndarray


def throw(production: Production, pointing: tuple[u.Quantity, u.Quantity], rng: np.random.Generator) -> Throws:
    """Draw the showers of one file.

    Parameters
    ----------
    production : Production
    pointing : tuple of Quantity
        Altitude and azimuth of the telescopes.
    rng : numpy.random.Generator

    Returns
    -------
    Throws
        Cores are uniform on a disk across each shower, as those of CORSIKA with its option VOLUMEDET [1]_: areas are
        those that a flux sees.

    References
    ----------
    .. [1] K. Bernloehr, IACT/ATMO package for CORSIKA, ``iact.c``: "all random shower core offsets are counted in a
       plane perpendicular to the shower axis" where bit 0x20 of the IACT options in the event header says so. In the
       simtel files of SST-1M and CTAO at hand it does (eventio: ``corsika_iact_options``).
    """
    n = production.n_showers
    offset = source_offsets(production, n, rng)
    angle = rng.uniform(0, 2 * np.pi, n)
    axes = pointing_axes(*(value.to_value(u.rad) for value in pointing))
    towards = np.column_stack([np.sin(offset) * np.sin(angle), np.sin(offset) * np.cos(angle), np.cos(offset)]) @ axes
    alt, az = np.arcsin(towards[:, 2]), np.arctan2(-towards[:, 1], towards[:, 0]) % (2 * np.pi)
    shape = (n, production.uses_per_shower)
    radius = production.core_radius.to_value(u.m) * np.sqrt(rng.random(shape))
    turn = rng.uniform(0, 2 * np.pi, shape)
    across = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1)
    core_x, core_y = np.moveaxis(np.einsum("suf,sfg->sug", across, shadows(pointing_axes(alt, az))), -1, 0)
    return Throws(
        energy=power_law(
            production.energy_min.to_value(u.TeV),
            production.energy_max.to_value(u.TeV),
            production.spectral_index,
            rng.random(n),
        ),
        alt=alt,
        az=az,
        core_x=core_x,
        core_y=core_y,
    )


def source_offsets(production: Production, n: int, rng: np.random.Generator) -> np.ndarray:
    """Angles to the pointing [rad]: uniform in solid angle inside the view cone, or that of the point source."""
    viewcone = production.viewcone_radius.to_value(u.rad)
    if viewcone == 0:
        return np.full(n, production.source_offset.to_value(u.rad))
    return np.arccos(1 - rng.random(n) * (1 - np.cos(viewcone)))


def power_law(low: float, high: float, index: float, quantile: np.ndarray) -> np.ndarray:
    """Quantiles of dN/dE ~ E^index between ``low`` and ``high``."""
    power = index + 1
    if abs(power) < 1e-9:
        return low * (high / low) ** quantile
    return (low**power + quantile * (high**power - low**power)) ** (1 / power)
