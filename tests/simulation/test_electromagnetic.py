import numpy as np
import pytest

from cherenkov_pipeline.simulation.electromagnetic import electron_spectrum, shower_age, shower_size


@pytest.mark.parametrize("energy", [100.0, 1e4])
def test_profile_has_its_maximum_at_age_one(energy):
    log_energy = np.log(energy / 0.085)
    t = np.linspace(1, 40, 4000)
    sizes = np.array([shower_size(log_energy, x) for x in t])
    assert shower_age(log_energy, t[sizes.argmax()]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("energy", [100.0, 1e4])
def test_track_length_carries_the_energy(energy):
    log_energy = np.log(energy / 0.085)
    t = np.linspace(0.01, 80, 8000)
    track = np.sum([shower_size(log_energy, x) for x in t]) * (t[1] - t[0])
    assert track * 0.085 == pytest.approx(energy, rel=0.15)


def test_older_showers_have_softer_electrons():
    energies = np.geomspace(1, 1e5, 200)
    spectra = [electron_spectrum(energies, age) for age in (0.8, 1.0, 1.2)]
    means = [np.average(np.log(energies), weights=spectrum) for spectrum in spectra]
    assert means[0] > means[1] > means[2]
    for spectrum in spectra:
        assert spectrum.sum() * np.log(energies[1] / energies[0]) == pytest.approx(1)
