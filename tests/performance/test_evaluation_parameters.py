from pathlib import Path

import astropy.units as u
import pytest
import yaml
from pydantic import ValidationError

from cherenkov_pipeline.performance.binning import energy_edges
from cherenkov_pipeline.performance.parameters import EvaluationParameters


def test_configuration_file_holds_the_defaults():
    path = Path(__file__).parents[2] / "conf" / "base" / "parameters" / "evaluation.yml"
    assert EvaluationParameters(**yaml.safe_load(path.read_text())["evaluation"]) == EvaluationParameters()


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
