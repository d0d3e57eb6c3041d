"""The command line tells a user's error in one line."""

import errno
import re
from itertools import pairwise

import click
import pytest
from kedro.io import DatasetError
from kedro.pipeline import Node, Pipeline
from kedro.validation.exceptions import ParameterValidationError
from kedro.validation.parameter_validator import ParameterValidator

from cherenkov_pipeline.cli import _speaking, one_line
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.store.parameters import SplitParameters

PIPELINE = Pipeline(
    [
        Node(lambda x: x, "showers", "images", name="image", tags="light", namespace="one"),
        Node(lambda x: x, "images", "energies", name="reconstruct", tags="heavy"),
    ]
)


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
    monkeypatch.setattr("kedro.framework.project.pipelines", {"simulation": PIPELINE})
    assert _speaking(lambda **options: options)(**options) == {"pipeline": "", "pipelines": ["simulation"]}


@pytest.mark.parametrize(
    ("option", "name", "line"),
    [
        ("pipelines", "simulatoin", "Unknown pipeline 'simulatoin': did you mean 'simulation'?"),
        ("node_names", "reconstrct", "Unknown node 'reconstrct': did you mean 'reconstruct'?"),
        ("from_nodes", "x", "Unknown node 'x': known are one.image, reconstruct."),
        ("to_nodes", "x", "Unknown node 'x'"),
        ("from_inputs", "image", "Unknown dataset 'image': did you mean"),
        ("to_outputs", "energy", "Unknown dataset 'energy': did you mean 'energies'?"),
        ("tags", "heavi", "Unknown tag 'heavi': did you mean 'heavy'?"),
        ("namespaces", "two", "Unknown namespace 'two': known are one."),
    ],
)
def test_names_that_do_not_exist_are_told_with_those_that_do(option, name, line, monkeypatch):
    monkeypatch.setattr("kedro.framework.project.pipelines", {"simulation": PIPELINE})
    options = {"pipeline": "", "pipelines": ["simulation"], option: [name]}
    with pytest.raises(click.ClickException, match=re.escape(line)):
        _speaking(lambda **_: pytest.fail("it runs"))(**options)


def test_a_version_is_one_of_a_dataset(monkeypatch):
    monkeypatch.setattr("kedro.framework.project.pipelines", {"__default__": PIPELINE})
    run = _speaking(lambda **options: options["load_versions"])
    assert run(pipeline="", pipelines=[], load_versions={"images": "2024"}) == {"images": "2024"}
    with pytest.raises(click.ClickException, match="Unknown dataset 'shower': did you mean"):
        run(pipeline="", pipelines=[], load_versions={"shower": "2024"})


@pytest.mark.parametrize("name", ["ParalelRunner", "cherenkov_pipeline.nowhere.Runner", ".Runner"])
def test_a_runner_that_does_not_exist_is_told_with_those_that_do(name, monkeypatch):
    monkeypatch.setattr("kedro.framework.project.pipelines", {"simulation": PIPELINE})
    with pytest.raises(click.ClickException, match=re.escape(f"Unknown runner '{name}': ")):
        _speaking(lambda **_: pytest.fail("it runs"))(pipeline="", pipelines=["simulation"], runner=name)


def test_parts_that_have_nothing_in_common_are_refused(monkeypatch):
    monkeypatch.setattr("kedro.framework.project.pipelines", {"__default__": PIPELINE})
    with pytest.raises(click.ClickException, match="no nodes"):
        _speaking(lambda **_: pytest.fail("it runs"))(
            pipeline="", pipelines=[], tags=["light"], from_nodes=["reconstruct"]
        )
