"""Night sky in the readout: what the extraction of charges finds where there is no shower.

Waveforms of night sky and electronic noise, and ctapipe's peak search (LocalPeakWindowSum) in them. The search
returns the highest fluctuation of the readout window, so that the charges of dark pixels have a positive mean.
"""

import astropy.units as u
import numpy as np
from ctapipe.image.extractor import extract_around_peak, integration_correction
from ctapipe.instrument import CameraReadout
from scipy.signal import fftconvolve

from cherenkov_pipeline.simulation.parameters import INTEGRATION_WINDOW, ElectronicsParameters

PEAK_SHARE = 3 / 7  # where the peak lies in the integration window
N_READOUTS = 2**14
TIME_STEP = 1.0  # ns, of the arrival times
SEED = 1  # the tables are the same in all files: they are part of the telescope, not of a run


def sky_charges(parameters: ElectronicsParameters, readout: CameraReadout) -> tuple[np.ndarray, np.ndarray]:
    """Draw charges of pixels without a shower, pedestal subtracted.

    Parameters
    ----------
    parameters : ElectronicsParameters
    readout : ctapipe.instrument.CameraReadout

    Returns
    -------
    anywhere : ndarray, shape (N_READOUTS,)
        In a window at a given time [p.e.]: without bias.
    highest : ndarray, shape (N_READOUTS,)
        In the window about the highest sample of the readout [p.e.].
    """
    sampling_rate = readout.sampling_rate.to_value(u.GHz)
    width = round(INTEGRATION_WINDOW.to_value(u.ns) * sampling_rate)
    shift = round(PEAK_SHARE * width)
    (correction,) = integration_correction(
        readout.reference_pulse_shape,
        readout.reference_pulse_sample_width.to_value(u.ns),
        1 / sampling_rate,
        width,
        shift,
    )
    noise = parameters.electronic_noise / (np.sqrt(width) * correction)  # of a sample
    waveforms = sky_waveforms(parameters, readout, noise, np.random.default_rng(SEED))
    peaks = np.full(N_READOUTS, readout.n_samples // 2), waveforms.argmax(axis=1)
    anywhere, highest = (
        correction * extract_around_peak(waveforms, peak, width, shift, sampling_rate)[0] for peak in peaks
    )
    return anywhere, highest


def sky_waveforms(
    parameters: ElectronicsParameters, readout: CameraReadout, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw waveforms of night sky and noise, pedestal subtracted.

    Parameters
    ----------
    parameters : ElectronicsParameters
    readout : ctapipe.instrument.CameraReadout
    noise : float
        Standard deviation of the electronic noise of a sample [p.e.].
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32, shape (N_READOUTS, n_samples)
        Photo-electrons per sample.
    """
    rate = parameters.night_sky_rate.to_value(1 / u.ns)
    sample = 1 / readout.sampling_rate.to_value(u.GHz)
    stride = round(sample / TIME_STEP)
    fine = readout.reference_pulse_sample_width.to_value(u.ns)
    times = np.arange(0, readout.reference_pulse_shape.shape[1] * fine, TIME_STEP)
    pulse = np.interp(times, fine * np.arange(readout.reference_pulse_shape.shape[1]), readout.reference_pulse_shape[0])
    pulse *= stride / pulse.sum()  # p.e. per sample

    # photo-electrons that came before the readout reach into it
    shape = N_READOUTS, pulse.size + readout.n_samples * stride
    arrivals = rng.poisson(rate * TIME_STEP, shape)
    avalanches = arrivals + rng.poisson(parameters.crosstalk * arrivals)
    charges = avalanches + parameters.charge_spread * np.sqrt(avalanches) * rng.standard_normal(shape, dtype=np.float32)
    charges = (charges / (1 + parameters.crosstalk)).astype(np.float32)
    waveforms = fftconvolve(charges, pulse[np.newaxis].astype(np.float32), axes=1)
    waveforms = waveforms[:, pulse.size : pulse.size + readout.n_samples * stride : stride] - rate * sample
    return (waveforms + noise * rng.standard_normal(waveforms.shape)).astype(np.float32)
