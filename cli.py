"""The front door: `edgetune COMMAND ...`. Parses, calls `compiler.commands`, and turns failures into one line.

Nothing heavy is imported before a command needs it: `--help` takes a fraction of a second.
"""

from __future__ import annotations

# isort: off
from compiler.commands import early  # before all that takes time: Ctrl-C meanwhile is one line, too

# isort: on
import sys
from collections.abc import Sequence

import click

from compiler.command_line import boards, logs, models
from compiler.command_line.options import debug
from compiler.commands.exits import run_command
from compiler.version import tool_version
from compiler.without_torch import keep_out


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(tool_version(), prog_name="edgetune")
@debug
def edgetune() -> None:
    """An ONNX file goes in; a verified, tuned, measured package for a named piece of hardware comes out."""


for command in (
    *(models.tune, models.compile_, models.run, models.bench),
    *(models.report, models.verify, models.inspect, models.targets_),
    logs.logs_,
    *(boards.measure, boards.serve, boards.tracker, boards.deploy, boards.devices),
):
    edgetune.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 for a failure, 2 for wrong use, 130 after Ctrl-C."""
    keep_out()
    return run_command(edgetune, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
early.end()
