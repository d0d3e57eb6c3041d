"""What the command line says of errors: one line of those that a user can put right, the traceback of others."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import click
from kedro.validation.exceptions import ParameterValidationError

from cherenkov_pipeline.errors import UserError

_PARAMETER = re.compile(r"^- Parameter '(.+?)': (.+?)(?=^- Parameter|\Z)", re.DOTALL | re.MULTILINE)
"""One parameter in the text of a ParameterValidationError."""

_MISTAKE = re.compile(
    r"(?:\n(?P<place>\S.*))?\n  (?P<message>\S.*?) \[type=\w+, input_value=(?P<received>.*), input_type=\w+\]"
)
"""One error in the text of a pydantic ValidationError."""


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
