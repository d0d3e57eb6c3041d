import numpy as np
import pytest

from cherenkov_pipeline.simulation.array import digicam_geometry, digicam_readout
from cherenkov_pipeline.simulation.electronics import digitise, electronics, trigger, trigger_clusters
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
    rate, crosstalk, spread, noise = 0.1 * 28, 0.1, 0.15, 0.25
    # compound Poisson: variance = rate * mean of the square of one photo-electron's charge
    variance = rate * ((1 + crosstalk) ** 2 + crosstalk + spread**2 * (1 + crosstalk)) + noise**2
    assert digicam.sky.mean() == pytest.approx(0, abs=0.02)
    assert digicam.sky.var() == pytest.approx(variance, rel=0.03)


def test_peak_search_lifts_the_pedestal(digicam):
    draws = np.random.default_rng(1).choice(digicam.sky, (20_000, 6)).max(axis=1)
    assert digicam.highest_sky.mean() == pytest.approx(draws.mean(), abs=0.05)


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


def test_light_is_recovered_with_its_crosstalk(digicam):
    rng = np.random.default_rng(3)
    counts = blob(100)
    images = np.array([read_out(counts, np.zeros(N_PIXELS), digicam, rng)[0] for _ in range(50)])
    assert images[:, counts > 0].mean() == pytest.approx(110, rel=0.02)


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
