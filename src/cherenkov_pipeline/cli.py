"""The project's commands: Kedro's own `kedro run`, which tells a user's error in one line, `kedro alerts` and
`kedro cluster`.
"""

import copy
import difflib
import errno
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS
from kedro.validation.exceptions import ParameterValidationError

from cherenkov_pipeline.alerts.commands import alerts
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.runners.commands import choose_runner, cluster


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
            return " ".join(str(cause).split())
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"No space left ({cause.filename or cause}): free some, or set CHERENKOV_DATA to another disk."
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _speaking(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def run(*, pipeline: str, pipelines: list[str], **options: Any) -> Any:
        # both spellings stay: Kedro deprecates the one that people type
        names = [name for name in (pipeline, *pipelines) if name]
        _check_names(names)
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


def _check_names(names: Iterable[str]) -> None:
    from kedro.framework.project import pipelines

    for name in names:
        if name not in pipelines:
            near = difflib.get_close_matches(name, pipelines, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(pipelines))}."
            raise click.ClickException(f"Unknown pipeline '{name}': {hint}")


run = copy.copy(kedro_run)
run.callback = _speaking(kedro_run.callback)
cli.add_command(run)
cli.add_command(alerts)
cli.add_command(cluster)
