"""How a command ends: an exit code, and where it failed, one line that says why."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from compiler.errors import EdgetuneError, UsageError

INTERRUPTED = 130


def run_command(command: click.Command, arguments: Sequence[str]) -> int:
    """Run `command` and return the exit code: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C.

    With `--debug` among the arguments, a failure's exception comes out instead.
    """
    arguments = list(arguments)
    debugging = "--debug" in arguments
    try:
        done = command.main(arguments, prog_name="edgetune", standalone_mode=False)
        return done if isinstance(done, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return UsageError.exit_code
    except click.ClickException as error:
        _fail(error.format_message().replace("\n", " "))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted")
        return INTERRUPTED
    except EdgetuneError as error:
        if debugging:
            raise
        _fail(str(error))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough; closing stderr's twin keeps Python from complaining at exit.
        sys.stdout = None
        return 1
    except Exception as error:
        if debugging:
            raise
        said = " ".join(str(error).split())[:300] or "no message"
        _fail(f"unexpected {type(error).__name__}: {said} (this is a bug of edgetune; --debug shows where)")
        return 1


def _fail(line: str) -> None:
    click.echo(f"error: {line}", err=True)
