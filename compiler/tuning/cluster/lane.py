"""A core of the desk, which builds one candidate after another on a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compiler.tuning.workers import Outcome, Pool


@dataclass(frozen=True)
class _Task:
    kind: str
    job: dict[str, Any]
    timeout: float
    done: Callable[[Outcome], None]


class Lane(threading.Thread):
    """Does what `begin` gives it; `busy` from then until it has told the outcome."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"edgetune-build-{number}", daemon=True)
        self.busy = False
        self._pool = Pool(1, 1)
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()

    def begin(self, kind: str, job: dict[str, Any], timeout: float, done: Callable[[Outcome], None]) -> None:
        """Do a job of compiler/tuning/worker; `done` is told on the lane's thread what became of it."""
        self.busy = True
        self._tasks.put(_Task(kind, job, timeout, done))

    def abandon(self) -> None:
        """End the job under way: it has failed."""
        if self.busy:
            self._pool.abandon()

    def close(self) -> None:
        """End the thread; a job under way is ended first."""
        self._tasks.put(None)
        while self.is_alive():
            self.abandon()
            self.join(0.2)

    def run(self) -> None:
        self._pool.start()  # here: a worker ends with the thread that started it
        try:
            while (task := self._tasks.get()) is not None:
                try:
                    outcome = self._pool.map(task.kind, [task.job], task.timeout)[0]
                except Exception as error:  # noqa: BLE001 - whoever waits for it must not wait for ever
                    outcome = Outcome(error=f"{type(error).__name__}: {error}"[:500])
                self.busy = False
                task.done(outcome)
        finally:
            self._pool.close()
