"""The loop of tuning: propose, build, measure, keep, learn, until the budget is spent or nothing improves."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import targets
from compiler.build import RECORDS_TRIED, front, storage_of
from compiler.errors import EdgetuneError, UsageError
from compiler.records.record import Record, clean_error, now
from compiler.tuning.budget import Budget, Spending
from compiler.tuning.checking import Checker
from compiler.tuning.resume import Run
from compiler.tuning.state import TaskState, TuneState, TuneSummary
from compiler.tuning.workers import Outcome, Pool

if TYPE_CHECKING:
    from compiler.frontend import Model
    from compiler.graph.variants import Variants
    from compiler.records.store import Store
    from compiler.tuning.search import Candidate, Search

__all__ = ["Budget", "TuneSummary", "list_tasks", "tune"]

BATCH = 12  # candidates of a task between two decisions of which task is next
BUILD_SECONDS = 20.0  # a candidate that takes longer is given up
MEASURE_SECONDS = 10.0
REPEATS = 3
REPEAT_SECONDS = 0.015
GIVE_UP = 1.4  # a candidate whose first call is this much slower than the best one is not repeated
PATIENCE = 3  # rounds without improvement after which a task is left alone
IMPROVEMENT = 0.01  # what counts as one
CHECK_SHARE = 0.1  # of a time budget that is kept for checking; what is not reached is not marked as checked
CHECK_SECONDS = 1.0  # about what checking a task takes
SLOW_FLOPS = 1e9  # arithmetic operations a second of a kernel of which nothing is known

Progress = Callable[[TuneState], None]


@dataclass
class _Work:
    """A task under way."""

    state: TaskState
    search: Search
    searching: bool = False
    stale: int = 0

    @property
    def done(self) -> bool:
        return self.stale >= PATIENCE or self.search.exhausted


def list_tasks(model: Model, target: targets.Target, precision: str = "fp32") -> list[TaskState]:
    """The tasks of `model`, without tuning anything; the index, from 1, is what `tasks=` of `tune` takes."""
    from compiler.tvm_setup import prepare

    prepare(target.kind)
    from compiler.graph import variants
    from compiler.graph.filling import filling
    from compiler.graph.scheduling import cpu_hardware

    return _states(variants.expand(front(model)[0], storage_of(precision), filling(cpu_hardware(target))))


def tune(
    model: Model,
    target: targets.Target,
    *,
    store: Store,
    budget: Budget,
    precision: str = "fp32",
    tasks: set[int] | None = None,
    seed: int = 0,
    dump: Path | None = None,
    progress: Progress | None = None,
) -> TuneSummary:
    """Search schedules for the kernels of `model` on this machine and keep every measurement in `store`.

    Every task is measured once, at its best record or its zero-trial schedule, before any gets a second round, and the
    best kernels are compared with plain ones at the end, within the budget. After
    Ctrl-C the summary says `interrupted`; the same call goes on from an interrupted or killed run, counting its trials.
    Raises EdgetuneError where this machine is not the target, UsageError for a task that does not exist.
    """
    reason = targets.why_not_run(target)
    if reason is not None:
        raise EdgetuneError(reason)
    storage = storage_of(precision)
    from compiler.tvm_setup import prepare

    prepare(target.kind)
    from compiler.graph import variants
    from compiler.graph.filling import filling
    from compiler.graph.scheduling import cpu_hardware

    with Pool(target.cores, 1) as builders, Pool(1, target.cores) as runner:
        # The workers load TVM while the model is taken apart here.
        laid_out, dumper = front(model, dump=dump)
        expanded = variants.expand(laid_out, storage, filling(cpu_hardware(target)), dumper)
        states = _states(expanded)
        if tasks is not None:
            unknown = sorted(tasks - {s.index for s in states})
            if unknown:
                raise UsageError(f"no task {unknown[0]}: {model.name} has tasks 1 to {len(states)}")
        session = _Session(model, target, store, budget, precision, seed, expanded, states, tasks, progress)
        with tempfile.TemporaryDirectory(prefix="edgetune-tune-") as folder:
            return session.run(builders, runner, Path(folder))


def _checking_seconds(budget: Budget, tasks: int) -> float:
    """What of the budget to keep for checking the best kernels of so many tasks."""
    wanted = CHECK_SECONDS * tasks
    return wanted if budget.seconds is None else min(wanted, CHECK_SHARE * budget.seconds)


def _states(expanded: Variants) -> list[TaskState]:
    from compiler.graph.work import flops

    return [
        TaskState(index=i, name=task.name, hash=task.hash, calls=task.calls, flops=flops(task.mod))
        for i, task in enumerate(expanded.tasks.values(), 1)
    ]


class _Session:
    """One run of the loop."""

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
        progress: Progress | None,
    ) -> None:
        from compiler.graph.scheduling import cpu_hardware
        from compiler.graph.variants import Task
        from compiler.tuning.search import Search, cost_model
        from compiler.tuning.warm_start import warm_start
        from compiler.version import tool_version

        self.target, self.store, self.expanded, self.seed = target, store, expanded, seed
        self.hardware = cpu_hardware(target)
        self.fingerprint = targets.fingerprint(target)
        self.tool_version = tool_version()
        self.progress = progress
        self.spent: dict[str, float] = {}
        self.built = 0
        command = [
            *(model.sha256, model.batch, sorted(model.shapes.items()), precision, self.fingerprint.id),
            *(budget.trials, budget.seconds, sorted(chosen) if chosen is not None else None, seed),
        ]
        self.unfinished = Run(store, hashlib.sha256(json.dumps(command).encode()).hexdigest()[:16])
        done = store.run_trials(self.unfinished.id)
        seconds = self.unfinished.seconds
        self.resumed = sum(done.values())
        self.known: set[str] = set()  # workloads that the store holds
        self.spending = Spending(budget, self.resumed, seconds, checking=_checking_seconds(budget, len(states)))
        self.tvm_target = target.to_tvm()
        model_of_cost = cost_model(seed)
        warm_start(model_of_cost, store, self.fingerprint.id, self.tvm_target, expanded.tasks)
        self.state = TuneState(states, self.resumed, 0, budget.trials, seconds, budget.seconds)
        wanted = [s for s in states if chosen is None or s.index in chosen]
        by_hash: dict[str, Task] = expanded.tasks
        self.work = [
            _Work(s, Search(by_hash[s.hash], self.tvm_target, self.hardware, seed + s.index, model_of_cost))
            for s in wanted
        ]
        for state in states:
            state.trials = done.get(state.hash, 0)
            state.best_seconds = self._best(state.hash)

    def run(self, builders: Pool, runner: Pool, folder: Path) -> TuneSummary:
        interrupted = False
        try:
            ended = self._loop(builders, runner, folder)
            self._show("checking")
            with self._step("check"):
                checker = Checker(self.store, self.fingerprint.id, self.target.config(), folder, self._poll)
                deadline = time.monotonic() + self.spending.checking_seconds_left
                checker.run([(w.state, w.search) for w in self.work], builders, runner, deadline)
            self.unfinished.finish()
        except KeyboardInterrupt:
            interrupted, ended = True, "interrupted"
            self.unfinished.leave(self.spending.seconds)
        self._estimate()
        return TuneSummary(
            tasks=self.state.tasks,
            trials=self.state.trials,
            failed=self.state.failed,
            seconds=self.spending.seconds,
            latency_seconds=self.state.latency_seconds,
            ended=ended,
            interrupted=interrupted,
            resumed=self.resumed,
            spent=dict(self.spent),
        )

    def _loop(self, builders: Pool, runner: Pool, folder: Path) -> str:
        if not self._first_round(builders, runner, folder):
            return "the budget is spent"
        while True:
            if self.spending.spent:
                return "the budget is spent"
            chosen = self._next(len(builders.workers))
            if not chosen:
                return "nothing improves any more"
            batch: list[tuple[_Work, Candidate]] = []
            with self._step("search"):
                for work in chosen:
                    if self.spending.spent:
                        break
                    batch += [(work, candidate) for candidate in self._propose(work)]
            batch = batch[: self.spending.afford(len(batch))]
            before = {id(work): work.state.best_seconds for work in chosen}
            self._measure(batch, builders, runner, folder)
            for work in chosen:
                old, new = before[id(work)], work.state.best_seconds
                improved = new is not None and (old is None or new < old * (1 - IMPROVEMENT))
                work.stale = 0 if improved else work.stale + 1

    def _first_round(self, builders: Pool, runner: Pool, folder: Path) -> bool:
        """Measure every task once: at its best record, whose time may be another day's or another's, or at its
        zero-trial schedule. True unless the budget ended it."""
        todo = [w for w in self.work if w.state.trials == 0]
        todo.sort(key=lambda w: -(w.state.flops or 0.0) * w.state.calls)
        for start in range(0, len(todo), 16):
            part = todo[start : start + 16][: self.spending.afford(16)]
            if not part or self.spending.spent:
                return False
            with self._step("search"):
                batch = [(work, self._first(work)) for work in part]
            fresh = [work for work in part if work.state.best_seconds is None]
            self._measure(batch, builders, runner, folder)
            for work in fresh:
                work.state.default_seconds = work.state.best_seconds
        return True

    def _first(self, work: _Work) -> Candidate:
        """The first trial of a task."""
        for record in self.store.top(work.state.hash, self.fingerprint.id, RECORDS_TRIED):
            candidate = work.search.from_record(record)
            if candidate is not None:
                return candidate
        return work.search.default()

    def _best(self, workload: str) -> float | None:
        best = self.store.best(workload, self.fingerprint.id)
        return best.median if best is not None else None

    def _next(self, workers: int) -> list[_Work]:
        """The tasks to search now: where a few percent are worth most to the model, enough to keep builders busy."""
        seconds = self._seconds()
        used = {
            digest for layer in self.expanded.layers for digest in [_fastest(layer.tasks.values(), seconds)] if digest
        }

        def worth(work: _Work) -> float:
            best = work.state.best_seconds
            if best is None:  # no trial has succeeded yet
                return (work.state.flops or 0.0) / SLOW_FLOPS * work.state.calls * 0.5**work.stale
            value = best * work.state.calls * 0.5**work.stale
            if work.state.hash in used:
                return value
            # A kernel of an algorithm that is slower so far is worth searching only while it might still win.
            rival = self._rival(work, seconds)
            return value * 0.5 if rival is not None and best < 1.4 * rival else 0.0

        ranked = [(worth(work), work) for work in self.work if not work.done]
        ranked.sort(key=lambda pair: -pair[0])
        return [w for value, w in ranked if value > 0][: max(1, workers)]

    def _rival(self, work: _Work, seconds: dict[str, float]) -> float | None:
        found = [
            min(seconds[h] for h in layer.tasks.values() if h in seconds)
            for layer in self.expanded.layers
            if work.state.hash in layer.tasks.values() and any(h in seconds for h in layer.tasks.values())
        ]
        return max(found, default=None)

    def _propose(self, work: _Work) -> list[Candidate]:
        if not work.searching:
            records = self.store.top(work.state.hash, self.fingerprint.id, 32)
            work.search.start(records, self.store.tried(work.state.hash, self.fingerprint.id))
            work.searching = True
        return work.search.propose(BATCH)

    def _measure(self, batch: list[tuple[_Work, Candidate]], builders: Pool, runner: Pool, folder: Path) -> None:
        """Build and measure candidates, keep each result at once, and let the searches learn."""
        if not batch:
            return
        config = self.target.config()
        jobs = []
        for _, candidate in batch:
            # A name of its own: the runner still holds the last batch's libraries, and the loader knows them by name.
            self.built += 1
            jobs.append({"module": candidate.module, "target": config, "library": str(folder / f"{self.built}.so")})
        self._show("building")
        # The longest first: at the end, one would keep a single builder busy.
        order = sorted(range(len(jobs)), key=lambda i: -len(jobs[i]["module"]))
        with self._step("build"):
            outcomes = builders.map("build", [jobs[i] for i in order], BUILD_SECONDS, stop=self._time_is_up)
        built = [outcomes[order.index(i)] for i in range(len(jobs))]
        results: dict[int, list[list[float]]] = {}
        self._show("measuring")
        with self._step("measure"):
            for (work, candidate), outcome in zip(batch, built, strict=True):
                if self.spending.seconds_left <= 0.0:
                    results.setdefault(id(work), [])
                    continue
                times = self._run(work, outcome, runner)
                self._keep(work, candidate, times)
                results.setdefault(id(work), []).append(list(times.value or []))
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        with self._step("learn"):
            for work in {id(w): w for w, _ in batch}.values():
                measured = results[id(work)]
                work.search.learn([c for w, c in batch if w is work][: len(measured)], measured)

    def _run(self, work: _Work, built: Outcome, runner: Pool) -> Outcome:
        if built.error is not None:
            return Outcome(error=f"build: {built.error}")
        library, arguments = built.value
        best = work.state.best_seconds
        func = work.search.task.mod["main"]
        weights = [int(i) for i in func.attrs["layout_free_buffers"]] if "layout_free_buffers" in func.attrs else []
        job: dict[str, Any] = {
            "library": library,
            "arguments": arguments,
            "weights": weights,
            "repeats": REPEATS,
            "repeat_seconds": REPEAT_SECONDS,
            "give_up": None if best is None else GIVE_UP * best + 1e-5,
        }
        return runner.map("measure", [job], MEASURE_SECONDS)[0]

    def _keep(self, work: _Work, candidate: Candidate, outcome: Outcome) -> None:
        seconds = tuple(float(s) for s in outcome.value or ())
        record = Record(
            workload=work.state.hash,
            trace=candidate.trace,
            seconds=seconds,
            error=None if seconds else clean_error(outcome.error or "no time was measured"),
            fingerprint=self.fingerprint.id,
            target=self.target.config(),
            device=self.fingerprint.device,
            threads=self.target.cores,
            tvm_version=targets.tvm_version(),
            tool_version=self.tool_version,
            seed=self.seed,
            created=now(),
            run=self.unfinished.id,
        )
        if work.state.hash not in self.known:
            from compiler.records.workload import workload_of

            self.store.add_workload(workload_of(work.search.task.mod, work.state.name))
            self.known.add(work.state.hash)
        self.store.add(record)
        work.state.trials += 1
        self.state.trials += 1
        self.spending.trials += 1
        if seconds:
            work.state.best_seconds = self._best(work.state.hash)
        else:
            work.state.failed += 1
            self.state.failed += 1
            work.state.last_error = record.error
        self._show("measuring")

    def _seconds(self) -> dict[str, float]:
        return {s.hash: s.best_seconds for s in self.state.tasks if s.best_seconds is not None}

    def _estimate(self) -> None:
        seconds = self._seconds()
        total = self.expanded.latency(seconds)
        self.state.latency_seconds = total
        times: dict[str, float] = {}
        for layer in self.expanded.layers:
            digest = _fastest(layer.tasks.values(), seconds)
            if digest is not None:
                times[digest] = times.get(digest, 0.0) + seconds[digest]
        whole = sum(times.values())
        for task in self.state.tasks:
            task.used = task.hash in times or task.best_seconds is None
            task.share = times.get(task.hash, 0.0) / whole if whole and task.best_seconds is not None else None

    def _show(self, phase: str) -> None:
        self.state.seconds = self.spending.seconds
        self.state.phase = phase
        self._estimate()
        if self.progress is not None:
            self.progress(self.state)

    def _poll(self) -> None:
        """Show what time it is; Ctrl-C ends the run here."""
        self._show(self.state.phase)

    def _time_is_up(self) -> bool:
        self._poll()
        return self.spending.seconds_left <= 0.0

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        if name == "search":
            self._show("searching")
        try:
            yield
        finally:
            self.spent[name] = self.spent.get(name, 0.0) + time.perf_counter() - started
            if name == "measure":
                self.unfinished.save(self.spending.seconds)


def _fastest(hashes: Any, seconds: dict[str, float]) -> str | None:
    measured = [h for h in hashes if h in seconds]
    return min(measured, key=lambda h: seconds[h]) if measured else None
