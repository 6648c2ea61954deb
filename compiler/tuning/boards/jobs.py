"""What boards are asked to do for a run: the queue that all boards take from."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from compiler.tuning.work import Trial
from compiler.tuning.workers import Outcome


@dataclass(eq=False)
class BoardJob:
    """A trial to measure, or (`trial` is None) two libraries to compare by `check`. `losses` counts the boards that
    went away over it."""

    trial: Trial | None = None
    check: dict[str, Any] = field(default_factory=dict)
    timeout: float = 0.0
    answer: queue.SimpleQueue[Outcome] = field(default_factory=queue.SimpleQueue)
    losses: int = 0


class JobQueue:
    """Jobs in the order in which they came; one that a board lost comes first again."""

    def __init__(self) -> None:
        self._jobs: deque[BoardJob] = deque()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: BoardJob, first: bool = False) -> None:
        """Add a job at the end, or at the beginning."""
        with self._changed:
            if first:
                self._jobs.appendleft(job)
            else:
                self._jobs.append(job)
            self._changed.notify()

    def take(self) -> BoardJob | None:
        """The next job, or None where there is none now."""
        with self._changed:
            return self._jobs.popleft() if self._jobs else None

    def wait(self, seconds: float, ended: Callable[[], bool]) -> bool:
        """Wait at most so long for a job, or until `ended` says so at a `wake`; whether there is one."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._jobs) or ended(), seconds)
            return bool(self._jobs)

    def wake(self) -> None:
        """Have whoever waits look again."""
        with self._changed:
            self._changed.notify_all()

    def clear(self, repeats: bool = False) -> list[BoardJob]:
        """Leave what no board has taken; what is measured once more only with `repeats`. Returns what is left."""
        with self._changed:
            left = [job for job in self._jobs if repeats or job.trial is None or not job.trial.again]
            self._jobs = deque(job for job in self._jobs if job not in left)
            return left
