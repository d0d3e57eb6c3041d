"""What is thrown at the array: energies, directions and core positions, and the count of all of it."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from cherenkov_pipeline.simulation.parameters import Production
from cherenkov_pipeline.simulation.telescope import pointing_axes


@dataclass(frozen=True)
class Throws:
    """Showers and their uses; arrays of plain numbers: TeV, rad, m.

    Attributes
    ----------
    energy, alt, az : ndarray, shape (n_showers,)
        Energy [TeV] and direction of the source [rad].
    core_x, core_y : ndarray, shape (n_showers, uses_per_shower)
        Core positions: North and West of the array's centre [m].
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
    """
    n = production.n_showers
    offset = source_offsets(production, n, rng)
    angle = rng.uniform(0, 2 * np.pi, n)
    axes = pointing_axes(*(value.to_value(u.rad) for value in pointing))
    towards = np.column_stack([np.cos(offset), np.sin(offset) * np.cos(angle), np.sin(offset) * np.sin(angle)]) @ axes
    shape = (n, production.uses_per_shower)
    radius = production.core_radius.to_value(u.m) * np.sqrt(rng.random(shape))
    azimuth = rng.uniform(0, 2 * np.pi, shape)
    return Throws(
        energy=power_law(
            production.energy_min.to_value(u.TeV),
            production.energy_max.to_value(u.TeV),
            production.spectral_index,
            rng.random(n),
        ),
        alt=np.arcsin(towards[:, 2]),
        az=np.arctan2(-towards[:, 1], towards[:, 0]) % (2 * np.pi),
        core_x=radius * np.cos(azimuth),
        core_y=radius * np.sin(azimuth),
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
