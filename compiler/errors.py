"""The errors that a user sees: one line that says what is wrong and what to do."""

from __future__ import annotations


class EdgetuneError(Exception):
    """A failure that the user can act on; the command line prints its one line and exits with `exit_code`."""

    exit_code = 1


class UsageError(EdgetuneError):
    """The command or the call was used wrongly: an unknown name, an option that does not fit, wrong inputs."""

    exit_code = 2
