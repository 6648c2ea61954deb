"""Tuning where others measure than build: while boards measure some candidates, the desk builds the next ones."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.tuning.background import BackgroundBuilder
from compiler.tuning.session import BATCH, Session
from compiler.tuning.work import Measured, Trial, Work

if TYPE_CHECKING:
    from compiler.tuning.builder import Builder
    from compiler.tuning.search import Candidate

TICK_SECONDS = 0.25  # between two looks at the clock and at Ctrl-C
SAVE_SECONDS = 5.0
LAST_SECONDS = 2.0  # that a spent time budget leaves for what is just being measured
REPEATS_SECONDS = 60.0  # that a run without a time budget takes at its end for what is measured once more
SWITCH_SECONDS = 0.0005
"""After so long Python's other threads get a turn. They hand boards their next candidates, which take milliseconds to
measure, and must not wait for the search at each step."""
_AHEAD = 4  # trials for each board that wait for it


@dataclass(eq=False)
class _Flight:
    """Candidates of a task that were proposed together: when all are measured, the search learns from them."""

    work: Work
    trials: list[Trial]
    before: float | None
    first: bool
    seconds: dict[Trial, list[float]] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return len(self.trials) - len(self.seconds)


class Overlap:
    """The loop: what is built goes to the runner, what is measured is kept, and there is always enough to build."""

    def __init__(self, session: Session, builder: Builder, folder: Path) -> None:
        self._session = session
        self._builder = builder
        self._folder = folder
        self._flights: list[_Flight] = []
        self._built = 0
        self._saved = 0.0

    def run(self) -> str:
        """Tune until the budget is spent or nothing improves; says which. Raises what the runner's `take` raises."""
        session = self._session
        untried = session.untried()
        with _switching(SWITCH_SECONDS), contextlib.closing(BackgroundBuilder(self._builder)) as builds:
            try:
                while True:
                    if session.spending.spent:
                        self._land(builds)
                        return "the budget is spent"
                    fed = self._feed(builds, untried)
                    if not fed and not self._flights:
                        self._land(builds)
                        return "the budget is spent" if untried else "nothing improves any more"
                    self._collect(builds, 0.0 if fed else TICK_SECONDS)
            finally:
                session.runner.cancel(repeats=True)
                session.save()

    def _feed(self, builds: BackgroundBuilder, untried: list[Work]) -> bool:
        """Propose a task's candidates if builders or boards might run out of work; whether any were."""
        session = self._session
        pending = sum(flight.left for flight in self._flights)
        afford = session.spending.afford(pending + BATCH) - pending
        room = pending < BATCH + _AHEAD * session.runner.slots + self._builder.parallel
        if afford <= 0 or not room or builds.waiting > self._builder.parallel:
            return False
        with session.step("search"):
            if untried:
                part, untried[:] = untried[:afford][:BATCH], untried[min(afford, BATCH) :]
                for work in part:
                    session.show()  # each takes a tenth of a second, or more of a busy desk
                    self._launch(builds, work, [session.first(work)], True)
                return True
            flying = [flight.work for flight in self._flights]
            # One round after the other is better for a task; but no board is to wait where there is no other task. A
            # search begins when the first trial is known, which it would propose again.
            for without in (flying, [w for w in flying if flying.count(w) > 1 or not w.searching]):
                for work in session.next(1, without):
                    candidates = session.propose(work)[:afford]
                    if candidates:
                        self._launch(builds, work, candidates, False)
                        return True
                    session.note_round(work, work.state.best_seconds)
                    return True
        return False

    def _launch(self, builds: BackgroundBuilder, work: Work, candidates: list[Candidate], first: bool) -> None:
        trials = [Trial(work, candidate) for candidate in candidates]
        self._flights.append(_Flight(work, trials, work.state.best_seconds, first))
        jobs = []
        for trial in trials:
            self._built += 1
            jobs.append((trial, self._session.build_job(trial.candidate, self._folder / f"{self._built}.so")))
        builds.submit(jobs)

    def _collect(self, builds: BackgroundBuilder, seconds: float) -> None:
        """Take what is built and what is measured; waits up to `seconds` for either."""
        session = self._session
        boards = session.runner.boards()
        starved = not any(flight.left for flight in self._flights) or (boards is not None and not boards.measuring)
        step = "build" if starved and builds.under_way else "measure"
        deadline = time.monotonic() + seconds
        started = time.perf_counter()
        while True:
            built = builds.take()
            for trial, outcome in built:
                error = trial.built(outcome)
                if error is None:
                    session.runner.submit(trial)
                else:
                    self._kept(trial, session.keep_failure(trial, error))
            # Nothing tells of a build while boards are waited for, so they are not waited for long.
            left = max(0.0, deadline - time.monotonic())
            measured = session.runner.take(min(left, TICK_SECONDS / 10 if builds.under_way else left))
            for one in measured:
                self._keep(one)
            if built or measured or left <= 0.0:
                break
        session.spent[step] = session.spent.get(step, 0.0) + time.perf_counter() - started
        session.show("building and measuring" if builds.under_way else "measuring")
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._saved = time.monotonic()
            session.save()

    def _keep(self, measured: Measured) -> None:
        seconds = self._session.keep(measured)
        if not measured.trial.again:
            self._kept(measured.trial, seconds)

    def _kept(self, trial: Trial, seconds: list[float]) -> None:
        """Note a trial's seconds with those of its flight, and have the search learn from a flight that is complete."""
        session = self._session
        flight = next(f for f in self._flights if trial in f.trials)
        flight.seconds[trial] = seconds
        if flight.left:
            return
        self._flights.remove(flight)
        if flight.first:
            if flight.before is None:
                flight.work.state.default_seconds = flight.work.state.best_seconds
        else:
            session.note_round(flight.work, flight.before)
        self._learn(flight)

    def _learn(self, flight: _Flight) -> None:
        known = [trial for trial in flight.trials if trial in flight.seconds]
        with self._session.step("learn"):
            flight.work.search.learn([t.candidate for t in known], [flight.seconds[t] for t in known])

    def _land(self, builds: BackgroundBuilder) -> None:
        """Take what is just being measured, and leave the rest: the time is up.

        What a board measured while it was not itself is made again first, as long as there is time for it.
        """
        runner = self._session.runner
        builds.cancel()
        runner.cancel()
        now = time.monotonic()
        deadline = now + LAST_SECONDS
        repeats_until = now + max(LAST_SECONDS, min(REPEATS_SECONDS, self._session.spending.seconds_left))
        while True:
            boards = runner.boards()
            repeats = boards.repeats if boards is not None else 0
            if time.monotonic() >= (repeats_until if repeats else deadline):
                break
            if not builds.running and not repeats and (boards is None or not boards.measuring):
                break
            for measured in runner.take(TICK_SECONDS):
                self._keep(measured)


@contextlib.contextmanager
def _switching(seconds: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
