"""The exceptions that speak to the user, and what they say of a name that does not exist."""

import difflib
from collections.abc import Collection

FEW = 60
"""Names that one line still lists, such as those of all pipelines."""


class UserError(Exception):
    """Something that the user can put right: what is wrong, where, and what to do.

    The message is one line. The command line prints it alone, without a traceback.
    """


class TemporaryError(UserError):
    """What the same work, begun again, may not meet: another process is at it, or the disk is full."""


LONGEST = 500
"""Characters of an exception of someone else's that one line still repeats."""


def reason(error: BaseException) -> str:
    """Type and message of an exception, in one line; the type alone where it has no message."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:LONGEST]


def which_instead(name: str, known: Collection[str]) -> str:
    """End a line about a name that is not ``known``: the one that was meant, or those there are if they are few."""
    if near := difflib.get_close_matches(name, known, n=1):
        return f"did you mean '{near[0]}'?"
    return (
        f"known are {', '.join(sorted(known))}." if len(known) <= FEW else f"it is none of the {len(known)} there are."
    )
