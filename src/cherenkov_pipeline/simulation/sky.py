"""Night sky and electronic noise in the readout: waveforms of pixels without a shower."""

import astropy.units as u
import numpy as np
from ctapipe.instrument import CameraReadout
from scipy.signal import fftconvolve

from cherenkov_pipeline.simulation.parameters import ElectronicsParameters

N_READOUTS = 2**14
TIME_STEP = 1.0  # ns, of the arrival times
SEED = 1  # the waveforms are the same in all files: they are part of the telescope, not of a run


def sky_waveforms(parameters: ElectronicsParameters, readout: CameraReadout, noise: float) -> np.ndarray:
    """Draw waveforms of night sky and noise, pedestal subtracted.

    Parameters
    ----------
    parameters : ElectronicsParameters
    readout : ctapipe.instrument.CameraReadout
    noise : float
        Standard deviation of the electronic noise of a sample.

    Returns
    -------
    ndarray of float32, shape (N_READOUTS, n_samples)
        In heights of the pulse of one photo-electron.
    """
    rng = np.random.default_rng(SEED)
    rate = parameters.night_sky_rate.to_value(1 / u.ns)
    stride = round(1 / readout.sampling_rate.to_value(u.GHz) / TIME_STEP)
    fine = readout.reference_pulse_sample_width.to_value(u.ns)
    times = np.arange(0, readout.reference_pulse_shape.shape[1] * fine, TIME_STEP)
    pulse = np.interp(times, fine * np.arange(readout.reference_pulse_shape.shape[1]), readout.reference_pulse_shape[0])
    pulse /= pulse.max()

    # photo-electrons that came before the readout reach into it
    shape = N_READOUTS, pulse.size + readout.n_samples * stride
    charges = avalanche_charges(rng.poisson(rate * TIME_STEP, shape), parameters, rng).astype(np.float32)
    waveforms = fftconvolve(charges, pulse[np.newaxis].astype(np.float32), axes=1)
    waveforms = waveforms[:, pulse.size : pulse.size + readout.n_samples * stride : stride]
    waveforms += noise * rng.standard_normal(waveforms.shape) - rate * TIME_STEP * pulse.sum()
    return waveforms.astype(np.float32)


def avalanche_charges(
    photo_electrons: np.ndarray, parameters: ElectronicsParameters, rng: np.random.Generator
) -> np.ndarray:
    """Draw the charges of photo-electrons that arrive together, with their crosstalk; calibrated p.e., same shape."""
    avalanches = photo_electrons + rng.poisson(parameters.crosstalk * photo_electrons)
    spread = parameters.charge_spread * np.sqrt(avalanches) * rng.standard_normal(avalanches.shape)
    return (avalanches + spread) / (1 + parameters.crosstalk)
