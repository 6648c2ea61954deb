"""The command, as a user runs it: in a process of its own, or in this one, where the process is not what is tested."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import cli

ROOT = Path(cli.__file__).parent


def edgetune(*arguments: str | Path, check: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a user does. It loads TVM anew, which takes seconds."""
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, env={**os.environ, **environment})
    return _checked(done, check)


def edgetune_here(*arguments: str | Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, where TVM is loaded already."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([str(argument) for argument in arguments])
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return _checked(subprocess.CompletedProcess(list(arguments), code, *said), check)


def one_line(stderr: str) -> str:
    """The error of a failed command, which is the last line and the only one that is an error."""
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, stderr
    assert stderr.rstrip().endswith(errors[0])
    assert "Traceback" not in stderr
    return errors[0]


def _checked(done: subprocess.CompletedProcess[str], check: int | None) -> subprocess.CompletedProcess[str]:
    if check is not None:
        assert done.returncode == check, done.stderr
    return done
