"""A tracker in a process of its own, as `edgetune tracker` runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cli
from compiler.runtime.rpc.address import Address, parse_address


class Tracker:
    """A running tracker: where it listens, its process, its log."""

    def __init__(self, process: subprocess.Popen[str], address: Address, log: Path) -> None:
        self.process = process
        self.address = address
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


@contextmanager
def running(port: int = 0) -> Iterator[Tracker]:
    """A tracker at `port`, by default a free one, ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="edgetune-test-tracker-") as folder:
        log = Path(folder) / "log"
        command = [sys.executable, str(Path(cli.__file__)), "tracker", "--port", str(port)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ}
            )
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            assert line.startswith("tracking on 127.0.0.1:"), f"{line}\n{log.read_text()}"
            yield Tracker(process, parse_address(line.removeprefix("tracking on "), 1), log)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
