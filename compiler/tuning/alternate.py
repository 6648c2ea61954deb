"""Tuning where candidates are built and measured by the same cores: first the one, then the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.tuning import limits
from compiler.tuning.session import Session
from compiler.tuning.work import Trial, Work

if TYPE_CHECKING:
    from compiler.tuning.builder import Builder
    from compiler.tuning.search import Candidate

FIRST = 16  # tasks of a batch of the first round


class Alternation:
    """The loop: propose, build, measure, keep, learn."""

    def __init__(self, session: Session, builder: Builder, folder: Path) -> None:
        self._session = session
        self._builder = builder
        self._folder = folder
        self._built = 0

    def run(self) -> str:
        """Tune until the budget is spent or nothing improves; says which."""
        session = self._session
        if not self._first_round():
            return "the budget is spent"
        while True:
            if session.spending.spent:
                return "the budget is spent"
            chosen = session.next(self._builder.parallel)
            if not chosen:
                return "nothing improves any more"
            batch: list[tuple[Work, Candidate]] = []
            with session.step("search"):
                for work in chosen:
                    if session.spending.spent:
                        break
                    batch += [(work, candidate) for candidate in session.propose(work)]
            before = {id(work): work.state.best_seconds for work in chosen}
            self._measure(batch[: session.spending.afford(len(batch))])
            for work in chosen:
                session.note_round(work, before[id(work)])

    def _first_round(self) -> bool:
        """Measure every task once. True unless the budget ended it."""
        session = self._session
        todo = session.untried()
        for start in range(0, len(todo), FIRST):
            part = todo[start : start + FIRST][: session.spending.afford(FIRST)]
            if not part or session.spending.spent:
                return False
            with session.step("search"):
                batch = [(work, session.first(work)) for work in part]
            fresh = [work for work in part if work.state.best_seconds is None]
            self._measure(batch)
            for work in fresh:
                work.state.default_seconds = work.state.best_seconds
        return True

    def _measure(self, batch: Sequence[tuple[Work, Candidate]]) -> None:
        """Build and measure candidates, keep each result at once, and let the searches learn."""
        if not batch:
            return
        session = self._session
        trials = [Trial(work, candidate) for work, candidate in batch]
        errors = self._build(trials)
        results: dict[int, list[list[float]]] = {id(work): [] for work, _ in batch}
        session.show("measuring")
        with session.step("measure"):
            for trial, error in zip(trials, errors, strict=True):
                if session.spending.seconds_left <= 0.0:
                    break
                if error is not None:
                    results[id(trial.work)].append(session.keep_failure(trial, error))
                    continue
                session.runner.submit(trial)
                for measured in session.runner.take(0.0):
                    results[id(trial.work)].append(session.keep(measured))
        for path in self._folder.iterdir():
            path.unlink(missing_ok=True)
        with session.step("learn"):
            for work in {id(w): w for w, _ in batch}.values():
                seconds = results[id(work)]
                work.search.learn([c for w, c in batch if w is work][: len(seconds)], seconds)

    def _build(self, trials: Sequence[Trial]) -> list[str | None]:
        """Build all; None or why it failed for each."""
        jobs = []
        for trial in trials:
            # A name of its own: the runner still holds the last batch's libraries, and the loader knows them by name.
            self._built += 1
            jobs.append(self._session.build_job(trial.candidate, self._folder / f"{self._built}.so"))
        self._session.show("building")
        # The longest first: at the end, one would keep a single builder busy.
        order = sorted(range(len(jobs)), key=lambda i: -len(jobs[i]["module"]))
        with self._session.step("build"):
            outcomes = self._builder.map(
                "build", [jobs[i] for i in order], limits.BUILD_SECONDS, stop=self._session.time_is_up
            )
        return [trial.built(outcomes[order.index(i)]) for i, trial in enumerate(trials)]
