"""Spectra of showers that were thrown."""

import numpy as np
import pytest

from cherenkov_pipeline.spectra import flux, sum_thrown, thrown_per_energy


def thrown(n: int, low: float, high: float, power: float) -> dict:
    return {
        "true_shower_primary_id": 0, "n_thrown": n, "energy_min": low, "energy_max": high, "spectral_index": power
    }  # fmt: skip


@pytest.mark.parametrize("power", [-1.0, -1.5, -2.0, -2.7])
def test_the_density_adds_up_to_what_was_thrown(power):
    energy = np.geomspace(0.5, 80, 200_001)
    density = thrown_per_energy([thrown(5000, 0.5, 80, power)], energy)
    assert np.trapezoid(density, energy) == pytest.approx(5000, rel=1e-4)
    np.testing.assert_allclose(density / density[0], (energy / energy[0]) ** power)


def test_productions_add_up_and_end_at_their_edges():
    low, high = thrown(1000, 1, 10, -2.0), thrown(500, 5, 100, -1.5)
    energy = np.array([0.9, 2, 7, 50, 101])
    both = thrown_per_energy([low, high], energy)
    np.testing.assert_allclose(both, thrown_per_energy([low], energy) + thrown_per_energy([high], energy))
    np.testing.assert_array_equal(both > 0, [False, True, True, True, False])


def test_productions_are_of_the_area_and_cone_onto_which_they_were_thrown():
    small, large = ({**thrown(1000, 1, 10, -2.0), "max_impact": radius, "viewcone_max": 5.0} for radius in (400, 800))
    one, other = (thrown_per_energy([part, {**large, "n_thrown": 0}], [2.0]) for part in (small, large))
    assert one / other == pytest.approx(4)
    point = {**small, "viewcone_max": 0.0}
    np.testing.assert_allclose(thrown_per_energy([point, point], [2.0]) / thrown_per_energy([point], [2.0]), 2)
    assert sum_thrown([small, large, large])[1]["n_thrown"] == 2000


def test_an_energy_at_the_edge_was_thrown():
    assert (thrown_per_energy([thrown(10, 0.7, 70, -2)], np.float32([0.7, 70])) > 0).all()


def test_files_of_one_spectrum_are_one():
    files = [thrown(10, 1, 10, -2), thrown(5, 1, 10, -2), thrown(5, 1, 20, -2)]
    assert sum_thrown(files) == [thrown(15, 1, 10, -2), thrown(5, 1, 20, -2)]


def test_a_flux_is_named_or_a_power():
    np.testing.assert_allclose(flux(-2.7, [1, 10]), [1, 10**-2.7])
    crab = flux("CRAB_HEGRA", [1, 10])
    assert crab[0] / crab[1] == pytest.approx(10**2.62)


def test_showers_of_a_wider_cone_are_thinner():
    narrow, wide = ({**thrown(1000, 1, 10, -2.0), "max_impact": 400.0, "viewcone_max": cone} for cone in (5.0, 10.0))
    one, other = (thrown_per_energy([part, {**wide, "n_thrown": 0}], [2.0]) for part in (narrow, wide))
    assert one / other == pytest.approx((1 - np.cos(np.radians(10))) / (1 - np.cos(np.radians(5))))
