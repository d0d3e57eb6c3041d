import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters

CONFIGURATION = Path(__file__).parents[2] / "conf" / "base" / "parameters"


@pytest.mark.parametrize(("key", "model"), [("dl1", DL1Parameters), ("selection", SelectionParameters)])
def test_configuration_states_the_defaults(key, model):
    written = yaml.safe_load((CONFIGURATION / f"{key}.yml").read_text())[key]

    assert model.model_validate(written).model_dump(mode="json") == model().model_dump(mode="json")
    assert set(written) == set(model.model_fields), "each parameter stands in the file"


@pytest.mark.parametrize(
    "wrong",
    [
        {"cleaning": {"picture_threshold_pe": 3}},
        {"cleaning": {"time_limit": "8 m"}},
        {"cleaning": {"time_limit": 8}},
        {"calibration": {"window_width": 0}},
        {"calibration": {"image_extractor": "NoSuchExtractor"}},
        {"keep": {"images": False, "parameters": False}},
        {"telescope_types": []},
        {"telescope_ids": []},
        {"merge_into": 0},
        {"on_truncated": "perhaps"},
        {"picture_threshold": 8},
    ],
)
def test_dl1_refuses(wrong):
    with pytest.raises(ValidationError):
        DL1Parameters.model_validate(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quality": {"cut": "true_energy > 1"}}, "move it to truth"),
        ({"quality": {"cut": "hillas_width"}}, "no comparison"),
        ({"truth": {"cut": "0.1 < true_energy < 1"}}, "one comparison"),
        ({"min_telescopes": 0}, "greater than or equal to 1"),
        ({"telescope_ids": []}, "at least one"),
    ],
)
def test_selection_refuses(wrong, message):
    with pytest.raises(ValidationError, match=message):
        SelectionParameters.model_validate(wrong)


def test_null_takes_a_cut_away():
    assert SelectionParameters(quality={"a": "hillas_width > 0", "b": None}).quality == {"a": "hillas_width > 0"}


def test_parameters_are_light():
    heavy = "{'ctapipe', 'tables', 'numba', 'matplotlib', 'keras'}"
    code = f"import sys, cherenkov_pipeline.dl1.parameters; print({heavy} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
