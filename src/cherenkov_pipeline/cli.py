"""The project's commands: Kedro's own `kedro run`, which tells a user's error in one line, and `kedro alerts`."""

import copy
import difflib
import errno
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS
from kedro.validation.exceptions import ParameterValidationError

from cherenkov_pipeline.alerts.commands import alerts
from cherenkov_pipeline.errors import UserError


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
        try:
            return callback(pipeline="", pipelines=names, **options)
        except Exception as error:
            line = one_line(error)
            if line is None:
                raise
            raise click.ClickException(line) from error

    return run


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
