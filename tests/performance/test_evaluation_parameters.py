from pathlib import Path

import astropy.units as u
import pytest
import yaml
from omegaconf import OmegaConf
from pydantic import ValidationError

from cherenkov_pipeline.performance.binning import energy_edges
from cherenkov_pipeline.performance.parameters import EvaluationParameters

CONFIGURATION = Path(__file__).parents[2] / "conf" / "base" / "parameters" / "evaluation.yml"


def test_configuration_file_holds_the_defaults():
    assert EvaluationParameters(**yaml.safe_load(CONFIGURATION.read_text())["evaluation"]) == EvaluationParameters()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (None, {}),
        ({"proton": None}, {"gamma": "CRAB_HEGRA"}),
        ({"gamma": -2.6}, {"gamma": -2.6, "proton": "DAMPE_P_He_SPECTRUM"}),
    ],
)
def test_weighting_is_switched_off_where_environments_are_merged(changed, expected):
    """An environment's file adds to the block in base, so that an empty one there changes nothing."""
    base = yaml.safe_load(CONFIGURATION.read_text())
    merged = OmegaConf.to_container(OmegaConf.merge(base, {"evaluation": {"spectra": changed}}))
    assert EvaluationParameters(**merged["evaluation"]).spectra == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"energy_min": "2 TeV", "energy_max": "1 TeV"},
        {"energy_min": "1 TeV", "energy_max": "1.2 TeV"},
        {"energy_min": "1 TeV", "energy_max": "1.58 TeV"},
        {"energy_min": "1 TeV", "energy_max": "2 TeV", "migration_bins_per_decade": 3},
        {"energy_min": 0.1},
        {"energy_min": "0.1 m"},
        {"resamples": 3},
        {"confidence": 95},
        {"published_curve": "trio"},
        {"colour": "blue"},
        {"spectra": {"gamma": "a line"}},
        {"spectra": {"photon": None}},
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        EvaluationParameters(**wrong)


@pytest.mark.parametrize("low", ["0.1 TeV", "1 TeV", "30 GeV", "7 TeV"])
@pytest.mark.parametrize("per_decade", [1, 3, 5, 7])
def test_narrowest_range_is_one_bin(low, per_decade):
    """What is accepted has a bin: no table is empty, and no report ends at its first row."""
    low, width = u.Quantity(low), 10 ** (1 / per_decade)
    bins = {"bins_per_decade": per_decade, "migration_bins_per_decade": per_decade}
    assert len(energy_edges(EvaluationParameters(energy_min=low, energy_max=width * low, **bins))) == 2
    with pytest.raises(ValidationError, match="no whole bin"):
        EvaluationParameters(energy_min=low, energy_max=0.99 * width * low, **bins)
