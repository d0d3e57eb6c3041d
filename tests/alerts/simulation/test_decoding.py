import numpy as np
import pytest

from cherenkov_pipeline.alerts.simulation.decoding import decoder
from cherenkov_pipeline.alerts.simulation.instrument import DETECTOR, SKY, coding_fraction, mask_pattern, shadow

PLACES = [(99, 99), (60, 150), (20, 30), (180, 99), (99, 12)]
FLAT = np.zeros((1, 6))


@pytest.fixture(scope="module")
def noise():
    """Sky images of a flat background: (64, `SKY`, `SKY`)."""
    rng = np.random.default_rng(1)
    return np.concatenate([decoder(0).snr(rng.poisson(6.4, (8, DETECTOR, DETECTOR))) for _ in range(8)])


@pytest.mark.parametrize("pattern", [0, 3])
@pytest.mark.parametrize(("row", "column"), PLACES)
def test_source_is_decoded_at_its_place_with_its_flux(pattern, row, column):
    counts = 1000 * shadow(mask_pattern(pattern), row, column)[None]
    signal, _ = decoder(pattern).decode(counts, FLAT)
    flux = np.where(coding_fraction() > 0.05, signal[0] / decoder(pattern).norm, 0)
    assert np.unravel_index(np.argmax(flux), flux.shape) == (row, column)
    assert flux[row, column] == pytest.approx(1000, rel=0.04)


def test_source_has_the_published_width():
    profiles = []
    for pattern in range(4):
        for row, column in [(99, 99), (90, 110), (70, 80)]:
            signal = decoder(pattern).decode(shadow(mask_pattern(pattern), row, column)[None], FLAT)[0][0]
            flux = signal / decoder(pattern).norm
            profiles += [flux[row, column : column + 4], flux[row : row + 4, column]]
    profile = np.mean(profiles, axis=0) / profiles[0][0]
    np.testing.assert_allclose(profile, [1, 0.69, 0.245, 0], atol=0.06)
    assert 2 * np.interp(-0.5, -profile, np.arange(4)) == pytest.approx(2.86, abs=0.25)


def test_noise_alone_is_narrower_than_one_and_never_triggers(noise):
    usable = coding_fraction() > 0.05
    assert 0.92 < noise[:, usable].std() < 0.95
    assert abs(noise[:, usable].mean()) < 0.01
    assert noise[:, usable].max() < 6.5


def test_noise_is_correlated_as_published(noise):
    inner = noise[:, 50:150, 50:150]
    inner = inner - inner.mean()
    correlation = [
        0.5 * ((inner[:, k:] * inner[:, :-k]).mean() + (inner[..., k:] * inner[..., :-k]).mean()) / inner.var()
        for k in (1, 2, 3)
    ]
    np.testing.assert_allclose(correlation, [0.705, 0.269, 0.015], atol=0.03)


def test_bright_source_leaves_the_coding_noise_of_a_random_mask():
    rng = np.random.default_rng(5)
    spreads, ghosts = [], []
    for pattern in range(4):
        for row, column in rng.uniform(60, 140, (3, 2)):
            snr = decoder(pattern).snr((40 + 40 * shadow(mask_pattern(pattern), row, column))[None])[0]
            rows, columns = np.indices(snr.shape)
            elsewhere = (coding_fraction() > 0.1) & (np.hypot(rows - row, columns - column) > 5)
            peak = snr[round(row), round(column)]
            spreads.append(snr[elsewhere].std() / peak)
            ghosts.append(snr[elsewhere].max() / peak)
    assert np.mean(spreads) == pytest.approx(0.033, abs=0.005)
    assert np.mean(ghosts) == pytest.approx(0.12, abs=0.03)


def test_quadratic_background_vanishes():
    y, x = np.indices((DETECTOR, DETECTOR)) / DETECTOR
    background = 5 + 3 * x - 2 * y + 4 * x * y - 3 * x**2 + y**2
    snr = decoder(0).snr(background[None])[0]
    assert np.abs(snr[coding_fraction() > 0.05]).max() < 0.01


def test_one_pixel_is_decoded_like_the_whole_sky():
    rng = np.random.default_rng(2)
    counts = rng.poisson(20 + 10 * shadow(mask_pattern(1), 40, 120))
    signal, variance = decoder(1).decode(counts[None])
    for row, column in [*PLACES, (40, 120), (3, 190)]:
        at = decoder(1).at(counts, row, column)
        assert at == pytest.approx((signal[0, row, column], variance[0, row, column]), rel=1e-3, abs=0.5)


def test_variance_is_that_of_many_draws():
    rng = np.random.default_rng(3)
    expected = 5 + 4 * shadow(mask_pattern(0), 70, 130)
    draws = np.array([decoder(0).at(rng.poisson(expected), 99, 60) for _ in range(300)])
    # the formula leaves out a product that is not zero: it is too large by a tenth to a seventh
    assert draws[:, 0].var() / draws[:, 1].mean() == pytest.approx(0.94**2, abs=0.16)


def test_sky_image_is_finite_to_its_border():
    counts = np.random.default_rng(4).poisson(1.0, (2, DETECTOR, DETECTOR))
    snr = decoder(0).snr(counts)
    assert snr.shape == (2, SKY, SKY)
    assert np.isfinite(snr).all()
    assert np.isfinite(decoder(0).snr(np.zeros((1, DETECTOR, DETECTOR)))).all()
