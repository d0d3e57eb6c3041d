"""The one exception that speaks to the user."""


class UserError(Exception):
    """Something that the user can put right: what is wrong, where, and what to do.

    The message is one line. The command line prints it alone, without a traceback.
    """
