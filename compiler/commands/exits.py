"""How a command ends: an exit code, and where it failed, one line that says why."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from compiler.commands.early import INTERRUPTED
from compiler.commands.interrupt import Interrupts, noted
from compiler.commands.release import release
from compiler.errors import EdgetuneError, UsageError
from compiler.report.format import printable


def run_command(command: click.Command, arguments: Sequence[str]) -> int:
    """Run `command` and return the exit code: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C.

    With `--debug` among the arguments, a failure's exception comes out instead.
    """
    with noted() as interrupts:
        return _run(command, list(arguments), interrupts)


def _run(command: click.Command, arguments: list[str], interrupts: Interrupts) -> int:
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
    except (KeyboardInterrupt, click.Abort) as error:
        # Click wraps it; who raised it may have said what became of the work.
        said = str(error.__cause__ or error)
        release(error)
        _fail(f"interrupted: {said}" if said else "interrupted")
        return INTERRUPTED
    except EdgetuneError as error:
        if debugging:
            raise
        release(error)
        _fail(f"interrupted: {error}" if interrupts.pending else str(error))
        return INTERRUPTED if interrupts.pending else error.exit_code
    except (OSError, MemoryError) as error:
        if debugging:
            raise
        _drop_output()
        if not isinstance(error, OSError):
            _fail("this machine has not enough memory for this")
        elif error.errno != errno.EPIPE:  # whoever read our output has seen enough: that is no failure to report
            reason = error.strerror or " ".join(str(error).split())[:300] or type(error).__name__
            _fail(f"{error.filename}: {reason}" if error.filename is not None else f"the system refused: {reason}")
        return 1
    except Exception as error:
        if debugging:
            raise
        release(error)
        if interrupts.pending:
            _fail("interrupted")
            return INTERRUPTED
        said = " ".join(str(error).split())[:300] or "no message"
        _fail(f"unexpected {type(error).__name__}: {said} (this is a bug of edgetune; --debug shows where)")
        return 1


def _drop_output() -> None:
    """Send what stdout still holds to nowhere if it cannot be written: Python would try again at exit, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(line: str) -> None:
    click.echo(f"error: {printable(line)}", err=True)
