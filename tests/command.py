"""The command in a process of its own, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cli

ROOT = Path(cli.__file__).parent


def edgetune(*arguments: str | Path, check: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a user does."""
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, **environment})
    if check is not None:
        assert done.returncode == check, done.stderr
    return done


def one_line(stderr: str) -> str:
    """The error of a failed command, which is the last line and the only one that is an error."""
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, stderr
    assert stderr.rstrip().endswith(errors[0])
    assert "Traceback" not in stderr
    return errors[0]
