import pytest
from pydantic import ValidationError

from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters


def test_default_is_the_talk():
    parameters = AlertSimulationParameters()
    assert parameters.n_images == 540
    assert parameters.causes["grb"] + parameters.causes["known_source"] == pytest.approx(0.617)
    assert parameters.causes["grb"] / parameters.causes["known_source"] == pytest.approx(72 / 379)
    assert sum(parameters.causes.values()) == pytest.approx(1)


def test_shares_are_scaled():
    parameters = AlertSimulationParameters(causes={"grb": 3, "ghost": 1}, sequences=(1, 1))
    assert parameters.causes == {"grb": 0.75, "ghost": 0.25}
    assert parameters.sequences == (0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"n_images": 0}, "greater than or equal to 1"),
        ({"causes": {"meteor": 1}}, "unknown: meteor"),
        ({"causes": {"grb": 0}}, "not all 0"),
        ({"causes": {"grb": 2, "ghost": -1}}, "0 or more"),
        ({"sequences": ()}, "at least 1"),
        ({"mask_patterns": (-1,)}, "from 0 on"),
        ({"mask_patterns": (0, 3)}, "held_back_pattern"),
        ({"mask_patterns": (3,)}, "held_back_pattern"),
        ({"trigger": {"smallest_coding_fraction": 0}}, "greater than 0"),
        ({"sources": {"faintest": 70}}, "faintest"),
        ({"bands": {"all": {"background": "2000", "crab": "540 / s"}}}, "1 / s"),
        ({"bands": {}}, "at least 1"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_nonsense_is_refused(changes, problem):
    with pytest.raises(ValidationError, match=problem):
        AlertSimulationParameters(**changes)
