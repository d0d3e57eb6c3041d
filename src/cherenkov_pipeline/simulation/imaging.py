"""Light of a shower in the cameras: photo-electrons, each with its pixel and its arrival time.

An electromagnetic sub-shower radiates from the slices of its axis: the number of photo-electrons of a slice in a
telescope is Poissonian about electrons x light per solid angle x solid angle of the mirror x transmission x
efficiency. Each photo-electron then comes from a point beside the axis, drawn by how much the electron was scattered.
Muons radiate on an exact cone, so that those close by draw rings and arcs. All times count from the moment when
the primary would have reached the core.
"""

import math

import numba
import numpy as np

from cherenkov_pipeline.simulation.atmosphere import Slices
from cherenkov_pipeline.simulation.cherenkov import (
    DIFFUSION,
    DRIFT,
    PHOTONS_PER_METRE,
    AngularTable,
    lever,
    light_density,
    radiation_length,
)
from cherenkov_pipeline.simulation.electromagnetic import (
    CRITICAL_ENERGY,
    RADIATION_LENGTH,
    relative_size,
    shower_age,
    size_at_maximum,
)
from cherenkov_pipeline.simulation.hadronic import (
    DEPTH,
    DX,
    DY,
    DZ,
    ENERGY,
    MAXIMUM,
    SHAPE,
    SPEED_OF_LIGHT,
    TIME,
    WEIGHT,
    X,
    Y,
    Z,
    grown,
)
from cherenkov_pipeline.simulation.telescope import Telescopes, pixel_at

#: place of the least scattered electrons: standard deviation in each direction at age 1, in radiation lengths, and
#: share of it at age 0
CORE_WIDTH = 0.011
CORE_START = 0.35
PLACE_TAIL = 1.5  # variances of the place are distributed as Gamma of this, like those of the angles
OLDEST = 1.9  # age at which the light of a shower is negligible
ROULETTE = 1.0  # p.e.: sub-showers expected below are thinned, and those kept weighted up
FINE = 10.0  # p.e.: dimmer sub-showers are drawn in steps of `COARSE_STRIDE` slices
COARSE_STRIDE = 3

MUON_MASS = 0.10566  # GeV
MUON_DECAY_LENGTH = 6233.0  # m per GeV
MUON_LOSS = 0.002  # GeV per g/cm2
MUON_REACH = 160.0  # m: wider than the widest cone at the ground
MUON_STEP = 12.0  # m
MUON_LIGHT = 2700.0  # photons per metre of distance on a mirror of 10 m2, for estimates

PIXEL, ARRIVAL = range(2)  #: columns of photo-electrons

#: depths at which an estimate evaluates a sub-shower, in units of the depth of its maximum, and their weights
ESTIMATE_DEPTHS = np.array([0.35, 0.65, 1.0, 1.4, 1.9])
ESTIMATE_WEIGHTS = np.array([0.325, 0.325, 0.375, 0.45, 0.55])


@numba.njit(cache=True)
def _place(distance: float, height: float, index: int, age: float, atmosphere: Slices) -> tuple[float, float]:
    """Where beside the axis the light comes from that reaches a telescope from a slice.

    Light at the Cherenkov angle comes from fast electrons near the axis; the farther from this angle, the more the
    electrons were scattered, and the farther from the axis they are, those beyond it on the telescope's side.

    Parameters
    ----------
    distance, height : float
        Of the telescope to the axis, of the slice above it [m].
    index : int
        Slice of the atmosphere.
    age : float
    atmosphere : Slices

    Returns
    -------
    towards, width : float
        Mean, in the direction of the telescope, and standard deviation in each direction [m].
    """
    scattered = distance / height - math.sqrt(2 * atmosphere.refractivity[index])
    drift = DRIFT * lever(atmosphere, index)
    core = CORE_WIDTH * (CORE_START + (1 - CORE_START) * age)
    width = radiation_length(atmosphere, index) * math.sqrt(core**2 + (DIFFUSION * scattered) ** 2)
    return height * max(scattered, 0.0) * drift / (1 + drift), width


@numba.njit(cache=True)
def _light_of_slice(
    shower: np.ndarray,
    index: int,
    age: float,
    position: np.ndarray,
    telescopes: Telescopes,
    atmosphere: Slices,
    table: AngularTable,
) -> float:
    """Photo-electrons in a telescope per electron and g/cm2 of its path, from a slice of a shower's axis."""
    path = (shower[Z] - atmosphere.z[index]) / -shower[DZ]
    rx = position[0] - shower[X] - path * shower[DX]
    ry = position[1] - shower[Y] - path * shower[DY]
    rz = position[2] - atmosphere.z[index]
    distance = math.sqrt(rx * rx + ry * ry + rz * rz)
    along = rx * shower[DX] + ry * shower[DY] + rz * shower[DZ]
    across = math.sqrt(max(distance * distance - along * along, 0.0))
    density = light_density(table, index, age, math.atan2(across, along))
    pointing = telescopes.axes[0]
    facing = -(rx * pointing[0] + ry * pointing[1] + rz * pointing[2]) / distance
    if density == 0.0 or facing <= 0.0 or rz >= 0.0:
        return 0.0
    transmission = math.exp(atmosphere.optical_depth[index] * distance / rz)
    return density * facing * telescopes.mirror_area * telescopes.efficiency * transmission / (distance * distance)


@numba.njit(cache=True)
def estimate(
    photons: np.ndarray,
    muons: np.ndarray,
    position: np.ndarray,
    telescopes: Telescopes,
    atmosphere: Slices,
    table: AngularTable,
) -> tuple[np.ndarray, float]:
    """Estimate the photo-electrons in one telescope from a few points of each sub-shower, without random numbers.

    Returns
    -------
    photons : ndarray, shape (n_photons,)
        Photo-electrons of each sub-shower.
    muons : float
        Photo-electrons of all muons that pass nearby.
    """
    light = np.zeros(photons.shape[0])
    for number in range(photons.shape[0]):
        shower = photons[number]
        maximum, shape = shower[MAXIMUM], shower[SHAPE]
        scale = shower[WEIGHT] * size_at_maximum(math.log(shower[ENERGY] / CRITICAL_ENERGY), maximum, shape)
        for node in range(ESTIMATE_DEPTHS.size):
            t = ESTIMATE_DEPTHS[node] * maximum
            depth = shower[DEPTH] - t * RADIATION_LENGTH * shower[DZ]
            index = int(depth / atmosphere.step)
            if index >= atmosphere.z.size:
                break
            age = shower_age(t, maximum)
            weight = scale * relative_size(t, maximum, shape) * ESTIMATE_WEIGHTS[node] * maximum * RADIATION_LENGTH
            light[number] += weight * _light_of_slice(shower, index, age, position, telescopes, atmosphere, table)
    muon_light = 0.0
    for number in range(muons.shape[0]):
        distance = _passing_distance(muons[number], position)
        if distance < MUON_REACH:
            muon_light += MUON_LIGHT * telescopes.efficiency * telescopes.mirror_area / 10 / max(distance, 2.0)
    return light, muon_light


@numba.njit(cache=True)
def _passing_distance(particle: np.ndarray, position: np.ndarray) -> float:
    wx, wy, wz = position[0] - particle[X], position[1] - particle[Y], position[2] - particle[Z]
    along = wx * particle[DX] + wy * particle[DY] + wz * particle[DZ]
    return math.sqrt(max(wx * wx + wy * wy + wz * wz - along * along, 0.0))


@numba.njit(cache=True)
def _register(
    ux: float,
    uy: float,
    uz: float,
    time: float,
    telescopes: Telescopes,
    arrivals: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> int:
    """Add a photo-electron, the ``n``-th, whose photon came from direction (ux, uy, uz), blurred by the optics."""
    axes = telescopes.axes
    forward = ux * axes[0, 0] + uy * axes[0, 1] + uz * axes[0, 2]
    x = (ux * axes[1, 0] + uy * axes[1, 1] + uz * axes[1, 2]) / forward
    y = (ux * axes[2, 0] + uy * axes[2, 1] + uz * axes[2, 2]) / forward
    off_axis = math.sqrt(x * x + y * y)
    if off_axis > 1.2 * telescopes.field_radius:
        return n
    sigma = telescopes.psf_sigma + telescopes.psf_slope * off_axis
    x += sigma * rng.standard_normal()
    y += sigma * rng.standard_normal()
    pixel = pixel_at(telescopes, telescopes.focal_length * x, telescopes.focal_length * y)
    if pixel < 0:
        return n
    arrivals[n, PIXEL] = pixel
    arrivals[n, ARRIVAL] = time
    return n + 1


@numba.njit(cache=True)
def _image_photon(
    shower: np.ndarray,
    weight: float,
    stride: int,
    position: np.ndarray,
    telescopes: Telescopes,
    atmosphere: Slices,
    table: AngularTable,
    arrivals: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:
    """Add the light of one electromagnetic sub-shower to an image, from each ``stride``-th slice of its axis."""
    maximum, shape = shower[MAXIMUM], shower[SHAPE]
    dx, dy, dz = shower[DX], shower[DY], shower[DZ]
    norm = math.sqrt(dx * dx + dz * dz)
    ax, az = dz / norm, -dx / norm
    bx, by, bz = dy * az, dz * ax - dx * az, -dy * ax
    wx, wy, wz = position[0] - shower[X], position[1] - shower[Y], position[2] - shower[Z]
    along = wx * dx + wy * dy + wz * dz
    wx, wy, wz = wx - along * dx, wy - along * dy, wz - along * dz
    distance = max(math.sqrt(wx * wx + wy * wy + wz * wz), 1e-6)
    wx, wy, wz = wx / distance, wy / distance, wz / distance
    scale = weight * stride * atmosphere.step / -dz
    scale *= size_at_maximum(math.log(shower[ENERGY] / CRITICAL_ENERGY), maximum, shape)
    for index in range(int(shower[DEPTH] / atmosphere.step) + stride // 2, atmosphere.z.size, stride):
        t = (shower[DEPTH] - atmosphere.depth[index]) / (dz * RADIATION_LENGTH)
        if t <= 0.0:
            continue
        age = shower_age(t, maximum)
        if age > OLDEST:
            break
        mean = (
            scale
            * relative_size(t, maximum, shape)
            * _light_of_slice(shower, index, age, position, telescopes, atmosphere, table)
        )
        n_electrons = rng.poisson(mean) if mean > 0.0 else 0
        if n_electrons == 0:
            continue
        arrivals = grown(arrivals, n + n_electrons)
        height = max((atmosphere.z[index] - position[2]) / -dz, 1.0)
        towards, spread = _place(distance, height, index, age, atmosphere)
        length = radiation_length(atmosphere, index)
        for _ in range(n_electrons):
            z = atmosphere.z[index] + (rng.random() - 0.5) * stride * atmosphere.thickness[index]
            path = (shower[Z] - z) / -dz
            width = spread * math.sqrt(rng.standard_gamma(PLACE_TAIL) / PLACE_TAIL)
            a = width * rng.standard_normal()
            b = width * rng.standard_normal()
            ux = shower[X] + path * dx + towards * wx + a * ax + b * bx - position[0]
            uy = shower[Y] + path * dy + towards * wy + b * by - position[1]
            uz = z + towards * wz + a * az + b * bz - position[2]
            if uz <= 1.0:
                continue
            flight = math.sqrt(ux * ux + uy * uy + uz * uz)
            optical_path = flight * (1.0 + atmosphere.delay[index] / uz)
            # an electron beside the axis left it about DRIFT radiation lengths above: its way is that much longer
            detour = (towards * towards + a * a + b * b) / (2 * DRIFT * length)
            time = shower[TIME] + (path + detour + optical_path) / SPEED_OF_LIGHT
            n = _register(ux / flight, uy / flight, uz / flight, time, telescopes, arrivals, n, rng)
    return arrivals, n


@numba.njit(cache=True)
def _image_muon(
    muon: np.ndarray,
    position: np.ndarray,
    telescopes: Telescopes,
    atmosphere: Slices,
    arrivals: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:
    """Add the light of one muon: at each step of its track, the part of the cone that meets the mirror's disk."""
    dx, dy, dz = muon[DX], muon[DY], muon[DZ]
    wx, wy, wz = position[0] - muon[X], position[1] - muon[Y], position[2] - muon[Z]
    along = wx * dx + wy * dy + wz * dz
    px, py, pz = wx - along * dx, wy - along * dy, wz - along * dz
    distance = math.sqrt(px * px + py * py + pz * pz)
    if distance > MUON_REACH:
        return arrivals, n
    # unit vectors across the track: a towards the telescope (any direction if it is hit), b perpendicular to it
    if distance > 1e-6:
        ax, ay, az = px / distance, py / distance, pz / distance
    else:
        norm = math.sqrt(dx * dx + dz * dz)
        ax, ay, az = dz / norm, 0.0, -dx / norm
    bx, by, bz = dy * az - dz * ay, dz * ax - dx * az, dx * ay - dy * ax
    radius = math.sqrt(telescopes.mirror_area / math.pi)
    track = rng.exponential(MUON_DECAY_LENGTH * muon[ENERGY])

    # the first light comes from where the cone's edge meets the near edge of the mirror: approached from below, the
    # cone being narrower the higher
    back = 0.5 * MUON_STEP
    for _ in range(8):
        z = position[2] - back * dz
        index = min(np.searchsorted(-atmosphere.z, -z), atmosphere.z.size - 1)
        back = max((distance - radius) / math.sqrt(2 * atmosphere.refractivity[index]) - MUON_STEP, 0.5 * MUON_STEP)
    while back < along:
        flown = along - back
        z = muon[Z] + flown * dz
        index = min(np.searchsorted(-atmosphere.z, -z), atmosphere.z.size - 1)
        energy = muon[ENERGY] - MUON_LOSS * (atmosphere.depth[index] - muon[DEPTH]) / -dz
        sin2 = 2 * atmosphere.refractivity[index] - (MUON_MASS / energy) ** 2 if energy > MUON_MASS else 0.0
        if sin2 > 0.0 and flown < track:
            cone = math.asin(math.sqrt(sin2))
            circle = back * math.tan(cone)
            if circle > distance + radius:
                break
            half_arc = 0.0
            if circle + distance <= radius:
                half_arc = math.pi
            elif circle + distance > radius and abs(circle - distance) < radius:
                cosine = (circle**2 + distance**2 - radius**2) / (2 * circle * distance)
                half_arc = math.acos(min(max(cosine, -1.0), 1.0))
            transmission = math.exp(-atmosphere.optical_depth[index] / -dz * min(back / max(z, 1.0) * -dz, 1.0))
            mean = PHOTONS_PER_METRE * sin2 * MUON_STEP * half_arc / math.pi * telescopes.efficiency * transmission
            n_electrons = rng.poisson(mean)
            arrivals = grown(arrivals, n + n_electrons)
            for _ in range(n_electrons):
                azimuth = half_arc * (2 * rng.random() - 1)
                forward = math.cos(cone)
                a, b = math.sin(cone) * math.cos(azimuth), math.sin(cone) * math.sin(azimuth)
                time = muon[TIME] + (flown + back / forward * (1 + atmosphere.refractivity[index])) / SPEED_OF_LIGHT
                ux = -(forward * dx + a * ax + b * bx)
                uy = -(forward * dy + a * ay + b * by)
                uz = -(forward * dz + a * az + b * bz)
                n = _register(ux, uy, uz, time, telescopes, arrivals, n, rng)
        back += MUON_STEP
    return arrivals, n


@numba.njit(cache=True)
def collect(
    photons: np.ndarray,
    muons: np.ndarray,
    light: np.ndarray,
    position: np.ndarray,
    telescopes: Telescopes,
    atmosphere: Slices,
    table: AngularTable,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the photo-electrons of a shower in one telescope.

    Parameters
    ----------
    photons, muons : ndarray
        See `cherenkov_pipeline.simulation.hadronic`.
    light : ndarray, shape (n_photons,)
        Estimated photo-electrons of each sub-shower: dim ones are thinned at random, the mean is kept.
    position : ndarray, shape (3,)
        Telescope relative to the core [m].
    telescopes : Telescopes
    atmosphere : Slices
    table : AngularTable
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n, 2)
        Pixel and arrival time [ns] of each photo-electron.
    """
    arrivals, n = np.empty((1024, 2)), 0
    for number in range(photons.shape[0]):
        chance = min(light[number] / ROULETTE, 1.0)
        if chance < 1.0 and rng.random() >= chance:
            continue
        stride = 1 if light[number] > FINE else COARSE_STRIDE
        weight = photons[number, WEIGHT] / chance
        arrivals, n = _image_photon(
            photons[number], weight, stride, position, telescopes, atmosphere, table, arrivals, n, rng
        )
    for number in range(muons.shape[0]):
        arrivals, n = _image_muon(muons[number], position, telescopes, atmosphere, arrivals, n, rng)
    return arrivals[:n]
