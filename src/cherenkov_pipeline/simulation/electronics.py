"""From photo-electrons to charge and time of each pixel, and the trigger.

Charges are in calibrated photo-electrons, as those of real data: crosstalk widens them, and its mean is taken out. They
are those of a peak search in each pixel (ctapipe's LocalPeakWindowSum): where the night sky outshines the shower,
the window lands on the sky's highest fluctuation, its charge is biased upwards and its time is arbitrary.
The trigger is DigiCam's: sums of three neighbouring pixels, clusters of a patch and its six neighbours.
"""

import math
from typing import NamedTuple

import astropy.units as u
import numba
import numpy as np
from ctapipe.instrument import CameraGeometry, CameraReadout

from cherenkov_pipeline.simulation.parameters import CLUSTER_PIXELS, ElectronicsParameters
from cherenkov_pipeline.simulation.sky import sky_charges

#: light from which a trigger would need a larger fluctuation, in standard deviations, is given up at once
GIVE_UP = 4.0


class Electronics(NamedTuple):
    """What `trigger` and `digitise` need; a tuple, so that numba takes it."""

    sky: np.ndarray  # p.e.: draws of the charge of sky and noise in a window, pedestal subtracted
    highest_sky: np.ndarray  # the same for the window about the readout's highest peak
    cluster_noise: float  # p.e., standard deviation of the charge of sky and noise in a cluster
    crosstalk: float
    spread: float  # of the charge of one photo-electron
    jitter: float  # ns
    sample: float  # ns
    readout: float  # ns, length of the readout window
    trigger_time: float  # ns
    threshold: float  # p.e.
    clusters: np.ndarray  # (n_clusters, 21): pixels, -1 where a cluster reaches over the edge


def electronics(parameters: ElectronicsParameters, geometry: CameraGeometry, readout: CameraReadout) -> Electronics:
    """Prepare the electronics of a camera with hexagonal pixels.

    Parameters
    ----------
    parameters : ElectronicsParameters
    geometry : ctapipe.instrument.CameraGeometry
    readout : ctapipe.instrument.CameraReadout

    Returns
    -------
    Electronics
    """
    sample = 1 / readout.sampling_rate.to_value(u.GHz)
    sky, highest_sky = sky_charges(parameters, readout)
    return Electronics(
        sky=sky,
        highest_sky=highest_sky,
        cluster_noise=parameters.cluster_noise,
        crosstalk=parameters.crosstalk,
        spread=parameters.charge_spread,
        jitter=parameters.time_jitter.to_value(u.ns),
        sample=sample,
        readout=readout.n_samples * sample,
        trigger_time=parameters.trigger_time.to_value(u.ns),
        threshold=parameters.trigger_threshold,
        clusters=trigger_clusters(geometry),
    )


@numba.njit(cache=True)
def least_light(electronics: Electronics, deviations: float) -> float:
    """Photo-electrons in a cluster that reach the threshold with a fluctuation of some standard deviations.

    Solves light + deviations * sqrt(variance of sky and noise + variance of the light's charge) = threshold.

    Parameters
    ----------
    electronics : Electronics
    deviations : float
        Size of the fluctuation.

    Returns
    -------
    float
        Negative if sky and noise reach it alone.
    """
    gain = 1 + electronics.crosstalk
    # number of photo-electrons, of their companions, charge of each
    variance = 1 + electronics.crosstalk / gain**2 + electronics.spread**2 / gain
    half = electronics.threshold + deviations**2 * variance / 2
    product = electronics.threshold**2 - deviations**2 * electronics.cluster_noise**2  # of both solutions
    return half - math.sqrt(half**2 - product)


def trigger_clusters(geometry: CameraGeometry) -> np.ndarray:
    """Group pixels to triangles of three, and these to clusters of seven.

    Parameters
    ----------
    geometry : ctapipe.instrument.CameraGeometry
        Hexagonal pixels.

    Returns
    -------
    ndarray of int, shape (n_clusters, 21)
        Pixels of each cluster; -1 where it reaches over the camera's edge.
    """
    x, y = geometry.pix_x.to_value(u.m), geometry.pix_y.to_value(u.m)
    pitch = np.hypot(np.diff(x), np.diff(y)).min()
    column = np.rint((x - x[0]) / (pitch * np.sqrt(3) / 2)).astype(int)
    row = np.rint((y - y[0]) / pitch - column / 2).astype(int)
    pixel_of = {key: pixel for pixel, key in enumerate(zip(column.tolist(), row.tolist(), strict=True))}
    triangle = np.array([(0, 0), (1, 0), (0, 1)])
    patches_around = np.array([(0, 0), (1, 1), (2, -1), (1, -2), (-1, -1), (-2, 1), (-1, 2)])

    def clusters_of(colour: int) -> np.ndarray:
        corners = {(q - i, r - j) for q, r in pixel_of for i, j in triangle if (q - i - (r - j)) % 3 == colour}
        members = np.array(sorted(corners))[:, None, None] + patches_around[:, None] + triangle
        members = members.reshape(-1, CLUSTER_PIXELS, 2)
        return np.array([[pixel_of.get((q, r), -1) for q, r in cluster.tolist()] for cluster in members])

    # of the three ways to tile the camera with triangles, the one that fits best
    return min((clusters_of(colour) for colour in range(3)), key=len)


@numba.njit(cache=True)
def _draw(charges: np.ndarray, rng: np.random.Generator) -> float:
    return charges[int(rng.random() * charges.size)]


@numba.njit(cache=True)
def _brightest(values: np.ndarray, clusters: np.ndarray) -> tuple[int, float]:
    """Cluster with the largest sum, and this sum."""
    brightest, largest = 0, -np.inf
    for cluster in range(clusters.shape[0]):
        total = 0.0
        for pixel in clusters[cluster]:
            if pixel >= 0:
                total += values[pixel]
        if total > largest:
            brightest, largest = cluster, total
    return brightest, largest


@numba.njit(cache=True)
def trigger(counts: np.ndarray, electronics: Electronics, rng: np.random.Generator) -> tuple[int, np.ndarray]:
    """Charges in the window around the shower, and whether they trigger.

    Images that are too dim are given up before any noise is drawn.

    Parameters
    ----------
    counts : ndarray of int, shape (n_pixels,)
        Photo-electrons of the shower.
    electronics : Electronics
    rng : numpy.random.Generator

    Returns
    -------
    cluster : int
        The brightest cluster of pixels; -1 if it stays below the threshold.
    charges : ndarray, shape (n_pixels,)
        In calibrated p.e.; meaningless if the image was given up.
    """
    charges = np.empty(counts.size)
    if _brightest(counts, electronics.clusters)[1] < least_light(electronics, GIVE_UP):
        return -1, charges
    for pixel in range(counts.size):
        charges[pixel] = _draw(electronics.sky, rng)
        if counts[pixel] > 0:
            avalanches = counts[pixel] + rng.poisson(electronics.crosstalk * counts[pixel])
            signal = avalanches + electronics.spread * math.sqrt(avalanches) * rng.standard_normal()
            charges[pixel] += signal / (1 + electronics.crosstalk)
    brightest, largest = _brightest(charges, electronics.clusters)
    return brightest if largest > electronics.threshold else -1, charges


@numba.njit(cache=True)
def digitise(
    counts: np.ndarray,
    times: np.ndarray,
    charges: np.ndarray,
    cluster: int,
    electronics: Electronics,
    image: np.ndarray,
    peak_time: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Charge and peak time of each pixel, as a peak search finds them.

    Parameters
    ----------
    counts, times : ndarray, shape (n_pixels,)
        Photo-electrons of the shower and their mean arrival time [ns].
    charges : ndarray, shape (n_pixels,)
        Charges in the window around the shower, from `trigger`.
    cluster : int
        Cluster that triggered: its mean time sets the readout window.
    electronics : Electronics
    image : ndarray, shape (n_pixels,)
        Overwritten with the charge [calibrated p.e.].
    peak_time : ndarray, shape (n_pixels,)
        Overwritten with the time of the peak in the readout window [ns].
    rng : numpy.random.Generator
    """
    weight, start = 0, 0.0
    for pixel in electronics.clusters[cluster]:
        if pixel >= 0:
            weight += counts[pixel]
            start += counts[pixel] * times[pixel]
    start = start / max(weight, 1) - electronics.trigger_time - electronics.sample * (rng.random() - 0.5)
    for pixel in range(counts.size):
        highest = _draw(electronics.highest_sky, rng)
        time = times[pixel] - start
        seen = counts[pixel] > 0 and 0 <= time < electronics.readout
        if seen and charges[pixel] >= highest:
            image[pixel] = charges[pixel]
            jitter = electronics.sample / math.sqrt(12 * counts[pixel]) + electronics.jitter
            peak_time[pixel] = min(max(time + jitter * rng.standard_normal(), 0.0), electronics.readout)
        else:
            image[pixel] = highest
            peak_time[pixel] = electronics.readout * rng.random()
