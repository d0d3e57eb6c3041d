"""From photo-electrons to waveforms, the trigger, and the charge and time of each pixel.

Each photo-electron adds a pulse to the waveform of its pixel, on top of night sky and noise. The trigger is
DigiCam's: sums of three neighbouring pixels, clusters of a patch and its six neighbours, sample by sample: light that
is spread in time triggers less. Charges and times are those of a peak search in each pixel (ctapipe's
LocalPeakWindowSum), as for real data: where the night sky outshines the shower, the window lands on the sky's
highest fluctuation. Charges are in calibrated photo-electrons: crosstalk widens them, and its mean is taken out.
"""

import math
from typing import NamedTuple

import astropy.units as u
import numba
import numpy as np
from ctapipe.image.extractor import extract_around_peak, integration_correction
from ctapipe.instrument import CameraGeometry, CameraReadout

from cherenkov_pipeline.simulation.imaging import ARRIVAL, PIXEL
from cherenkov_pipeline.simulation.parameters import CLUSTER_PIXELS, INTEGRATION_WINDOW, ElectronicsParameters
from cherenkov_pipeline.simulation.sky import avalanche_charges, sky_waveforms

#: light from which a trigger would need a larger fluctuation, in standard deviations, is given up at once
GIVE_UP = 4.0
PEAK_SHARE = 3 / 7  # where the peak lies in the integration window
PHASES = 16  # steps of a sample in which a pulse may begin
PULSE_FLOOR = 0.005  # height at which a pulse begins and ends
N_CHARGES = 2**14


class Electronics(NamedTuple):
    """What `read_out` and `extract` need; a tuple, so that numba takes it. Heights are those of a p.e.'s pulse."""

    sky: np.ndarray  # float32 (n_readouts, n_samples), heights: waveforms without a shower
    pulse: np.ndarray  # float32 (PHASES, n), height in the samples about the arrival
    pulse_start: int  # first of these samples, counted from the one in which the photo-electron arrives
    charges: np.ndarray  # (N_CHARGES,), calibrated p.e.: draws for one photo-electron
    charge_variance: float  # of these
    cluster_noise: float  # standard deviation of sky and noise in a sample of a cluster
    jitter: float  # ns
    sample: float  # ns
    trigger_time: float  # ns
    threshold: float  # height
    clusters: np.ndarray  # (n_clusters, 21): pixels, -1 where a cluster reaches over the edge
    window: int  # samples of the integration window
    shift: int  # of them before the peak
    charge_per_height: float  # calibrated p.e. for a sum of 1 over the window


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
    fine = readout.reference_pulse_sample_width.to_value(u.ns)
    shape = readout.reference_pulse_shape[0] / readout.reference_pulse_shape[0].max()
    window = round(INTEGRATION_WINDOW.to_value(u.ns) / sample)
    shift = round(PEAK_SHARE * window)
    (correction,) = integration_correction(shape[np.newaxis], fine, sample, window, shift)
    charge_per_height = correction * sample / (shape.sum() * fine)
    noise = parameters.electronic_noise / (np.sqrt(window) * charge_per_height)
    pulse_start, pulse = _pulse_in_samples(shape, fine, sample)
    charges = avalanche_charges(np.ones(N_CHARGES, dtype=int), parameters, np.random.default_rng(0))
    sky = sky_waveforms(parameters, readout, noise)
    return Electronics(
        sky=sky,
        pulse=pulse,
        pulse_start=pulse_start,
        charges=charges,
        charge_variance=float(charges.var()),
        cluster_noise=parameters.cluster_noise,
        jitter=parameters.time_jitter.to_value(u.ns),
        sample=sample,
        trigger_time=parameters.trigger_time.to_value(u.ns),
        threshold=parameters.trigger_threshold,
        clusters=trigger_clusters(geometry),
        window=window,
        shift=shift,
        charge_per_height=charge_per_height,
    )


def _pulse_in_samples(shape: np.ndarray, fine: float, sample: float) -> tuple[int, np.ndarray]:
    """First sample of a pulse, and its height in each, for arrivals at the middle of each phase of a sample."""
    time = fine * (np.arange(shape.size) - shape.argmax())
    seen = time[shape > PULSE_FLOOR]
    first, last = math.floor(seen[0] / sample), math.ceil(seen[-1] / sample) + 1
    phase = (np.arange(PHASES)[:, np.newaxis] + 0.5) / PHASES
    heights = np.interp(sample * (np.arange(first, last + 1) - phase), time, shape, left=0, right=0)
    return first, heights.astype(np.float32)


@numba.njit(cache=True)
def least_light(electronics: Electronics, deviations: float) -> float:
    """Photo-electrons in a cluster that reach the threshold with a fluctuation of some standard deviations.

    Solves light + deviations * sqrt(variance of sky and noise + variance of the light's charge) = threshold, for light
    that comes all at once.

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
    half = electronics.threshold + deviations**2 * (1 + electronics.charge_variance) / 2
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
def _light(counts: np.ndarray, cluster: np.ndarray) -> int:
    """Photo-electrons in a cluster."""
    total = 0
    for pixel in cluster:
        if pixel >= 0:
            total += counts[pixel]
    return total


@numba.njit(cache=True)
def read_out(
    arrivals: np.ndarray, electronics: Electronics, counts: np.ndarray, waveforms: np.ndarray, rng: np.random.Generator
) -> bool:
    """Waveforms around a shower's light, and whether they trigger.

    The readout is placed by the mean time of the brightest cluster. Images that are too dim are given up
    before any noise is drawn.

    Parameters
    ----------
    arrivals : ndarray, shape (n, 2)
        Pixel and time [ns] of each photo-electron.
    electronics : Electronics
    counts : ndarray of int32, shape (n_pixels,)
        Overwritten with the photo-electrons of each pixel.
    waveforms : ndarray of float32, shape (n_pixels, n_samples)
        Overwritten with the waveforms in heights, pedestal subtracted; meaningless if the image was given up.
    rng : numpy.random.Generator

    Returns
    -------
    bool
        Whether a cluster exceeds the threshold in a sample.
    """
    n_pixels, n_samples = waveforms.shape
    counts[:] = 0
    for number in range(arrivals.shape[0]):
        counts[int(arrivals[number, PIXEL])] += 1
    brightest, most = 0, -1
    for number in range(electronics.clusters.shape[0]):
        light = _light(counts, electronics.clusters[number])
        if light > most:
            brightest, most = number, light
    enough = least_light(electronics, GIVE_UP)
    if most < enough:
        return False

    inside = np.zeros(n_pixels, dtype=np.bool_)
    for pixel in electronics.clusters[brightest]:
        if pixel >= 0:
            inside[pixel] = True
    mean = 0.0
    for number in range(arrivals.shape[0]):
        if inside[int(arrivals[number, PIXEL])]:
            mean += arrivals[number, ARRIVAL] / most
    begin = mean - electronics.trigger_time - electronics.sample * (rng.random() - 0.5)
    delays = np.empty(n_pixels)
    for pixel in range(n_pixels):
        waveforms[pixel] = electronics.sky[int(rng.random() * electronics.sky.shape[0])]
        delays[pixel] = electronics.jitter * rng.standard_normal() - begin
    for number in range(arrivals.shape[0]):
        pixel = int(arrivals[number, PIXEL])
        time = (arrivals[number, ARRIVAL] + delays[pixel]) / electronics.sample
        first = math.floor(time)
        pulse = electronics.pulse[int((time - first) * PHASES)]
        charge = electronics.charges[int(rng.random() * electronics.charges.size)]
        for step in range(pulse.size):
            sample = first + electronics.pulse_start + step
            if 0 <= sample < n_samples:
                waveforms[pixel, sample] += charge * pulse[step]
    return _triggers(waveforms, counts, enough, electronics)


@numba.njit(cache=True)
def _triggers(waveforms: np.ndarray, counts: np.ndarray, enough: float, electronics: Electronics) -> bool:
    """Whether the sum of a cluster exceeds the threshold in a sample; only clusters with enough light are summed."""
    for cluster in electronics.clusters:
        if _light(counts, cluster) < enough:
            continue
        for sample in range(waveforms.shape[1]):
            height = 0.0
            for pixel in cluster:
                if pixel >= 0:
                    height += waveforms[pixel, sample]
            if height > electronics.threshold:
                return True
    return False


def extract(waveforms: np.ndarray, electronics: Electronics) -> tuple[np.ndarray, np.ndarray]:
    """Charge and peak time of each pixel: ctapipe's LocalPeakWindowSum.

    Parameters
    ----------
    waveforms : ndarray of float32, shape (..., n_samples)
        In heights, pedestal subtracted.
    electronics : Electronics

    Returns
    -------
    image, peak_time : ndarray of float32, shape (...)
        Calibrated p.e.; ns from the start of the readout.
    """
    heights, peak_time = extract_around_peak(
        waveforms, waveforms.argmax(axis=-1), electronics.window, electronics.shift, 1 / electronics.sample
    )
    return np.float32(electronics.charge_per_height) * heights, peak_time
