"""The US standard atmosphere: depth, density, refraction and extinction, as formulas and as a table of slices.

Five-layer parametrisation of Linsley as in CORSIKA (Heck et al. 1998, FZKA 6019, appendix D), without its topmost
layer: the vertical depth at height h is X(h) = a + b exp(-h / c).
"""

from typing import NamedTuple

import astropy.units as u
import numpy as np

from cherenkov_pipeline.simulation.parameters import AtmosphereParameters

#: lower edge [m], a [g/cm2], b [g/cm2], c [m]
LAYERS = np.array(
    [
        (0.0, -186.5553, 1222.6562, 9941.86),
        (4_000.0, -94.919, 1144.9069, 8781.54),
        (10_000.0, 0.61289, 1305.5948, 6361.43),
        (40_000.0, 0.0, 540.1778, 7721.70),
    ]
)
TOP = 100_000.0  # m
SEA_LEVEL_DENSITY = 1.225e-3  # g/cm3
SEA_LEVEL_REFRACTIVITY = 2.83e-4  # n - 1
SLICE_DEPTH = 10.0  # g/cm2, vertical


def depth(height: np.ndarray) -> np.ndarray:
    """Vertical atmospheric depth [g/cm2] above ``height`` [m above sea level]."""
    _, a, b, c = LAYERS[np.clip(np.searchsorted(LAYERS[:, 0], height, side="right") - 1, 0, 3)].T
    return a + b * np.exp(-np.asarray(height) / c)


def height(depth_: np.ndarray) -> np.ndarray:
    """Height [m above sea level] at the vertical depth ``depth_`` [g/cm2]; at most `TOP`."""
    at_edges = depth(LAYERS[:, 0])
    _, a, b, c = LAYERS[np.clip(np.searchsorted(-at_edges, -np.asarray(depth_), side="right") - 1, 0, 3)].T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.fmin(c * np.log(b / np.fmax(depth_ - a, 1e-12)), TOP)


def density(height_: np.ndarray) -> np.ndarray:
    """Density [g/cm3] at ``height_`` [m above sea level]."""
    _, _, b, c = LAYERS[np.clip(np.searchsorted(LAYERS[:, 0], height_, side="right") - 1, 0, 3)].T
    return b / (c * 100) * np.exp(-np.asarray(height_) / c)


def refractivity(density_: np.ndarray) -> np.ndarray:
    """Return n - 1 at ``density_`` [g/cm3]: proportional to it (Gladstone and Dale)."""
    return SEA_LEVEL_REFRACTIVITY * density_ / SEA_LEVEL_DENSITY


class Slices(NamedTuple):
    """Slices of equal vertical depth from the top down to the observation level.

    All arrays have shape (n_slices,), values at the middle of a slice; a tuple, so that numba takes it.
    """

    step: float  # g/cm2, vertical thickness of a slice
    depth: np.ndarray  # g/cm2, vertical
    z: np.ndarray  # m above the observation level
    thickness: np.ndarray  # m
    density: np.ndarray  # g/cm3
    refractivity: np.ndarray  # n - 1
    delay: np.ndarray  # m, integral of n - 1 from the observation level up, vertically
    optical_depth: np.ndarray  # vertical, from the slice to the observation level


def slices(parameters: AtmosphereParameters, altitude: u.Quantity) -> Slices:
    """Cut the atmosphere above a site into slices.

    Parameters
    ----------
    parameters : AtmosphereParameters
    altitude : astropy.units.Quantity
        Observation level, above sea level.

    Returns
    -------
    Slices
    """
    ground = altitude.to_value(u.m)
    total = float(depth(ground))
    n = round(total / SLICE_DEPTH)
    edges = np.linspace(0, total, n + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    heights = height(middle)
    rho = density(heights)
    below = total - middle
    aerosols = parameters.aerosol_optical_depth * (
        1 - np.exp(-(heights - ground) / parameters.aerosol_scale_height.to_value(u.m))
    )
    return Slices(
        step=float(edges[1]),
        depth=middle,
        z=heights - ground,
        thickness=-np.diff(height(edges)),
        density=rho,
        refractivity=refractivity(rho),
        delay=refractivity(below) / 100,
        optical_depth=below / parameters.rayleigh_depth.to_value("g / cm2") + aerosols,
    )
