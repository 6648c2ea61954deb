"""One run of tuning: what it has spent, what it knows, and what it keeps. Who builds and measures when is not decided
here, but in `alternate` and `overlap`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import targets
from compiler.build import RECORDS_TRIED
from compiler.errors import EdgetuneError
from compiler.records.nearest.devices import Device
from compiler.records.record import Record, clean_error, now
from compiler.tuning.budget import Budget, Spending
from compiler.tuning.ranking import Ranking, fastest
from compiler.tuning.resume import Run
from compiler.tuning.state import Begins, BoardSummary, TaskState, TuneState, TuneSummary
from compiler.tuning.work import Measured, Trial, Work
from compiler.tuning.workers import Outcome

if TYPE_CHECKING:
    from compiler.frontend import Model
    from compiler.graph.variants import Variants
    from compiler.records.store import Store
    from compiler.tuning.runner import Runner
    from compiler.tuning.search import Candidate

RECORDS_KNOWN = 32  # of a task, the best, that a search begins with
BATCH = 8  # candidates of a task between two decisions of which task is next
IMPROVEMENT = 0.01  # what counts as one
CHECK_SHARE = 0.1  # of a time budget that is kept for checking; what is not reached is not marked as checked
CHECK_SECONDS = 1.0  # about what checking a task takes
LEAST_ROOM = 1 << 20  # bytes that any library needs

Progress = Callable[[TuneState], None]


class Session:
    """The state of a run, and what may be done with it."""

    def __init__(
        self,
        model: Model,
        target: targets.Target,
        store: Store,
        budget: Budget,
        precision: str,
        seed: int,
        expanded: Variants,
        states: list[TaskState],
        chosen: set[int] | None,
        runner: Runner,
        progress: Progress | None,
        warm: bool = True,
    ) -> None:
        """`chosen` are the numbers of the tasks to tune, None for all of `states`. `warm` is whether a task without
        records of its own may begin from similar ones."""
        from compiler.graph.scheduling import hardware_of
        from compiler.graph.variants import Task
        from compiler.records.trust.admission import admit
        from compiler.tuning.cost_model import CostModel
        from compiler.tuning.search import Search
        from compiler.tuning.warm_start.beginning import Beginning
        from compiler.tuning.warm_start.lessons import teach
        from compiler.version import tool_version

        self.target, self.store, self.expanded, self.seed, self.runner = target, store, expanded, seed, runner
        self.fingerprint = runner.fingerprint
        self.tool_version = tool_version()
        self.progress = progress
        self.ranking = Ranking(expanded)
        self.spent: dict[str, float] = {}
        command = [
            *(model.sha256, model.batch, sorted(model.shapes.items()), precision, self.fingerprint.id),
            *(budget.trials, budget.seconds, sorted(chosen) if chosen is not None else None, seed),
        ]
        self.unfinished = Run(store, hashlib.sha256(json.dumps(command).encode()).hexdigest()[:16])
        done = store.run_trials(self.unfinished.id)
        seconds = self.unfinished.seconds
        self.resumed = sum(done.values())
        self.known: set[str] = set()  # workloads that the store holds
        self._made: dict[str, int] = {}  # trials of a task, this run's and all before it
        self.spending = Spending(budget, self.resumed, seconds, checking=_checking_seconds(budget, len(states)))
        kernels = {digest: task.mod for digest, task in expanded.tasks.items()}
        admit(store, kernels, lambda digest: store.top(digest, self.fingerprint.id, RECORDS_KNOWN))
        tvm_target, hardware = target.to_tvm(), hardware_of(target)
        model_of_cost = CostModel(seed)
        self.state = TuneState(states, self.resumed, 0, budget.trials, seconds, budget.seconds)
        wanted = [s for s in states if chosen is None or s.index in chosen]
        by_hash: dict[str, Task] = expanded.tasks
        self.work = [
            Work(s, Search(by_hash[s.hash], tvm_target, hardware, seed + s.index, model_of_cost)) for s in wanted
        ]
        for state in states:
            state.trials = done.get(state.hash, 0)
            state.best_seconds = self._best(state.hash)
        # What this run has measured before it was interrupted makes no other beginning.
        known = {s.hash for s in states if s.best_seconds is not None and self._count_before(s.hash) > s.trials}
        self._beginning: Beginning | None = None
        if warm:
            device = Device(self.fingerprint.id, target.config(), self.fingerprint.device, target.cores)
            self._beginning = Beginning(store, device, {s.hash: kernels[s.hash] for s in wanted}, known)
            teach(model_of_cost, store, self._beginning.lessons(expanded.tasks))
        self.state.begins = Begins(
            tasks=len(wanted),
            known=sum(s.hash in known for s in wanted),
            records=self._beginning.records if self._beginning else 0,
            kernels=self._beginning.kernels if self._beginning else 0,
        )

    def untried(self) -> list[Work]:
        """The tasks that this run has not measured yet, the largest first."""
        todo = [w for w in self.work if w.state.trials == 0]
        return sorted(todo, key=lambda w: -(w.state.flops or 0.0) * w.state.calls)

    def first(self, work: Work) -> Candidate:
        """The first trial of a task: its best record, whose time may be another day's or another's, or its zero-trial
        schedule."""
        for record in self.store.top(work.state.hash, self.fingerprint.id, RECORDS_TRIED, vetted=True):
            candidate = work.search.from_record(record)
            if candidate is not None:
                return candidate
        return work.search.default()

    def next(self, count: int, without: Sequence[Work] = ()) -> list[Work]:
        """Up to `count` tasks to search now, of those that are not in `without`."""
        return self.ranking.next([w for w in self.work if w not in without], self.seconds, count)

    def propose(self, work: Work) -> list[Candidate]:
        """The next candidates of a task, what was fast for similar kernels among the first of them; none where its
        search has come to an end."""
        seeds: list[Candidate] = []
        if not work.searching:
            records = self.store.top(work.state.hash, self.fingerprint.id, RECORDS_KNOWN, vetted=True)
            work.search.start(records, self.store.tried(work.state.hash, self.fingerprint.id))
            work.searching = True
            seeds = self._beginning.seeds(work.search) if self._beginning else []
        return work.search.propose(BATCH, seeds)

    def build_job(self, candidate: Candidate, library: Path) -> dict[str, Any]:
        """The job that builds `candidate` into the file `library`."""
        return {"module": candidate.module, "target": self.target.config(), "library": str(library)}

    def keep(self, measured: Measured) -> list[float]:
        """Keep what became of a trial, and count it; the seconds of its repeats, none for a failure.

        Raises EdgetuneError where a build failed for want of room: that says nothing of the candidate.
        """
        trial, outcome = measured
        state = trial.work.state
        seconds = tuple(float(s) for s in outcome.value or ())
        if not seconds:
            _must_have_room(outcome.error or "")
        record = Record(
            workload=state.hash,
            trace=trial.candidate.trace,
            seconds=seconds,
            error=None if seconds else clean_error(outcome.error or "no time was measured"),
            fingerprint=self.fingerprint.id,
            target=self.target.config(),
            device=self.fingerprint.device,
            threads=self.target.cores,
            tvm_version=self.runner.tvm_version,
            tool_version=self.tool_version,
            seed=self.seed,
            created=now(),
            run=self.unfinished.id,
            extra=self.runner.remarks,
            provenance=trial.provenance.with_trials(self._count(state.hash)),
        )
        if state.hash not in self.known:
            from compiler.records.workload import workload_of

            self.store.add_workload(workload_of(trial.work.search.task.mod, state.name))
            self.known.add(state.hash)
        self.store.add(record)
        state.trials += 1
        self.state.trials += 1
        if not trial.again:
            self.spending.trials += 1
        if seconds:
            state.best_seconds = self._best(state.hash)
        else:
            state.failed += 1
            self.state.failed += 1
            state.last_error = record.error
        self.show("measuring")
        return list(seconds)

    def _count(self, workload: str) -> int:
        """The number of a task's next trial, counted once: a store of a million records takes milliseconds for it."""
        before = self._count_before(workload)
        self._made[workload] = before + 1
        return before + 1

    def _count_before(self, workload: str) -> int:
        if workload not in self._made:
            self._made[workload] = self.store.trials(workload, self.fingerprint.id)
        return self._made[workload]

    def keep_failure(self, trial: Trial, error: str) -> list[float]:
        """Keep a trial that failed before it could be measured."""
        return self.keep(Measured(trial, Outcome(error=error)))

    def note_round(self, work: Work, before: float | None) -> None:
        """Note whether a round of a task, whose best time was `before`, has brought anything."""
        after = work.state.best_seconds
        improved = after is not None and (before is None or after < before * (1 - IMPROVEMENT))
        work.stale = 0 if improved else work.stale + 1

    @property
    def seconds(self) -> dict[str, float]:
        """The best times so far, by the task's hash."""
        return {s.hash: s.best_seconds for s in self.state.tasks if s.best_seconds is not None}

    def show(self, phase: str | None = None) -> None:
        """Show how things are; Ctrl-C ends the run here."""
        self.state.seconds = self.spending.seconds
        self.state.phase = phase or self.state.phase
        self.state.boards = self.runner.boards()
        self.state.notices = self.runner.notices()
        self._estimate()
        if self.progress is not None:
            self.progress(self.state)

    def time_is_up(self) -> bool:
        """Whether no time is left for searching. Shows how things are."""
        self.show()
        return self.spending.seconds_left <= 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Counts the time within as spent on `name`."""
        started = time.perf_counter()
        if name == "search":
            self.show("searching")
        try:
            yield
        finally:
            self.spent[name] = self.spent.get(name, 0.0) + time.perf_counter() - started
            if name == "measure":
                self.save()

    def save(self) -> None:
        """Note in the store how much time is spent, for a run that is killed and gone on with."""
        self.unfinished.save(self.spending.seconds)

    def summary(self, ended: str, interrupted: bool, lost: bool, boards: Sequence[BoardSummary]) -> TuneSummary:
        """How it ended: see `TuneSummary`."""
        self._estimate()
        return TuneSummary(
            tasks=self.state.tasks,
            trials=self.state.trials,
            failed=self.state.failed,
            seconds=self.spending.seconds,
            latency_seconds=self.state.latency_seconds,
            ended=ended,
            interrupted=interrupted,
            lost=lost,
            resumed=self.resumed,
            spent=dict(self.spent),
            boards=list(boards),
            begins=self.state.begins,
        )

    def _best(self, workload: str) -> float | None:
        best = self.store.best(workload, self.fingerprint.id, vetted=True)
        return best.median if best is not None else None

    def _estimate(self) -> None:
        seconds = self.seconds
        self.state.latency_seconds = self.expanded.latency(seconds)
        times: dict[str, float] = {}
        for layer in self.expanded.layers:
            digest = fastest(layer.tasks.values(), seconds)
            if digest is not None:
                times[digest] = times.get(digest, 0.0) + seconds[digest]
        whole = sum(times.values())
        for task in self.state.tasks:
            task.used = task.hash in times or task.best_seconds is None
            task.share = times.get(task.hash, 0.0) / whole if whole and task.best_seconds is not None else None


def _must_have_room(error: str) -> None:
    """Raises EdgetuneError where `error` is of a build, and a disk that it needs is full."""
    if not error.startswith("build: "):
        return
    # The linker keeps to TMPDIR; Python takes another folder where that is full.
    for folder in dict.fromkeys((os.environ.get("TMPDIR"), tempfile.gettempdir())):
        if folder and Path(folder).is_dir() and shutil.disk_usage(folder).free < LEAST_ROOM:
            raise EdgetuneError(
                f"no space is left in {folder}, where candidates are built: make room, or set TMPDIR to another "
                "folder; what was learned is kept, and the same command goes on from there"
            )


def _checking_seconds(budget: Budget, tasks: int) -> float:
    """What of the budget to keep for checking the best kernels of so many tasks."""
    wanted = CHECK_SECONDS * tasks
    return wanted if budget.seconds is None else min(wanted, CHECK_SHARE * budget.seconds)
