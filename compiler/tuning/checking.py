"""Checking what tuning found: does the best kernel of a task compute what a plainly scheduled one computes?"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler.records.record import CHECK_RUN, Record, now
from compiler.tuning.runner import AWAY
from compiler.tuning.state import TaskState

if TYPE_CHECKING:
    from compiler.records.store import Store
    from compiler.tuning.builder import Builder
    from compiler.tuning.runner import Runner
    from compiler.tuning.search import Candidate, Search

ROUNDS = 3  # kernels of a task that are checked, best first, until one is right
BUILD_SECONDS = 20.0
RUN_SECONDS = 10.0
TOLERANCE = 2e-3  # of the largest output: Winograd F(4x4) stays below 1e-4, a wrong kernel is off by 1


@dataclasses.dataclass(frozen=True)
class _Doubt:
    """A record whose kernel is to be checked."""

    state: TaskState
    search: Search
    record: Record
    candidate: Candidate


class Checker:
    """Marks the best record of a task as right or wrong, in `store`, as a record of its own run.

    A kernel that computes something else is out from then on, and the next best is checked in its place. What is not
    reached in time, or cannot be compared, stays unmarked: the package is verified as a whole anyway.
    """

    def __init__(
        self, store: Store, fingerprint: str, config: dict[str, Any], folder: Path, poll: Callable[[], None]
    ) -> None:
        """`poll` is called between two steps, and may raise to end the check."""
        self.store = store
        self.fingerprint = fingerprint
        self.config = config
        self.folder = folder
        self.poll = poll
        self.deadline = 0.0
        self.references: dict[str, str] = {}
        self.built = 0

    def run(self, tasks: Sequence[tuple[TaskState, Search]], builder: Builder, runner: Runner, deadline: float) -> None:
        """Check the best record of each of `tasks` that is not marked yet, until `deadline` (`time.monotonic`)."""
        self.deadline = deadline
        for _ in range(ROUNDS):
            doubts = [d for state, search in tasks for d in [self._doubt(state, search)] if d is not None]
            if not doubts or time.monotonic() > self.deadline:
                return
            self._round(doubts, builder, runner)
            tasks = [(d.state, d.search) for d in doubts]

    def _doubt(self, state: TaskState, search: Search) -> _Doubt | None:
        record = self.store.best(state.hash, self.fingerprint, vetted=True)
        if record is None or record.checked is not None:
            return None
        candidate = search.from_record(record)
        return None if candidate is None else _Doubt(state, search, record, candidate)

    def _round(self, doubts: list[_Doubt], builder: Builder, runner: Runner) -> None:
        missing = [d for d in doubts if d.state.hash not in self.references]
        modules = [d.candidate.module for d in doubts] + [d.search.plain() for d in missing]
        jobs = []
        for module in modules:
            self.built += 1
            library = str(self.folder / f"check-{self.built}.so")
            jobs.append({"module": module, "target": self.config, "library": library, "keep_packing": True})
        outcomes = builder.map("build", jobs, BUILD_SECONDS, stop=self._late)
        for doubt, outcome in zip(missing, outcomes[len(doubts) :], strict=True):
            if outcome.error is None:
                self.references[doubt.state.hash] = outcome.value[0]
        for doubt, outcome in zip(doubts, outcomes[: len(doubts)], strict=True):
            if self._late():
                return
            reference = self.references.get(doubt.state.hash)
            if outcome.error is None and reference is not None:
                library, arguments = outcome.value
                self._compare(doubt, {"candidate": library, "reference": reference, "arguments": arguments}, runner)

    def _compare(self, doubt: _Doubt, job: dict[str, Any], runner: Runner) -> None:
        found = runner.check(job, RUN_SECONDS, self.poll)
        if found.error is not None:
            if found.error.startswith(("timed out", AWAY)):
                return
            # Whose fault is it? A reference that runs beside itself leaves only the candidate.
            if runner.check({**job, "candidate": job["reference"]}, RUN_SECONDS, self.poll).error is not None:
                return
        good = found.error is None and found.value <= TOLERANCE
        self.store.add(dataclasses.replace(doubt.record, checked=good, created=now(), run=CHECK_RUN))
        best = self.store.best(doubt.state.hash, self.fingerprint, vetted=True)
        doubt.state.best_seconds = best.median if best is not None else None

    def _late(self) -> bool:
        self.poll()
        return time.monotonic() > self.deadline
