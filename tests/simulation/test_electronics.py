import numpy as np
import pytest
from ctapipe.calib import CameraCalibrator
from ctapipe.io import EventSource
from traitlets.config import Config

from cherenkov_pipeline.simulation.array import digicam_geometry, digicam_readout
from cherenkov_pipeline.simulation.electronics import (
    GIVE_UP,
    electronics,
    extract,
    least_light,
    read_out,
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


def arrivals_of(counts, times):
    """Photo-electrons (pixel, time) of an image; ``times`` of each pixel."""
    pixels = np.repeat(np.arange(N_PIXELS), counts)
    return np.column_stack([pixels, np.broadcast_to(times, N_PIXELS)[pixels]]).astype(float)


def observed(arrivals, digicam, rng):
    """Whether it triggers; image and peak times, if there is light enough for a readout."""
    counts = np.empty(N_PIXELS, dtype=np.int32)
    waveforms = np.zeros((N_PIXELS, digicam.sky.shape[1]), dtype=np.float32)
    triggers = read_out(arrivals, digicam, counts, waveforms, rng)
    np.testing.assert_array_equal(counts, np.bincount(arrivals[:, 0].astype(int), minlength=N_PIXELS))
    return triggers, *extract(waveforms, digicam)


def test_sky_has_no_mean_and_the_fluctuations_of_its_photo_electrons(digicam):
    rate, crosstalk, spread = 0.1, 0.1, 0.15
    # Campbell: variance = rate * squared charge of one photo-electron * integral of the squared pulse
    squared_charge = 1 + crosstalk / (1 + crosstalk) ** 2 + spread**2 / (1 + crosstalk)
    readout = digicam_readout()
    squared_pulse = np.sum(readout.reference_pulse_shape[0] ** 2) * 0.1
    noise = 0.25 / (np.sqrt(7) * digicam.charge_per_height)
    assert digicam.sky.mean() == pytest.approx(0, abs=0.02)
    assert digicam.sky.var() == pytest.approx(rate * squared_charge * squared_pulse + noise**2, rel=0.03)
    window = digicam.sky[:, 20:27].sum(axis=1) * digicam.charge_per_height
    assert window.mean() == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_noise_of_a_cluster_is_that_of_its_pixels(rate):
    parameters = ElectronicsParameters(night_sky_rate=f"{rate} / ns", trigger_threshold=70)
    camera = electronics(parameters, digicam_geometry(), digicam_readout())
    assert camera.cluster_noise == pytest.approx(camera.sky.std() * np.sqrt(21), rel=0.03)


def test_least_light_reaches_the_threshold_by_the_fluctuation(digicam):
    assert least_light(digicam, 0.0) == pytest.approx(digicam.threshold)
    light = least_light(digicam, 3.0)
    variance = digicam.cluster_noise**2 + light * (1 + 0.1 / 1.1**2 + 0.15**2 / 1.1)
    assert light + 3 * np.sqrt(variance) == pytest.approx(digicam.threshold, rel=1e-3)
    assert least_light(digicam, 10.0) < 0  # the night sky alone


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
    share = {
        charge: np.mean([observed(arrivals_of(blob(charge), 0), digicam, rng)[0] for _ in range(100)])
        for charge in (0, 3, 20)
    }
    assert share[0] == 0
    assert share[3] < 0.2
    assert share[20] == 1


@pytest.mark.parametrize("sky", [{}, {"night_sky_rate": "0.5 / ns", "trigger_threshold": 70}])
def test_light_below_the_limit_of_drawing_does_not_trigger(sky):
    camera = electronics(ElectronicsParameters(**sky), digicam_geometry(), digicam_readout())
    counts = blob(0)
    counts[700] = int(least_light(camera, WORTHWHILE))
    assert counts[700] >= least_light(camera, GIVE_UP)  # noise is drawn
    rng = np.random.default_rng(6)
    # a little more than the 3 standard deviations of one sample: several clusters, several samples
    assert np.mean([observed(arrivals_of(counts, 0), camera, rng)[0] for _ in range(1000)]) < 0.03


def test_light_spread_in_time_triggers_less_and_is_lost_from_the_charge(digicam):
    rng = np.random.default_rng(8)
    arrivals = arrivals_of(blob(20), 0)
    shares, charges = [], []
    for duration in (0, 10, 40, 90):
        seen = []
        for _ in range(60):
            arrivals[:, 1] = duration * rng.random(len(arrivals))
            seen.append(observed(arrivals, digicam, rng))
        shares.append(np.mean([triggers for triggers, _, _ in seen]))
        charges.append(np.mean([image[700] for _, image, _ in seen]))
    assert shares[0] == shares[1] == 1
    assert shares[2] > shares[3]
    assert shares[3] < 0.5
    assert charges[0] == pytest.approx(20, rel=0.15)
    assert charges[0] > charges[1] > charges[2] > charges[3]
    assert charges[3] < 0.6 * charges[0]


def test_light_is_recovered_without_its_crosstalk(digicam):
    rng = np.random.default_rng(3)
    counts = blob(100)
    images = np.array([observed(arrivals_of(counts, 0), digicam, rng)[1] for _ in range(50)])
    assert images[:, counts > 0].mean() == pytest.approx(100, rel=0.03)


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
    in_window = ours.charge_per_height * ours.sky[:, 10:17].sum(axis=1)
    assert in_window.std() == pytest.approx(sky.std(), rel=0.06)
    no_light = extract(ours.sky, ours)[0]
    assert no_light.mean() == pytest.approx(dark.mean(), abs=0.1)
    assert no_light.std() == pytest.approx(dark.std(), rel=0.1)
    rng = np.random.default_rng(5)
    for low, high, tolerance in ((1, 5, 0.2), (20, 1000, 0.05)):
        chosen = (true >= low) & (true <= high)
        counts = blob(100)
        pixels = np.flatnonzero(counts == 0)[: chosen.sum()]
        counts[pixels] = true[chosen]
        images = np.array([observed(arrivals_of(counts, 0), ours, rng)[1] for _ in range(20)])
        ratio = np.median(images[:, pixels] / counts[pixels])
        assert ratio == pytest.approx(np.median(charge[chosen] / true[chosen]), rel=tolerance)


def test_times_are_kept_relative_to_each_other_alone(digicam):
    rng = np.random.default_rng(4)
    counts = blob(100)
    ramp = np.where(counts > 0, 3.0 * np.cumsum(counts > 0), 0)
    early, late = (observed(arrivals_of(counts, ramp + shift), digicam, rng)[2] for shift in (0, 1e5))
    signal = counts > 0
    for peak_time in (early, late):
        residual = peak_time[signal] - ramp[signal]
        assert np.std(residual) < 1.5
        assert peak_time[signal].mean() == pytest.approx(56, abs=5)
    assert np.std(early[~signal]) == pytest.approx(200 / np.sqrt(12), rel=0.15)  # noise comes any time
