"""Worker processes of a tuning session, as their owner sees them: started once, watched, replaced when they die.

A time-out and a crash are outcomes, not exceptions: whatever a candidate does, the session goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

START_SECONDS = 120.0  # for a worker to load TVM
# What a worker is for: see compiler/tuning/worker.
DESK, BOARD, EXAMINER, COMPARER, MEASURER = "desk", "board", "examiner", "comparer", "measurer"
CONFINED = (EXAMINER, COMPARER)
"""What comes from elsewhere may have taken such a process over."""


MAX_ANSWER = 1 << 20  # bytes of a confined one's


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its result, or `error`, one line (`timed out after 10 s`, `crashed: SIGSEGV`, ...)."""

    value: Any = None
    error: str | None = None


_OF_GPUS = ("CUDA", "cuda", "GPU")  # in what TVM, the driver and we say when a GPU fails


def gpu_failed(error: str) -> bool:
    """Whether an outcome's error may be CUDA's, which then fails whatever the same process asks of it from then on."""
    return any(word in error for word in _OF_GPUS)


class Worker:
    """One worker process with TVM loaded, computing with `threads` threads.

    With the role `board` it computes nothing, and loads TVM's runtime alone. With the role `examiner` it applies traces
    that came from elsewhere, within limits that it sets itself (compiler/records/trust/limits.py), as `comparer` it
    runs their kernels, too. With the role `measurer` it measures on this machine as an agent does, with TVM's runtime
    alone.
    """

    def __init__(self, threads: int, role: str = DESK) -> None:
        self.threads = threads
        self.role = role
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: Connection | None = None
        self.ready = False

    def start(self) -> None:
        """Start the process if it is not running; it loads TVM while its first job waits."""
        if self.process is not None and self.process.poll() is None:
            return
        self.stop()
        ours, theirs = socket.socketpair()
        package_root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (package_root, os.environ.get("PYTHONPATH", "")) if p)
        env = {**os.environ, "PYTHONPATH": path, "TVM_NUM_THREADS": str(self.threads)}
        if self.role == BOARD:
            env["TVM_USE_RUNTIME_LIB"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "compiler.tuning.worker", str(theirs.fileno()), str(self.threads), self.role],
            pass_fds=[theirs.fileno()],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.ready = False

    def submit(self, kind: str, arguments: dict[str, Any]) -> None:
        """Send a job; its outcome is to be taken with `take` before the next one is sent."""
        self.start()
        if self.connection is not None:
            with contextlib.suppress(OSError):  # a worker that died meanwhile: `take` says so
                self.connection.send((kind, arguments))

    def take(self) -> Outcome | None:
        """The outcome of the job under way, or None where the worker says that it has loaded TVM and begins the job.

        Blocks until the worker says something.
        """
        if self.connection is None or self.process is None:
            return Outcome(error="not started")
        try:
            good, value = self._receive(self.connection)
        except (EOFError, OSError):
            return Outcome(error=_obituary(self.process.wait()))
        except (ValueError, TypeError):
            self.kill()
            return Outcome(error="gave an answer that is none")
        if good and not self.ready:
            self.ready = True
            return None
        if not good and self.role in CONFINED:
            self.kill()  # what failed may have left it without memory, and the next job is another's
        return Outcome(value=value) if good else Outcome(error=str(value))

    def _receive(self, connection: Connection) -> Any:
        """An answer. From a confined one it is JSON: what it looks at may have taken it over, and to unpickle an
        answer is to run what it says."""
        return json.loads(connection.recv_bytes(MAX_ANSWER)) if self.role in CONFINED else connection.recv()

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Close the connection, upon which an idle worker ends by itself, and kill it if it does not."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.process is not None:
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None


def _obituary(status: int) -> str:
    if status < 0:
        return f"crashed: {signal.Signals(-status).name}"
    return f"ended with status {status}"


class Pool:
    """Workers that take jobs from one queue."""

    def __init__(self, size: int, threads: int, role: str = DESK) -> None:
        self.workers = [Worker(threads, role) for _ in range(size)]

    @property
    def parallel(self) -> int:
        """How many jobs it has under way at a time."""
        return len(self.workers)

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def map(
        self,
        kind: str,
        jobs: Sequence[dict[str, Any]],
        timeout: float,
        stop: Callable[[], bool] | None = None,
        done: Callable[[int, Outcome], None] | None = None,
    ) -> list[Outcome]:
        """Outcomes of `jobs`, in their order; a job that takes longer than `timeout` seconds is killed.

        Once `stop` says so no further job is begun; those left out have the error `not run`. `done` is told of the
        outcome of each job that was begun, with its position, as soon as it is known.
        """
        outcomes: list[Outcome | None] = [None] * len(jobs)
        queue = deque(range(len(jobs)))
        busy: dict[Worker, tuple[int, float]] = {}

        def finish(worker: Worker, outcome: Outcome) -> None:
            index, _ = busy.pop(worker)
            outcomes[index] = outcome
            if done is not None:
                done(index, outcome)

        def deadline(worker: Worker) -> float:
            return time.monotonic() + (timeout if worker.ready else START_SECONDS)

        try:
            while queue or busy:
                if stop is not None and queue and stop():
                    queue.clear()
                    continue
                for worker in self.workers:
                    if queue and worker not in busy:
                        index = queue.popleft()
                        # Busy before it is: an interrupt in between must not leave an answer for the next job.
                        busy[worker] = index, time.monotonic() + START_SECONDS
                        worker.submit(kind, jobs[index])
                        busy[worker] = index, deadline(worker)
                nearest = min(at for _, at in busy.values())
                connections = {worker.connection: worker for worker in busy}
                ready = wait([c for c in connections if c is not None], max(0.0, nearest - time.monotonic()))
                for connection in ready:
                    worker = connections[connection]  # type: ignore[index]
                    outcome = worker.take()
                    if outcome is None:  # the job's time begins when TVM is loaded
                        busy[worker] = busy[worker][0], deadline(worker)
                    else:
                        finish(worker, outcome)
                for worker, (_, at) in list(busy.items()):
                    if time.monotonic() > at:
                        worker.kill()
                        late = f"timed out after {timeout:g} s" if worker.ready else "a worker did not start in time"
                        finish(worker, Outcome(error=late))
        except BaseException:
            for worker in busy:  # Ctrl-C: what is under way is given up, the workers stay usable
                worker.kill()
            raise
        return [outcome if outcome is not None else Outcome(error="not run") for outcome in outcomes]

    def abandon(self) -> None:
        """Kill the workers, whatever they do: another thread, which is in `map`, gets its jobs back as failed."""
        for worker in self.workers:
            worker.kill()

    def close(self) -> None:
        for worker in self.workers:
            worker.stop()

    def __enter__(self) -> Pool:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
