"""The project's commands: Kedro's own `kedro run`, which tells a user's error in one line, `kedro alerts` and
`kedro cluster`.
"""

import copy
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS
from kedro.pipeline import Pipeline
from kedro.utils import load_obj

from cherenkov_pipeline.alerts.commands import alerts
from cherenkov_pipeline.errors import which_instead
from cherenkov_pipeline.mistakes import told_in_one_line
from cherenkov_pipeline.runners.commands import RUNNER, choose_runner, cluster

PARTS = {
    "node_names": ("node", "node_names"),
    "from_nodes": ("node", "from_nodes"),
    "to_nodes": ("node", "to_nodes"),
    "from_inputs": ("dataset", "from_inputs"),
    "to_outputs": ("dataset", "to_outputs"),
    "tags": ("tag", "tags"),
    "namespaces": ("namespace", "node_namespaces"),
}
"""Option of ``kedro run`` that takes a part of a pipeline -> what it names, and Kedro's name of the filter."""

KNOWN: dict[str, Callable[[Pipeline], set[str]]] = {
    "node": lambda pipeline: {node.name for node in pipeline.nodes},
    "dataset": lambda pipeline: pipeline.datasets(),
    "tag": lambda pipeline: {tag for node in pipeline.nodes for tag in node.tags},
    "namespace": lambda pipeline: {node.namespace for node in pipeline.nodes if node.namespace},
}
"""What a pipeline has of each kind."""


@click.group(context_settings=CONTEXT_SETTINGS, name="cherenkov-pipeline")
def cli() -> None:
    """Commands of the project."""


def _speaking(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def run(*, pipeline: str, pipelines: list[str], **options: Any) -> Any:
        # both spellings stay: Kedro deprecates the one that people type
        names = [name for name in (pipeline, *pipelines) if name]
        _check_names(names, options)
        with told_in_one_line():
            return callback(pipeline="", **choose_runner({**options, "pipelines": names}))

    return run


def _check_names(names: Sequence[str], options: Mapping[str, Any]) -> None:
    """Refuse pipelines, parts of them, datasets and runners that do not exist."""
    from kedro.framework.project import pipelines

    if options.get("runner"):
        _check_runner(options["runner"])

    for name in names:
        _check_known("pipeline", name, pipelines)
    if versions := options.get("load_versions"):
        datasets = sum(pipelines.values(), Pipeline([])).datasets()
        for name in versions:
            _check_known("dataset", name, datasets)
    if parts := {option: options[option] for option in PARTS if options.get(option)}:
        _check_parts(sum((pipelines[name] for name in names or ["__default__"]), Pipeline([])), parts)


def _check_runner(name: str) -> None:
    try:
        load_obj(name, "kedro.runner")
    except (ImportError, AttributeError, ValueError) as error:
        known = ("SequentialRunner", "ParallelRunner", "ThreadRunner", RUNNER)
        raise click.ClickException(f"Unknown runner '{name}': {which_instead(name, known)}") from error


def _check_parts(pipeline: Pipeline, parts: Mapping[str, Sequence[str]]) -> None:
    for option, names in parts.items():
        kind, _ = PARTS[option]
        for name in names:
            _check_known(kind, name, KNOWN[kind](pipeline))
    try:
        pipeline.filter(**{PARTS[option][1]: names for option, names in parts.items()})
    except ValueError as error:  # each is there, but nothing is all of them
        raise click.ClickException(str(error)) from error


def _check_known(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise click.ClickException(f"Unknown {kind} '{name}': {which_instead(name, known)}")


run = copy.copy(kedro_run)
run.callback = _speaking(kedro_run.callback)
cli.add_command(run)
cli.add_command(alerts)
cli.add_command(cluster)
