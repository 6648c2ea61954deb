"""Agents of every kind, started as processes of their own, for tests that hold both kinds to the protocol."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import pytest

import cli
from compiler.runtime.rpc.address import Address, Way, parse_address
from compiler.runtime.rpc.connect import Connection, connect
from compiler.runtime.rpc.dial import ask_status
from targets import cpuinfo

ROOT = Path(cli.__file__).parent


@dataclass(frozen=True)
class Kind:
    """A kind of agent. `command` is what starts it, without options (called once a test session, and may skip).

    `target` is what its candidates are built for, `triple` what small libraries are (None: this machine); `full` is
    whether it passes every test, or only those marked as essential.
    """

    name: str
    command: Callable[[], list[str]]
    target: str = "native"
    triple: str | None = None
    full: bool = True
    environment: dict[str, str] = field(default_factory=dict, hash=False)


def _python() -> list[str]:
    return [sys.executable, str(ROOT / "cli.py"), "serve"]


@lru_cache(maxsize=1)
def _native() -> list[str]:
    from compiler.runtime.agent.bundle import cached_bundle
    from targets.toolchain import linker_command

    if linker_command() is None:
        pytest.skip("no C++ compiler to build the native agent with")
    return [str(cached_bundle(cpuinfo.machine()) / "edgetune-agent")]


def _emulated() -> list[str]:
    from tests.runtime.emulation import board

    try:
        return board.native_agent()
    except board.UnavailableError as error:
        pytest.skip(f"no emulated board: {error}")


KINDS: list[Kind] = [
    Kind("python", _python),
    Kind("native", _native),
    Kind("native-emulated", _emulated, target="arm-cortex-a78ae", triple="aarch64-linux-gnu", full=False),
]
"""Each is held to the same tests."""


class Agent:
    """A running agent: where it listens, its processes, its log."""

    def __init__(self, kind: Kind, process: subprocess.Popen[str], address: Address, log: Path) -> None:
        self.kind = kind
        self.process = process
        self.address = address
        self._log = log

    @property
    def log(self) -> str:
        """What it has written to standard error so far."""
        return self._log.read_text(errors="replace")

    def status(self) -> dict[str, Any]:
        return ask_status(self.address, 60.0)

    def connect(self, limit: float | None = None, patience: float = 60.0) -> Connection:
        return connect(Way(self.address), limit_seconds=limit, patience=patience)

    def processes(self) -> list[int]:
        """The agent and all its descendants."""
        return [self.process.pid, *descendants(self.process.pid)]

    def resident_bytes(self) -> int:
        """Resident memory of its processes together."""
        return sum(_resident(pid) for pid in self.processes())


@contextmanager
def running(kind: Kind, *options: str, stdin: int | IO[str] | None = None) -> Iterator[Agent]:
    """An agent of `kind` with `options`, on a free port unless they name one, ended afterwards with all it started."""
    with tempfile.TemporaryDirectory(prefix="edgetune-test-agent-") as folder:
        log = Path(folder) / "log"
        port = () if "--port" in options else ("--port", "0")
        with log.open("w") as errors:
            process = subprocess.Popen(
                [*kind.command(), *port, *options],
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **kind.environment, "TMPDIR": folder},
            )
        started: list[int] = []
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line.startswith("listening on "), f"{line}\n{log.read_text()}"
            yield Agent(kind, process, parse_address(line.removeprefix("listening on "), 1), log)
            started = descendants(process.pid)
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
            for pid in started:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The processes that `pid` has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
