"""`kedro run` tells a user's error, and what does not exist, in one line."""

import re

import click
import pytest
from kedro.pipeline import Node, Pipeline

from cherenkov_pipeline.cli import _speaking
from cherenkov_pipeline.errors import UserError

PIPELINE = Pipeline(
    [
        Node(lambda x: x, "showers", "images", name="image", tags="light", namespace="one"),
        Node(lambda x: x, "images", "energies", name="reconstruct", tags="heavy"),
    ]
)


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
