"""The command line tells a user's error in one line."""

import errno
from itertools import pairwise

import click
import pytest
from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError

from cherenkov_pipeline.cli import _speaking, one_line
from cherenkov_pipeline.errors import UserError


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


def test_invalid_parameters_become_one_line():
    assert one_line(ParameterValidationError("epochs:\n  - must be positive")) == "epochs: - must be positive"


def test_faults_of_the_program_keep_their_traceback():
    def fail(**options):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _speaking(fail)(pipeline="", pipelines=[])


def test_user_error_ends_without_traceback():
    def fail(**options):
        raise UserError("Put it right.")

    with pytest.raises(click.ClickException, match="Put it right"):
        _speaking(fail)(pipeline="", pipelines=[])


@pytest.mark.parametrize(
    "options", [{"pipeline": "simulation", "pipelines": []}, {"pipeline": "", "pipelines": ["simulation"]}]
)
def test_both_spellings_of_pipeline_work(options, monkeypatch):
    monkeypatch.setattr("kedro.framework.project.pipelines", {"simulation": None})
    assert _speaking(lambda **options: options)(**options) == {"pipeline": "", "pipelines": ["simulation"]}
