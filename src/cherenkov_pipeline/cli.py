"""The project's commands: Kedro's own `kedro run`, which tells a user's error in one line, `kedro alerts` and
`kedro cluster`.
"""

import copy
import errno
import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS
from kedro.pipeline import Pipeline
from kedro.utils import load_obj
from kedro.validation.exceptions import ParameterValidationError

from cherenkov_pipeline.alerts.commands import alerts
from cherenkov_pipeline.errors import UserError, which_instead
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


_PARAMETER = re.compile(r"^- Parameter '(.+?)': (.+?)(?=^- Parameter|\Z)", re.DOTALL | re.MULTILINE)
"""One parameter in the text of a ParameterValidationError."""

_MISTAKE = re.compile(
    r"(?:\n(?P<place>\S.*))?\n  (?P<message>\S.*?) \[type=\w+, input_value=(?P<received>.*), input_type=\w+\]"
)
"""One error in the text of a pydantic ValidationError."""


@click.group(context_settings=CONTEXT_SETTINGS, name="cherenkov-pipeline")
def cli() -> None:
    """Commands of the project."""


def one_line(error: BaseException) -> str | None:
    """Find the line that tells users what to do; None if ``error`` is not of their making.

    Kedro and multiprocessing wrap errors: the whole chain of causes is looked at.
    """
    for cause in _chain(error):
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, ParameterValidationError):
            return parameter_mistakes(str(cause))
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"No space left ({cause.filename or cause}): free some, or set CHERENKOV_DATA to another disk."
        if isinstance(cause, PermissionError) and cause.filename:
            return f"{cause.filename} may not be read or written by you: change its permissions, or take another path."
    return None


def parameter_mistakes(text: str) -> str:
    """Say in one line what Kedro and pydantic say of parameters in many: where, what, and what was received.

    The error that Kedro raises holds nothing but this text.
    """
    found = []
    for parameter, mistakes in re.findall(_PARAMETER, text):
        errors = re.findall(_MISTAKE, mistakes)
        if not errors:
            found.append(f"{parameter}: {mistakes}")
        for place, message, received in errors:
            said = message.removeprefix("Value error, ")
            end = "" if "Received" in said else f". Received: {received}"
            found.append(f"{'.'.join(filter(None, (parameter, place)))}: {said}{end}")
    return " ".join("; ".join(found or [text]).split())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _speaking(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def run(*, pipeline: str, pipelines: list[str], **options: Any) -> Any:
        # both spellings stay: Kedro deprecates the one that people type
        names = [name for name in (pipeline, *pipelines) if name]
        _check_names(names, options)
        with told_in_one_line():
            return callback(pipeline="", **choose_runner({**options, "pipelines": names}))

    return run


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """End the command with the one line of a user's error; others keep their traceback."""
    try:
        yield
    except Exception as error:
        line = one_line(error)
        if line is None:
            raise
        raise click.ClickException(line) from error


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
