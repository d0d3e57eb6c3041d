import numpy as np
import pytest

from cherenkov_pipeline.simulation.electromagnetic import (
    TRACK_LENGTH,
    draw_development,
    electron_spectrum,
    mean_development,
    relative_size,
    shower_age,
    size_at_maximum,
)


@pytest.mark.parametrize("energy", [1.0, 100.0, 1e4])
def test_profile_has_its_maximum_at_age_one(energy):
    maximum, shape = mean_development(np.log(energy / 0.085))
    t = np.linspace(0.001, 40, 40_000)
    sizes = np.array([relative_size(x, maximum, shape) for x in t])
    assert sizes.max() == pytest.approx(1, abs=1e-4)
    assert shower_age(t[sizes.argmax()], maximum) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("energy", [1.0, 100.0, 1e4])
def test_track_length_carries_the_energy(energy):
    log_energy = np.log(energy / 0.085)
    rng = np.random.default_rng(3)
    t = np.linspace(0.005, 100, 10_000)
    for _ in range(3):  # whatever the fluctuations
        maximum, shape = draw_development(log_energy, rng)
        sizes = size_at_maximum(log_energy, maximum, shape) * np.array([relative_size(x, maximum, shape) for x in t])
        assert sizes.sum() * (t[1] - t[0]) * 0.085 == pytest.approx(TRACK_LENGTH * energy, rel=0.01)


def test_developments_fluctuate_about_the_mean_one():
    log_energy = np.log(1000 / 0.085)
    rng = np.random.default_rng(4)
    drawn = np.array([draw_development(log_energy, rng) for _ in range(20_000)])
    np.testing.assert_allclose(drawn.mean(axis=0), mean_development(log_energy), rtol=0.02)
    maximum, shape = drawn.T
    assert maximum.std() == pytest.approx(0.79, rel=0.05)
    assert np.corrcoef(maximum, np.log(shape - 1))[0, 1] == pytest.approx(0.34, abs=0.03)


@pytest.mark.parametrize("energy", [0.3, 1.0, 10.0])
def test_soft_showers_develop_too(energy):
    rng = np.random.default_rng(5)
    drawn = np.array([draw_development(np.log(energy / 0.085), rng) for _ in range(5000)])
    assert (drawn[:, 0] > 0).all()
    assert (drawn[:, 1] > 1).all()


def test_older_showers_have_softer_electrons():
    energies = np.geomspace(1, 1e5, 200)
    spectra = [electron_spectrum(energies, age) for age in (0.8, 1.0, 1.2)]
    means = [np.average(np.log(energies), weights=spectrum) for spectrum in spectra]
    assert means[0] > means[1] > means[2]
    for spectrum in spectra:
        assert spectrum.sum() * np.log(energies[1] / energies[0]) == pytest.approx(1)
