"""A dask scheduler and its workers, as processes of their own on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

import cli
from tests.waiting import wait_for

ROOT = Path(cli.__file__).parent
START_SECONDS = 120.0


class Cluster:
    """The scheduler at `address`; `worker` starts a worker. All of them end with `close`."""

    def __init__(self, folder: Path, scheme: str = "tcp", environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.scheme = scheme
        self.environment = environment or {}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = folder / "log"
        known = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", f"{scheme}://127.0.0.1", "--scheduler-file", str(known))
        wait_for(lambda: known.exists() and "address" in known.read_text(), START_SECONDS, said=self._said)
        import json

        self.address = str(json.loads(known.read_text())["address"])

    def worker(self, threads: int = 1, preload: str | None = None) -> subprocess.Popen[bytes]:
        """A worker that is connected when this returns. `preload` is Python that it runs before."""
        number = len(self.processes)
        more = []
        if preload is not None:
            script = self.folder / f"preload{number}.py"
            script.write_text(preload)
            more = ["--preload", str(script)]
        said = self.log.read_text().count("Registered to")
        place = self.folder / f"worker{number}"
        made = self._start(
            *("worker", self.address, "--no-nanny", "--nthreads", str(threads), "--local-directory", str(place)),
            *("--host", "127.0.0.1", "--memory-limit", "0", *more),
        )
        wait_for(lambda: self.log.read_text().count("Registered to") > said, START_SECONDS, said=self._said)
        return made

    def close(self) -> None:
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments, "--no-dashboard"]
                + (["--port", "0"] if what == "scheduler" else []),
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    # One scheduler serves whole test modules: nothing of it is to be left over for the next test.
                    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False",
                    **self.environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        self.processes.append(process)
        return process

    def _said(self) -> str:
        return self.log.read_text()[-2000:]


@contextmanager
def cluster(folder: Path, scheme: str = "tcp", environment: dict[str, str] | None = None) -> Iterator[Cluster]:
    made = Cluster(folder, scheme, environment)
    try:
        yield made
    finally:
        made.close()


def builds_of(worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that a dask worker builds in."""
    try:
        children = psutil.Process(worker.pid).children()
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if _builds(child)]


def _builds(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):  # it has just ended
        return "compiler.tuning.worker" in process.cmdline()
    return False
