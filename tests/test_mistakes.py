"""A user's error is found behind those of others, and told in one line."""

import errno
from itertools import pairwise

import pytest
from kedro.io import DatasetError
from kedro.pipeline import Node, Pipeline
from kedro.validation.exceptions import ParameterValidationError
from kedro.validation.parameter_validator import ParameterValidator

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.mistakes import one_line
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.store.parameters import SplitParameters


def chained(*errors: Exception) -> Exception:
    for cause, error in pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


def test_user_error_is_found_behind_kedros_own():
    error = chained(UserError("The disk is full."), DatasetError("Failed while saving"), RuntimeError("node failed"))
    assert one_line(error) == "The disk is full."


def test_full_disk_is_told_wherever_it_happens():
    error = chained(OSError(errno.ENOSPC, "No space left on device", "report.html"), DatasetError("Failed"))
    assert "report.html" in one_line(error)


def test_a_file_that_is_somebody_elses_is_told_in_one_line():
    error = chained(PermissionError(errno.EACCES, "Permission denied", "run_1.simtel"), DatasetError("Failed"))
    assert one_line(error).startswith("run_1.simtel may not be read")


def validation_error(**raw) -> ParameterValidationError:
    """What Kedro raises of parameters that are written like this."""

    def judge(evaluation: EvaluationParameters, split: SplitParameters) -> str: ...

    pipeline = Pipeline([Node(judge, ["params:evaluation", "params:split"], "verdict", name="judge")])
    with pytest.raises(ParameterValidationError) as raised:
        ParameterValidator({"judge": pipeline}).validate_raw_params(raw)
    return raised.value


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (
            {"evaluation": {"resamples": 1}},
            "evaluation.resamples: Input should be greater than or equal to 100. Received: 1",
        ),
        (
            {"evaluation": {"energy_min": "1 TeV", "energy_max": "1.2 TeV"}},
            "evaluation: energy_min to energy_max holds no whole bin: 5 a decade need a factor 1.58 between them."
            " Received: 1.0 TeV, 1.2 TeV",
        ),
        (
            {"evaluation": {"seeds": 1, "resamples": "many"}, "split": {"train": 2}},
            "evaluation.resamples: Input should be a valid integer, unable to parse string as an integer."
            " Received: 'many'; evaluation.seeds: Extra inputs are not permitted. Received: 1;"
            " split.train: Input should be less than or equal to 1. Received: 2",
        ),
        ({"evaluation": None}, "evaluation: value is None but type is not Optional"),
    ],
)
def test_invalid_parameters_become_one_line(raw, line):
    assert one_line(validation_error(**raw)) == line
