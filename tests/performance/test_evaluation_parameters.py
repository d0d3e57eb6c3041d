from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from cherenkov_pipeline.performance.parameters import EvaluationParameters


def test_configuration_file_holds_the_defaults():
    path = Path(__file__).parents[2] / "conf" / "base" / "parameters" / "evaluation.yml"
    assert EvaluationParameters(**yaml.safe_load(path.read_text())["evaluation"]) == EvaluationParameters()


@pytest.mark.parametrize(
    "wrong",
    [
        {"energy_min": "2 TeV", "energy_max": "1 TeV"},
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
