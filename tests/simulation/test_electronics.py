import numpy as np
import pytest
from ctapipe.calib import CameraCalibrator
from ctapipe.io import EventSource
from traitlets.config import Config

from cherenkov_pipeline.simulation.array import digicam_geometry, digicam_readout
from cherenkov_pipeline.simulation.electronics import (
    GIVE_UP,
    digitise,
    electronics,
    least_light,
    trigger,
    trigger_clusters,
)
from cherenkov_pipeline.simulation.observation import WORTHWHILE
from cherenkov_pipeline.simulation.parameters import ElectronicsParameters

N_PIXELS = 1296


@pytest.fixture(scope="module")
def digicam():
    return electronics(ElectronicsParameters(), digicam_geometry(), digicam_readout())


def blob(charge, pixel=700):
    counts = np.zeros(N_PIXELS, dtype=np.int32)
    counts[[pixel, *np.flatnonzero(digicam_geometry().neighbor_matrix[pixel])]] = charge
    return counts


def read_out(counts, times, digicam, rng):
    cluster, charges = trigger(counts, digicam, rng)
    assert cluster >= 0
    image, peak_time = np.empty(N_PIXELS), np.empty(N_PIXELS)
    digitise(counts, times, charges, cluster, digicam, image, peak_time, rng)
    return image, peak_time


def test_sky_has_no_mean_and_the_width_of_its_photo_electrons(digicam):
    rate, crosstalk, spread, noise = 0.1, 0.1, 0.15, 0.25
    # Campbell: variance = rate * integral of the squared charge of one photo-electron over its time in the window
    squared_charge = 1 + crosstalk / (1 + crosstalk) ** 2 + spread**2 / (1 + crosstalk)
    readout = digicam_readout()
    pulse = readout.reference_pulse_shape[0]
    in_window = np.convolve(pulse / pulse.sum(), np.ones(280))  # the share of a pulse in 28 ns, in steps of 0.1 ns
    squared_time = np.sum((in_window / in_window.max()) ** 2) * 0.1
    assert digicam.sky.mean() == pytest.approx(0, abs=0.04)
    assert digicam.sky.var() == pytest.approx(rate * squared_charge * squared_time + noise**2, rel=0.05)


def test_noise_of_a_cluster_is_that_of_its_pixels(digicam):
    # the limits take the pulse as infinitely short, which is on the safe side
    assert 1 < digicam.cluster_noise / (digicam.sky.std() * np.sqrt(21)) < 1.2


def test_least_light_reaches_the_threshold_by_the_fluctuation(digicam):
    assert least_light(digicam, 0.0) == pytest.approx(digicam.threshold)
    light = least_light(digicam, 3.0)
    variance = digicam.cluster_noise**2 + light * (1 + 0.1 / 1.1**2 + 0.15**2 / 1.1)
    assert light + 3 * np.sqrt(variance) == pytest.approx(digicam.threshold)
    assert least_light(digicam, 8.0) < 0  # the night sky alone


def test_clusters_are_21_pixels_around_a_pixel_that_all_share():
    geometry = digicam_geometry()
    clusters = trigger_clusters(geometry)
    assert len(clusters) == 432  # one for each patch of three pixels
    x, y = geometry.pix_x.value, geometry.pix_y.value
    for cluster in clusters:
        pixels = cluster[cluster >= 0]
        assert len(set(pixels)) == len(pixels)
        assert np.hypot(x[pixels] - x[pixels].mean(), y[pixels] - y[pixels].mean()).max() < 3 * 0.0243
    times_used = np.bincount(clusters[clusters >= 0], minlength=N_PIXELS)
    assert times_used.max() == 7
    assert np.all(times_used[~geometry.get_border_pixel_mask(3)] == 7)


def test_only_light_triggers(digicam):
    rng = np.random.default_rng(2)
    triggered = {
        charge: np.mean([trigger(blob(charge), digicam, rng)[0] >= 0 for _ in range(100)]) for charge in (0, 3, 20)
    }
    assert triggered[0] == 0
    assert triggered[3] < 0.2
    assert triggered[20] == 1


@pytest.mark.parametrize("sky", [{}, {"night_sky_rate": "0.3 / ns", "trigger_threshold": 70}])
def test_light_below_the_limit_of_drawing_does_not_trigger(sky):
    camera = electronics(ElectronicsParameters(**sky), digicam_geometry(), digicam_readout())
    counts = blob(0)
    counts[700] = int(least_light(camera, WORTHWHILE))
    assert counts[700] >= least_light(camera, GIVE_UP)  # noise is drawn
    rng = np.random.default_rng(6)
    assert np.mean([trigger(counts, camera, rng)[0] >= 0 for _ in range(1000)]) < 0.02


def test_light_is_recovered_without_its_crosstalk(digicam):
    rng = np.random.default_rng(3)
    counts = blob(100)
    images = np.array([read_out(counts, np.zeros(N_PIXELS), digicam, rng)[0] for _ in range(50)])
    assert images[:, counts > 0].mean() == pytest.approx(100, rel=0.02)


def test_charges_agree_with_those_of_real_simulations(test_data):
    """Dark and bright pixels of sim_telarray's DigiCam, at the night sky of that file."""
    window = {"window_width": 7, "window_shift": 3}
    config = Config(CameraCalibrator={"image_extractor_type": "LocalPeakWindowSum", "LocalPeakWindowSum": window})
    dark, true, charge, sky = [], [], [], []
    path = test_data / "simtel" / "sst1m_digicam_gamma_9ev.simtel.gz"
    with EventSource(path, focal_length_choice="EQUIVALENT") as source:
        calibrate = CameraCalibrator(subarray=source.subarray, config=config)
        for event in source:
            for tel_id, tel in event.r1.tel.items():
                true_image = event.simulation.tel[tel_id].true_image
                sky.append(tel.waveform[0][true_image == 0, 10:17].sum(axis=1))
            calibrate(event)
            for tel_id, tel in event.dl1.tel.items():
                true_image = event.simulation.tel[tel_id].true_image
                dark.append(tel.image[true_image == 0])
                true.append(true_image[true_image > 0])
                charge.append(tel.image[true_image > 0])
    dark, true, charge, sky = (np.concatenate(values) for values in (dark, true, charge, sky))

    # the rate of that file: 0.034 per ns from the fluctuations of its waveforms, 0.032 from its pedestals
    sst1m = ElectronicsParameters(night_sky_rate="0.034 / ns")
    ours = electronics(sst1m, digicam_geometry(), digicam_readout())
    assert ours.sky.std() == pytest.approx(sky.std(), rel=0.06)
    assert ours.highest_sky.mean() == pytest.approx(dark.mean(), abs=0.1)
    assert ours.highest_sky.std() == pytest.approx(dark.std(), rel=0.1)
    rng = np.random.default_rng(5)
    for low, high, tolerance in ((1, 5, 0.2), (20, 1000, 0.05)):
        chosen = (true >= low) & (true <= high)
        counts = blob(100)
        pixels = np.flatnonzero(counts == 0)[: chosen.sum()]
        counts[pixels] = true[chosen]
        images = np.array([read_out(counts, np.zeros(N_PIXELS), ours, rng)[0] for _ in range(20)])
        ratio = np.median(images[:, pixels] / counts[pixels])
        assert ratio == pytest.approx(np.median(charge[chosen] / true[chosen]), rel=tolerance)


def test_times_are_kept_relative_to_each_other_alone(digicam):
    rng = np.random.default_rng(4)
    counts = blob(100)
    ramp = np.where(counts > 0, 3.0 * np.cumsum(counts > 0), 0)
    early, late = (read_out(counts, ramp + shift * (counts > 0), digicam, rng)[1] for shift in (0, 1e5))
    signal = counts > 0
    for peak_time in (early, late):
        residual = peak_time[signal] - ramp[signal]
        assert np.std(residual) < 1.5
        assert peak_time[signal].mean() == pytest.approx(56, abs=5)
    assert np.std(early[~signal]) == pytest.approx(200 / np.sqrt(12), rel=0.1)  # noise comes any time
