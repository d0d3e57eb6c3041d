import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.published import (
    ctlearn,
    ctlearn_after_cuts,
    published_for,
    random_forest_direction,
    random_forest_energy,
)

MODES = ["mono_tel1", "mono_tel2", "stereo"]


@pytest.mark.parametrize("mode", MODES)
def test_published_curve_has_a_source_and_equals_it(mode, test_data):
    curve = random_forest_energy(mode)
    assert "sst1mpipe 0.7.1" in curve.meta["source"]
    assert "published" in curve.meta["label"]
    source = QTable.read(test_data / "performance" / "sst1mpipe_random_forest_zenith20.csv", format="ascii.csv")
    source = source[source["mode"] == mode]
    np.testing.assert_allclose(curve["true_energy_low"].to_value("TeV"), source["energy_low_tev"])
    np.testing.assert_allclose(curve["quantile_68"], source["energy_resolution"])
    np.testing.assert_allclose(curve["bias"], source["energy_bias"])


@pytest.mark.parametrize("mode", MODES)
def test_published_directions_have_a_source_and_equal_it(mode, test_data):
    curve = random_forest_direction(mode)
    assert "sst1mpipe 0.7.1" in curve.meta["source"]
    source = QTable.read(test_data / "performance" / "sst1mpipe_random_forest_zenith20.csv", format="ascii.csv")
    source = source[source["mode"] == mode]
    np.testing.assert_allclose(curve["true_energy_low"].to_value("TeV"), source["energy_low_tev"])
    np.testing.assert_allclose(curve["angular_resolution"].to_value("deg"), source["angular_resolution_deg"])


@pytest.mark.parametrize("chosen", [*MODES, None])
def test_whole_events_are_drawn_beside_the_stereo_forest(chosen):
    parameters = EvaluationParameters(published_curve=chosen)
    assert published_for("mono", parameters) == chosen
    assert published_for("stereo", parameters) == (chosen and "stereo")


def test_stereo_is_better_than_mono():
    mono, stereo = random_forest_energy("mono_tel1"), random_forest_energy("stereo")
    inside = (mono["true_energy_low"].to_value("TeV") > 1.5) & (mono["true_energy_high"].to_value("TeV") < 100)
    assert np.all(stereo["quantile_68"][inside] < mono["quantile_68"][inside])
    mono, stereo = random_forest_direction("mono_tel1"), random_forest_direction("stereo")
    assert np.all(stereo["angular_resolution"][inside] < mono["angular_resolution"][inside])


@pytest.mark.parametrize("curve", [random_forest_direction, random_forest_energy])
def test_unknown_mode_is_refused(curve):
    with pytest.raises(ValueError, match=r"mono_tel1.*Received: 'trio'"):
        curve("trio")


def test_ctlearn_points_have_their_sources():
    for quantity, mode, n in (
        ("auc", "mono", 1),
        ("auc", "stereo", 2),
        ("angular_resolution", "stereo", 4),
        ("energy_resolution", "stereo", 2),
        ("energy_resolution", "mono", 0),
    ):
        points = ctlearn(quantity, mode)
        assert len(points) == n
        assert mode in points.meta["label"]
        assert "no cuts" in points.meta["label"]
        assert all(points["source"])
    directions = ctlearn("angular_resolution", "stereo")
    np.testing.assert_allclose(directions["true_energy_low"].to_value("TeV"), [0.9, 2, 5.5, 40])
    assert ctlearn("auc", "mono")["value"][0] == 0.853


def test_ctlearns_figures_after_cuts_say_what_they_hold_for():
    for quantity, low, high, energy in (
        ("angular_resolution", 0.072 * u.deg, 0.08 * u.deg, np.nan),
        ("energy_resolution", 0.09, 0.09, np.nan),
        ("sensitivity", 1.8e-12 * u.erg / u.cm**2 / u.s, 1.8e-12 * u.erg / u.cm**2 / u.s, 10),
    ):
        found = ctlearn_after_cuts(quantity)
        assert found.meta["label"] == "CTLearn, stereo (published; after cuts)"
        assert found.meta["observation_hours"] == 50
        assert u.isclose(found["low"][0], low)
        assert u.isclose(found["high"][0], high)
        np.testing.assert_equal(found["energy"].to_value("TeV"), [energy])
        assert all(found["source"])
