"""The exceptions that speak to the user."""


class UserError(Exception):
    """Something that the user can put right: what is wrong, where, and what to do.

    The message is one line. The command line prints it alone, without a traceback.
    """


class TemporaryError(UserError):
    """What the same work, begun again, may not meet: another process is at it, or the disk is full."""
