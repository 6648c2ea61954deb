"""Real agents and trackers on loopback, to be killed and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cli
from compiler.runtime.rpc.address import Address, Way

ROOT = Path(cli.__file__).parent
KEY = "board"


class Program:
    """`edgetune serve` or `edgetune tracker` as a process; `port` stays the same when it is started again."""

    def __init__(self, *command: str, cpus: Sequence[int] = ()) -> None:
        self.port = 0
        self._command = command
        self._cpus = cpus
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    @property
    def way(self) -> Way:
        return Way(self.address)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start it, without waiting until it is ready."""
        command = [sys.executable, str(ROOT / "cli.py"), *self._command, "--port", str(self.port)]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            preexec_fn=(lambda: os.sched_setaffinity(0, self._cpus)) if self._cpus else None,
        )

    def start(self) -> Program:
        """Start it, and wait until it is ready."""
        self.launch()
        return self.ready()

    def ready(self) -> Program:
        """Wait until it is ready."""
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self._command} has ended"
        self.port = int(line.rpartition(":")[2])
        return self

    def kill(self) -> None:
        """Kill -9: the agent alone, whose sessions have to end by themselves."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=30)
        self.kill()


@contextmanager
def running(*programs: Program) -> Iterator[None]:
    """The programs, which end with it."""
    try:
        for program in programs:
            program.launch()
        for program in programs:
            program.ready()
        yield
    finally:
        for program in programs:
            program.stop()


def agent(tracker: Program | None = None, cpus: Sequence[int] = ()) -> Program:
    """An agent, with a tracker one of the key KEY."""
    more = ("--key", KEY, "--tracker", str(tracker.address)) if tracker is not None else ()
    return Program("serve", *more, cpus=cpus)


def tracker() -> Program:
    return Program("tracker")


__all__ = ["KEY", "Program", "agent", "running", "signal", "tracker"]
