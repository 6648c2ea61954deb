"""Measuring on this machine: one worker, one trial after another, while nothing is built."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import targets
from compiler.records.provenance import ThisMachine
from compiler.tuning import limits
from compiler.tuning.state import BoardsState, BoardSummary
from compiler.tuning.work import Measured, Trial
from compiler.tuning.workers import Outcome, Pool


class LocalRunner:
    """A `Runner` on this machine. `take` measures the oldest trial that was submitted."""

    overlaps = False
    slots = 1

    def __init__(self, target: targets.Target) -> None:
        self.fingerprint = targets.fingerprint(target)
        self.tvm_version = targets.tvm_version()
        self.remarks: dict[str, Any] = {}
        self._machine = ThisMachine(target)
        self._pool = Pool(1, target.cores)
        self._waiting: deque[Trial] = deque()

    def submit(self, trial: Trial) -> None:
        self._waiting.append(trial)

    def take(self, seconds: float = 0.0) -> list[Measured]:
        if not self._waiting:
            return []
        trial = self._waiting.popleft()
        outcome = self.measure(trial)
        trial.provenance = self._machine.read()
        return [Measured(trial, outcome)]

    def measure(self, trial: Trial) -> Outcome:
        """Measure one trial."""
        return self._pool.map("measure", [trial.job()], limits.MEASURE_SECONDS)[0]

    def cancel(self, repeats: bool = False) -> None:
        self._waiting.clear()

    def check(self, job: dict[str, Any], timeout: float, poll: Callable[[], None]) -> Outcome:
        return self._pool.map("check", [job], timeout)[0]

    def boards(self) -> BoardsState | None:
        return None

    def notices(self) -> list[str]:
        return []

    def report(self) -> list[BoardSummary]:
        return []

    def __enter__(self) -> LocalRunner:
        self._pool.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.close()
