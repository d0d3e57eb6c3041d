import astropy.units as u
import pytest
from pydantic import ValidationError

from cherenkov_pipeline.simulation import Production, SimulationParameters

GAMMA = {
    "particle": "gamma",
    "n_files": 1,
    "n_showers": 10,
    "energy_min": "1 TeV",
    "energy_max": "10 TeV",
    "core_radius": "200 m",
}


def test_units_are_converted():
    production = Production(**{**GAMMA, "energy_min": "300 GeV"})
    assert production.energy_min == 0.3 * u.TeV
    assert SimulationParameters(training={}, test={}).electronics.night_sky_rate.unit == u.Unit("1 / ns")


@pytest.mark.parametrize(
    "change",
    [
        {"energy_min": "20 TeV"},
        {"energy_min": 1},
        {"particle": "iron"},
        {"viewcone_radius": "5 deg", "source_offset": "0.5 deg"},
        {"n_shower": 10},
    ],
)
def test_contradictions_are_refused(change):
    with pytest.raises(ValidationError):
        Production(**{**GAMMA, **change})


def test_a_threshold_in_the_night_sky_is_refused():
    bright = {"night_sky_rate": "0.5 / ns"}
    with pytest.raises(ValidationError, match="set trigger_threshold to 59 ") as caught:
        SimulationParameters(training={}, test={}, electronics=bright)
    assert caught.value.error_count() == 1
    SimulationParameters(training={}, test={}, electronics={**bright, "trigger_threshold": 59})


def test_a_production_is_for_training_or_for_tests():
    with pytest.raises(ValidationError, match="either for training or for tests"):
        SimulationParameters(training={"gamma": GAMMA}, test={"gamma": GAMMA})
