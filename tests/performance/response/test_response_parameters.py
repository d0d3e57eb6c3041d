"""Parameters of the instrument response."""

from pathlib import Path

import pytest
import yaml

from cherenkov_pipeline.performance.response import ResponseParameters

PROJECT = Path(__file__).parents[3]


def test_the_file_holds_the_defaults():
    block = yaml.safe_load((PROJECT / "conf/base/parameters/instrument_response.yml").read_text())
    assert set(block["instrument_response"]) == set(ResponseParameters.model_fields)
    assert ResponseParameters(**block["instrument_response"]) == ResponseParameters()


def test_theta_cut_must_fit_into_the_background():
    with pytest.raises(ValueError, match="theta_max must be below background_offset"):
        ResponseParameters(theta_max="3 deg")


@pytest.mark.parametrize("shares", [(), (0.0,), (0.5, 1.0)])
def test_shares_are_between_zero_and_one(shares):
    with pytest.raises(ValueError, match="gammaness_efficiencies"):
        ResponseParameters(gammaness_efficiencies=shares)
