"""Energy spectra: those that particles are weighted to, and those that showers were thrown with."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import astropy.units as u
import numpy as np
from pydantic import Field

from cherenkov_pipeline.dl1.contents import PRIMARY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PYIRF_SPECTRA = (
    "CRAB_HEGRA",
    "CRAB_MAGIC_JHEAP2015",
    "PDG_ALL_PARTICLE",
    "IRFDOC_PROTON_SPECTRUM",
    "IRFDOC_ELECTRON_SPECTRUM",
    "DAMPE_P_He_SPECTRUM",
)
"""Spectra of `pyirf.spectral` that may be named."""

type Spectrum = Annotated[float, Field(ge=-10, le=0)] | Literal[PYIRF_SPECTRA]
"""Power of dN/dE, or the name of a spectrum of `pyirf.spectral`."""

THROWN_SPECTRUM = ("energy_min", "energy_max", "spectral_index")
"""What says with which energies [TeV] showers were thrown."""

THROWN_ONTO = ("max_impact", "viewcone_max")
"""Onto which disk [m], and from which cone [deg], they were thrown, where it is known."""

THROWN = "thrown"
"""Key of what was thrown, in the metadata of predictions and in what a store tells of its DL1 files."""

ROUNDING = 1e-5
"""Energies are kept in single precision: those at an edge count as within."""


def flux(spectrum: float | str, energy: "ArrayLike") -> np.ndarray:
    """Flux at energies [TeV], in any unit: the shape alone is meant."""
    energy = np.asarray(energy, dtype=float)
    if isinstance(spectrum, str):
        from pyirf import spectral

        return getattr(spectral, spectrum)(energy * u.TeV).value
    return energy**spectrum


def sum_thrown(thrown: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add what was thrown of one particle with one spectrum, onto one disk."""
    total: Counter = Counter()
    names = (PRIMARY, *THROWN_SPECTRUM, *THROWN_ONTO)
    for one in thrown:
        total[tuple((name, one[name]) for name in names if name in one)] += one["n_thrown"]
    return [{**dict(kind), "n_thrown": n_thrown} for kind, n_thrown in total.items()]


def thrown_per_energy(thrown: Sequence[Mapping[str, Any]], energy: "ArrayLike") -> np.ndarray:
    """Density of the showers of one particle that were thrown, in any ways.

    Parameters
    ----------
    thrown : sequence of dict
        With ``n_thrown``, `THROWN_SPECTRUM` and, where they are known, `THROWN_ONTO`, see
        `cherenkov_pipeline.dl1.thrown.thrown_spectra`.
    energy : array-like, shape (n,)
        TeV.

    Returns
    -------
    ndarray, shape (n,)
        Showers per TeV, and per area and solid angle as far as these are known of all; 0 at energies that were not
        thrown.
    """
    energy, density = np.asarray(energy, dtype=float), np.zeros(np.shape(energy))
    onto = _acceptances(thrown)
    for one, acceptance in zip(thrown, onto, strict=True):
        low, high, power = one["energy_min"], one["energy_max"], one["spectral_index"]
        within = (energy >= low * (1 - ROUNDING)) & (energy <= high * (1 + ROUNDING))
        density[within] += one["n_thrown"] / acceptance * energy[within] ** power / _integral(power, low, high)
    return density


def _acceptances(thrown: Sequence[Mapping[str, Any]]) -> list[float]:
    """Area times solid angle that each was thrown onto, but for factors that all have alike."""
    disks, cones = ([one.get(name) for one in thrown] for name in THROWN_ONTO)
    areas = [disk**2 for disk in disks] if all(disks) else [1.0] * len(disks)
    angles = [1 - np.cos(np.radians(cone)) for cone in cones] if all(cones) else [1.0] * len(cones)
    return [area * angle for area, angle in zip(areas, angles, strict=True)]


def _integral(power: float, low: float, high: float) -> float:
    return np.log(high / low) if power == -1 else (high ** (power + 1) - low ** (power + 1)) / (power + 1)
