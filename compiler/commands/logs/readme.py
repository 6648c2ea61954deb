"""`edgetune logs readme`: the table in a folder of logs."""

from __future__ import annotations

from pathlib import Path

from compiler.errors import UsageError
from compiler.report.output import Output
from compiler.report.steps import steps


def write_readme(output: Output, folder: str) -> None:
    """Make the table in FOLDER/README.md from the logs beside it."""
    from compiler.records import overview

    if not Path(folder).is_dir():
        raise UsageError(f"{folder} is no folder of logs")
    with steps(output) as step:
        step(f"Reading {folder}")
        path = overview.write_readme(Path(folder))
    output.say(f"the table is in {path}")
    output.json([{"file": str(path)}])
