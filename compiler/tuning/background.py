"""Builds on a thread of its own, while others measure."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import Any

from compiler.tuning import limits
from compiler.tuning.builder import Builder
from compiler.tuning.work import Trial
from compiler.tuning.workers import Outcome

_IDLE_SECONDS = 0.2
_END_SECONDS = 10.0  # for a builder to end what it was asked to abandon


class BackgroundBuilder:
    """Builds what is submitted, on a thread that ends with `close`. All but its own thread's work is the caller's."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.done: queue.SimpleQueue[tuple[Trial, Outcome]] = queue.SimpleQueue()
        """What was built, or was not."""
        self.under_way = 0
        """How many builds are submitted and not yet in `done`, or in the caller's hands."""
        self.running = 0
        """How many builds are begun, or about to be."""
        self.failure: BaseException | None = None
        """What ended the thread, if something did."""
        self._jobs: deque[tuple[Trial, dict[str, Any]]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, name="edgetune-build", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many builds are not begun, or may not be."""
        return max(len(self._jobs), self.under_way - self.builder.parallel)

    def submit(self, trials: list[tuple[Trial, dict[str, Any]]]) -> None:
        """Have trials built by their jobs; the largest of them begin."""
        with self._changed:
            self.under_way += len(trials)
            self._jobs.extend(sorted(trials, key=lambda pair: -len(pair[1]["module"])))
            self._changed.notify()

    def take(self) -> list[tuple[Trial, Outcome]]:
        """What has been built since the last call. Raises what the builder raised."""
        found = []
        while True:
            try:
                found.append(self.done.get_nowait())
            except queue.Empty:
                break
        self.under_way -= len(found)
        if self.failure is not None and not found:
            raise self.failure
        return found

    def cancel(self) -> None:
        """Leave what is not begun, for good."""
        with self._changed:
            self._cancelled = True
            self._jobs.clear()

    def close(self) -> None:
        """End the thread, and what it builds."""
        with self._changed:
            self._closing = self._cancelled = True
            self._jobs.clear()
            self._changed.notify()
        # It may have begun another build just before; that one is ended the next time.
        deadline = time.monotonic() + _END_SECONDS
        while self._thread.is_alive() and time.monotonic() < deadline:
            if self.running:
                self.builder.abandon()
            self._thread.join(_IDLE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._closing:
                with self._changed:
                    self._changed.wait_for(lambda: self._jobs or self._closing)
                    # Few at a time: the next ones may be larger, and what is not begun can still be left.
                    chunk = [self._jobs.popleft() for _ in range(min(len(self._jobs), 4 * self.builder.parallel))]
                    self.running = len(chunk)
                if chunk:
                    self._build(chunk)
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller is
            self.failure = error

    def _build(self, chunk: list[tuple[Trial, dict[str, Any]]]) -> None:
        told: set[int] = set()

        def done(index: int, outcome: Outcome) -> None:
            told.add(index)
            self.running -= 1
            self.done.put((chunk[index][0], outcome))

        jobs = [job for _, job in chunk]
        try:
            outcomes = self.builder.map("build", jobs, limits.BUILD_SECONDS, stop=lambda: self._cancelled, done=done)
            for index, outcome in enumerate(outcomes):
                if index not in told and not self._cancelled:
                    done(index, outcome)
        finally:
            self.running = 0
