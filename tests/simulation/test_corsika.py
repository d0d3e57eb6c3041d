"""The electromagnetic model beside CORSIKA and sim_telarray: the gammas of SST-1M's sim_telarray file.

The file carries the longitudinal profiles of 100 gammas and, for the nine whose images it keeps, the photons that hit a
sphere of 4 m around the telescope and the photo-electrons of each pixel.
"""

from typing import NamedTuple

import astropy.units as u
import numpy as np
import pytest

from cherenkov_pipeline.simulation.atmosphere import depth
from cherenkov_pipeline.simulation.cherenkov import light_density
from cherenkov_pipeline.simulation.electromagnetic import (
    CRITICAL_ENERGY,
    RADIATION_LENGTH,
    draw_development,
    relative_size,
    shower_age,
    size_at_maximum,
)
from cherenkov_pipeline.simulation.hadronic import DEPTH, MAXIMUM, SHAPE, WEIGHT, _fly
from cherenkov_pipeline.simulation.imaging import PIXEL, collect, estimate
from cherenkov_pipeline.simulation.showers import prepare, start

FILE = "simtel/sst1m_digicam_gamma_9ev.simtel.gz"
ELECTRONS, LIGHT = 1001, 1010  # kinds of profiles
STEP = 20.0  # g/cm2, of the profiles
DEEPEST = 780.0  # g/cm2, above the observation level
#: CORSIKA counts light of 240-700 nm, the simulation of 300-550 nm
BAND = (1 / 240 - 1 / 700) / (1 / 300 - 1 / 550)
SPHERE = np.pi * 4.0**2  # m2
TELESCOPE_HEIGHT = 4.0  # m
SAME_SHOWER = 1e-4


class CorsikaShower(NamedTuple):
    """A vertical gamma of CORSIKA."""

    energy: float  # GeV
    first: float  # g/cm2
    light: np.ndarray  # photons of 300-550 nm per step, down to DEEPEST
    position: np.ndarray | None  # m, of the telescope from the core: showers with an image
    density: float  # photons of 300-550 nm per m2 at the telescope, without extinction
    image: np.ndarray | None  # photo-electrons of each pixel


@pytest.fixture(scope="module")
def mountain(parameters):
    """The conditions of the file, as far as it tells them."""
    changes = {
        "site_altitude": 2150 * u.m,
        "zenith": 0 * u.deg,
        "optics": parameters.optics.model_copy(update={"throughput": 0.42}),
        "atmosphere": parameters.atmosphere.model_copy(update={"aerosol_optical_depth": 0.11}),
    }
    return prepare(parameters.model_copy(update=changes))


@pytest.fixture(scope="module")
def corsika(test_data):
    """All showers of the file, once for each telescope image that they gave."""
    from eventio import EventIOFile, SimTelFile
    from eventio.simtel.objects import MCShower

    path = test_data / FILE
    if not path.exists():
        pytest.skip(f"no real events: {path} does not exist")
    events = []
    with SimTelFile(path) as file:
        telescope = file.header["tel_pos"][0]
        for event in file:
            place = telescope - (event["mc_event"]["xcore"], event["mc_event"]["ycore"], 0.0)
            sums = event["photoelectron_sums"]
            image = event["photoelectrons"][0]["photoelectrons"]
            events.append((event["mc_shower"]["energy"], place, sums["photons"][0] / SPHERE / BAND, image))
    found = []
    with EventIOFile(path) as file:
        for item in file:
            if isinstance(item, MCShower):
                shower = item.parse()
                profiles = {profile["id"]: np.asarray(profile["content"]) for profile in shower["profiles"]}
                light = profiles[LIGHT][: round(DEEPEST / STEP) + 1][1:] / BAND
                first = float(depth(np.array(shower["h_first_int"])))
                of_this = [rest for energy, *rest in events if abs(energy / shower["energy"] - 1) < SAME_SHOWER]
                for rest in of_this or [(None, np.nan, None)]:
                    found.append(CorsikaShower(1000 * shower["energy"], first, light, *rest))
    return found


@pytest.fixture(scope="module")
def seen(corsika):
    return [shower for shower in corsika if shower.image is not None]


def moments(light):
    """Mean depth [g/cm2] of light per step, and its standard deviation."""
    middles = STEP * (np.arange(light.size) + 0.5)
    mean = np.average(middles, weights=light)
    return mean, np.sqrt(np.average((middles - mean) ** 2, weights=light))


@pytest.fixture(scope="module")
def light_profile(mountain):
    """Make the function that gives the photons of 300-550 nm per step of CORSIKA's profiles."""
    atmosphere, table, *_ = mountain.observatory
    n_slices, n_ages, n_angles = table.photons.shape
    angles = (table.root_step * np.arange(n_angles)) ** 2
    per_electron = table.photons @ (2 * np.pi * np.sin(angles) * np.gradient(angles))
    ages = table.age_step * np.arange(n_ages)
    edges = np.arange(0, DEEPEST + STEP, STEP)

    def profile(energy, first, maximum, shape):
        top = size_at_maximum(np.log(energy / CRITICAL_ENERGY), maximum, shape)
        total = np.zeros(n_slices + 1)
        for index, below in enumerate((atmosphere.depth - first) / RADIATION_LENGTH):
            if below > 0:
                of_one = np.interp(shower_age(below, maximum), ages, per_electron[index])
                total[index + 1] = atmosphere.step * top * relative_size(below, maximum, shape) * of_one
        return np.diff(np.interp(edges, atmosphere.step * np.arange(n_slices + 1), np.cumsum(total)))

    return profile


def development(shower):
    """Depth of the maximum and shape of the profile that has the moments of CORSIKA's light."""
    mean, spread = moments(shower.light)
    below = (mean - shower.first) / RADIATION_LENGTH
    shape = (below * RADIATION_LENGTH / spread) ** 2
    return below * (shape - 1) / shape, shape


def test_light_develops_as_in_corsika(corsika, light_profile):
    showers = list({shower.energy: shower for shower in corsika}.values())
    assert len(showers) > 90
    rng = np.random.default_rng(1)
    ours, theirs = [], []
    for shower in showers:
        maximum, shape = draw_development(np.log(shower.energy / CRITICAL_ENERGY), rng)
        for found, light in (
            (ours, light_profile(shower.energy, shower.first, maximum, shape)),
            (theirs, shower.light),
        ):
            mean, spread = moments(light)
            found.append((mean - shower.first, spread, light.sum() / shower.energy))
    ours, theirs = np.transpose(ours), np.transpose(theirs)
    # mean depth, its spread (the energies contribute the same to both), width of the profile, light per energy
    assert ours[0].mean() == pytest.approx(theirs[0].mean(), abs=10)
    assert ours[0].std() == pytest.approx(theirs[0].std(), rel=0.25)
    assert ours[1].mean() == pytest.approx(theirs[1].mean(), rel=0.05)
    assert ours[1].std() == pytest.approx(theirs[1].std(), rel=0.35)
    assert np.median(ours[2]) == pytest.approx(np.median(theirs[2]), rel=0.04)


@pytest.fixture(scope="module")
def photon_of(mountain, light_profile):
    """Make the function that gives a photon at its first interaction, with its development and light in CORSIKA."""
    atmosphere = mountain.observatory.atmosphere

    def photon(shower):
        photon = start(np.array([shower.energy / 1000]), np.array([np.pi / 2]), np.array([0.0]), atmosphere)
        _fly(photon[0], atmosphere, shower.first - photon[0, DEPTH])
        photon[0, MAXIMUM : SHAPE + 1] = development(shower)
        ours = light_profile(shower.energy, shower.first, *development(shower))
        photon[0, WEIGHT] = shower.light.sum() / ours.sum()
        return photon

    return photon


def test_light_on_the_ground_is_that_of_corsika(seen, mountain, photon_of):
    """Nine densities, 57 to 223 m from the axis."""
    atmosphere, table, *_ = mountain.observatory
    ratios = []
    for shower in seen:
        photon = photon_of(shower)[0]
        maximum, shape = photon[MAXIMUM], photon[SHAPE]
        top = photon[WEIGHT] * size_at_maximum(np.log(shower.energy / CRITICAL_ENERGY), maximum, shape)
        distance = np.hypot(*shower.position[:2])
        density = 0.0
        for index, below in enumerate((atmosphere.depth - shower.first) / RADIATION_LENGTH):
            if below > 0:
                height = atmosphere.z[index] - TELESCOPE_HEIGHT
                light = light_density(table, index, shower_age(below, maximum), np.arctan2(distance, height))
                electrons = atmosphere.step * top * relative_size(below, maximum, shape)
                density += electrons * light / (distance**2 + height**2)
        ratios.append(shower.density / density)
    assert len(ratios) == 9
    assert np.mean(ratios) == pytest.approx(1, abs=0.07)
    assert np.std(np.log(ratios)) < 0.08
    np.testing.assert_allclose(ratios, 1, atol=0.2)


def test_light_in_the_camera_is_that_of_sim_telarray(seen, mountain, photon_of):
    """Photo-electrons along and across the images, without night sky, electronics and cleaning."""
    atmosphere, table, telescopes, *_ = mountain.observatory
    geometry = mountain.subarray.tel[1].camera.geometry
    x, y = (np.rad2deg(place.to_value(u.m) / telescopes.focal_length) for place in (geometry.pix_x, geometry.pix_y))
    rng = np.random.default_rng(2)
    sums, medians, shares = [], [], []
    for shower in seen:
        photon = photon_of(shower)
        light, _ = estimate(photon, photon[:0], shower.position, telescopes, atmosphere, table)
        images = [shower.image]
        observatory = shower.position, telescopes, atmosphere, table
        drawn = [collect(photon, photon[:0], light, *observatory, rng) for _ in range(10)]
        pixels = np.concatenate(drawn)[:, PIXEL].astype(int)
        images.append(np.bincount(pixels, minlength=geometry.n_pixels) / len(drawn))
        sums.append([image.sum() for image in images])
        found = []
        for image in images:
            bright = image * (image >= np.percentile(image[image > 0], 70))
            axis = np.array([bright @ x, bright @ y]) / np.hypot(bright @ x, bright @ y)
            along, across = axis @ [x, y], abs(axis[0] * y - axis[1] * x)
            order = np.argsort(along)
            half = np.searchsorted(np.cumsum(image[order]), image.sum() / 2)
            near, far = (image[rows].sum() / image.sum() for rows in (across < 0.25, across > 0.5))
            found.append((along[order][half], near, far))
        medians.append([row[0] for row in found])
        shares.append([row[1:] for row in found])
    theirs, ours = np.transpose(sums)
    assert theirs.sum() == pytest.approx(ours.sum(), rel=0.1)
    np.testing.assert_allclose(theirs / ours, 1, atol=0.25)
    theirs, ours = np.transpose(medians)
    assert np.mean(theirs / ours) == pytest.approx(1, abs=0.08)
    theirs, ours = np.mean(shares, axis=0)
    np.testing.assert_allclose(ours, theirs, atol=0.05)
