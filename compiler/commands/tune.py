"""`edgetune tune`: search for fast kernels, model by model, and keep what was learned."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import targets
from compiler.commands import parse, tune_offline
from compiler.commands.cluster import opened_builder
from compiler.commands.device import HERE, DeviceOptions, Place, opened_place
from compiler.commands.hardware import must_compile, must_run, must_tune, thread_count
from compiler.commands.interrupt import deferred
from compiler.commands.source import must_be_file, must_be_model
from compiler.commands.store import opened_store
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend.model import Model
from compiler.places import make_folder
from compiler.precision import must_have
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import Steps, steps
from compiler.report.tuning import estimate, show_tasks, tune_progress

if TYPE_CHECKING:
    from compiler.records.store import Store
    from compiler.tuning.boards.fleet import Fleet
    from compiler.tuning.gpu import GpuRunner
    from compiler.tuning.state import BoardSummary, TuneState, TuneSummary

# The classic pair of the field, for `edgetune tune --target T` without a model.
DEFAULT_MODELS = ("alexnet", "googlenet")
LIST = "list"
_ERRORS_SHOWN = 5
_KEPT = "what was learned is kept, and the same command goes on from there"


@dataclass(frozen=True)
class TuneOptions:
    """The options of `edgetune tune`, as the command line gives them."""

    target: str
    batches: str | None
    precisions: str
    shapes: Sequence[str]
    trials: int | None
    time_: str | None
    tasks: str | None
    logs: str | None
    seed: int
    threads: int | None
    dump: str | None
    device: DeviceOptions = HERE
    others: Sequence[str] = ()
    cool_below: float | None = None
    export_batch: str | None = None
    import_results: str | None = None
    build_cluster: str | None = None
    no_warm_start: bool = False
    l2: str = "flush"

    @property
    def offline(self) -> bool:
        """Whether it is for a board that no network reaches."""
        return self.export_batch is not None or self.import_results is not None


@dataclass(frozen=True)
class _Job:
    """One model at one batch size and precision."""

    model: Model
    precision: str

    @property
    def label(self) -> str:
        batch = f" batch {self.model.batch}" if self.model.batch is not None else ""
        return f"{self.model.name}{batch} {self.precision}"


def tune(sources: Sequence[str], output: Output, options: TuneOptions) -> None:
    """Tune every model at every batch size and precision, one after the other, each within the budget.

    Raises KeyboardInterrupt after Ctrl-C, when everything learned is kept and shown, EdgetuneError when no board is
    left, and at the end when all that was tried for a model failed.
    """
    if options.offline:
        tune_offline.must_make_sense(options)
    if options.cool_below is not None and options.device.local:
        raise UsageError("--cool-below is for boards: give --rpc or --ssh")
    for source in sources:
        must_be_model(source)
    for other in options.others:
        must_be_file(other, "--logs")
    if options.dump is not None:
        make_folder(Path(options.dump), "--dump")
    seconds = parse.duration(options.time_) if options.time_ is not None else None
    chosen = parse.selection(options.tasks) if options.tasks not in (None, LIST) else None
    if options.offline and options.tasks != LIST:
        _tune_offline(sources or DEFAULT_MODELS, output, options, chosen)
        return
    with ExitStack() as stack:
        with steps(output) as step:
            place = stack.enter_context(opened_place(options.device, step))
            target = _target(place, options)
            for precision in parse.precisions(options.precisions):
                must_have(target, precision)
            jobs = list(_jobs(sources or DEFAULT_MODELS, options, step))
        if options.tasks == LIST:
            _list_tasks(jobs, target, output)
            return
        store = stack.enter_context(opened_store(options.logs, target, place.machine))
        _take_in(store, options.others, output)
        if not options.no_warm_start:
            _take_in_similar(store, target, place.machine)
        output.note(_settings(target, store, options, seconds))
        summaries = []
        for job in jobs:
            summary = _tune(job, place, target, store, output, options, seconds, chosen)
            summaries.append((job, summary))
            _show(job, summary, output)
            if summary.interrupted:
                raise KeyboardInterrupt(_KEPT if summary.trials else "nothing was measured yet")
            if summary.lost:
                raise EdgetuneError(f"{summary.ended}; {_KEPT}")
    if len(summaries) > 1:
        output.table(
            ("model", "tasks", "trials", "failed", "estimated ms", "ended because"),
            (
                (
                    *(job.label, len(s.tasks), s.trials, s.failed),
                    fmt.milliseconds(estimate(s.tasks, s.latency_seconds)),
                    s.ended,
                )
                for job, s in summaries
            ),
            right="tasks,trials,failed,estimated ms",
        )
    for job, summary in summaries:
        if _failed(summary):
            why = next((task.last_error for task in summary.tasks if task.last_error is not None), "no reason is known")
            raise EdgetuneError(f"{job.label}: every trial failed ({summary.failed}), one of them with: {why}")


def _take_in(store: Store, sources: Sequence[str], output: Output) -> None:
    """Import logs of others, in their order: a record that several hold is the first one's. Their schedules are where
    the search begins; their times are measured again."""
    if not sources:
        return
    from compiler.commands.logs.warnings import warn_of
    from compiler.records.exchange.import_ import import_logs

    for source in sources:
        with steps(output) as step:
            step(f"Importing {source}")
            report = import_logs(store, source)
        warn_of(output, report)
        output.note(f"{source}: {report.added} records added, {report.known} were there already")


def _take_in_similar(store: Store, target: targets.Target, machine: targets.Machine | None) -> None:
    """Take in the logs that come with edgetune for the most similar device, where there is nothing of this one."""
    from compiler.commands.store import NO_SHIPPED
    from compiler.records.nearest.shipped import import_nearest_shipped

    if not os.environ.get(NO_SHIPPED):
        import_nearest_shipped(store, target, targets.fingerprint(target, machine=machine))


def _failed(summary: TuneSummary) -> bool:
    """Whether trials were made, and none of the tasks that were tried has a time."""
    tried = [task for task in summary.tasks if task.trials > 0]
    return summary.failed > 0 and all(task.best_seconds is None for task in tried)


def _jobs(sources: Sequence[str], options: TuneOptions, step: Steps) -> Iterator[_Job]:
    """Everything to tune, loaded: what is wrong with any of it ends the command before the first trial."""
    from compiler.frontend import load

    precisions = parse.precisions(options.precisions)
    batches: Sequence[int | None] = parse.batches(options.batches) if options.batches is not None else [None]
    shapes = parse.shapes(options.shapes)
    for source in sources:
        for batch in batches:
            step(f"Loading {source}{f' at batch {batch}' if batch else ''}")
            model = load(source, batch=batch, shapes=shapes or None, seed=options.seed)
            for precision in precisions:
                yield _Job(model, precision)


def _tune_offline(sources: Sequence[str], output: Output, options: TuneOptions, chosen: set[int] | None) -> None:
    with steps(output) as step:
        jobs = list(_jobs(sources, options, step))
    if len(jobs) != 1:
        raise UsageError(
            f"a batch is of one model at one batch size and precision, and these are {len(jobs)}: name one"
        )
    tune_offline.tune_offline(jobs[0].model, jobs[0].precision, output, options, chosen)


def _target(place: Place, options: TuneOptions) -> targets.Target:
    """The target to tune for. Raises UsageError where it cannot be compiled here, or the place cannot run it."""
    target = place.target(options.target, options.threads)
    if place.local:
        must_tune(target)
    else:
        must_run(target, "tune", place.machine)
        must_compile(target)
    place.must_have_cpus(thread_count(target))
    return target


def _tune(
    job: _Job,
    place: Place,
    target: targets.Target,
    store: Store,
    output: Output,
    options: TuneOptions,
    seconds: float | None,
    chosen: set[int] | None,
) -> TuneSummary:
    from compiler.tuning.tune import Budget
    from compiler.tuning.tune import tune as search

    def notice() -> None:
        output.note("stopping after the step in hand; press Ctrl-C again to stop at once")

    with ExitStack() as stack:
        interrupts = stack.enter_context(deferred(notice))
        progress = stack.enter_context(tune_progress(output, job.label))
        runner = _runner(place, target, options)
        if runner is not None:
            stack.enter_context(runner)
        builder = stack.enter_context(opened_builder(options.build_cluster, target, runner, output))

        def safe_point(state: TuneState) -> None:
            # Until the first of these nothing is measured that a step in hand could lose.
            interrupts.defer()
            progress(state)
            interrupts.check()

        summary = search(
            job.model,
            target,
            precision=job.precision,
            store=store,
            budget=Budget(trials=options.trials, seconds=seconds),
            tasks=chosen,
            seed=options.seed,
            dump=Path(options.dump) if options.dump else None,
            progress=safe_point,
            runner=runner,
            builder=builder,
            warm=not options.no_warm_start,
        )
    if interrupts.pending:
        summary.interrupted = True
    return summary


def _runner(place: Place, target: targets.Target, options: TuneOptions) -> Fleet | GpuRunner | None:
    """The boards to measure on, or this machine's GPU; None for its CPU."""
    if place.way is None or place.identity is None:
        if target.kind != "cuda":
            return None
        from compiler.tuning.gpu import GpuRunner

        return GpuRunner(target, l2=options.l2)
    from compiler.tuning.boards.fleet import Fleet

    return Fleet(place.way, target, place.identity, cool_below=options.cool_below)


def _show(job: _Job, summary: TuneSummary, output: Output) -> None:
    # What ended before its first measurement has nothing to show but dashes.
    if any(task.best_seconds is not None for task in summary.tasks):
        title = f"{job.label}: {fmt.count(len(summary.tasks), 'task')}"
        show_tasks(output, title, summary.tasks, summary.latency_seconds)
    latency = estimate(summary.tasks, summary.latency_seconds)
    estimated = fmt.milliseconds(latency)
    parts = [
        f"{fmt.count(summary.trials, 'trial')} ({summary.failed} failed) in {fmt.span(summary.seconds)}",
        f"estimated latency {estimated} ms" if estimated else "",
        "" if summary.interrupted else f"ended because {summary.ended}",
    ]
    output.say(f"{job.label}: {', '.join(part for part in parts if part)}")
    whole = sum(summary.spent.values())
    if whole > 0:
        ranked = sorted(summary.spent.items(), key=lambda step: -step[1])
        output.say(f"the time went into {', '.join(f'{name} {fmt.share(took / whole)}' for name, took in ranked)}")
    for board in summary.boards:
        who = f"the GPU ({board.board})" if board.own_gpu else f"the board {board.board}"
        output.say(f"{who} measured {_board_words(board)}")
    failing = [task for task in summary.tasks if task.last_error is not None]
    for task in failing[:_ERRORS_SHOWN]:
        output.note(f"{task.name}: {task.failed} candidates failed, the last one: {task.last_error}")
    output.json(
        [
            {
                "model": job.model.name,
                "batch": job.model.batch,
                "precision": job.precision,
                "trials": summary.trials,
                "failed": summary.failed,
                "seconds": summary.seconds,
                "latency_seconds": latency,
                "ended": summary.ended,
                "interrupted": summary.interrupted,
                "resumed": summary.resumed,
                "begins": asdict(summary.begins),
                "spent": summary.spent,
                "trials_per_minute": summary.trials_per_minute,
                "lost": summary.lost,
                "boards": [asdict(board) for board in summary.boards],
                "tasks": [
                    {
                        "index": task.index,
                        "name": task.name,
                        "workload": task.hash,
                        "calls": task.calls,
                        "trials": task.trials,
                        "failed": task.failed,
                        "untuned_seconds": task.default_seconds,
                        "best_seconds": task.best_seconds,
                        "gflops": task.gflops,
                        "share": None if latency is None else task.share,
                    }
                    for task in summary.tasks
                ],
            }
        ]
    )


def _board_words(board: BoardSummary) -> str:
    parts = [
        fmt.count(board.trials, "trial"),
        f"{fmt.count(board.crashes, 'session')} crashed" if board.crashes else "",
        f"it went away over {fmt.count(board.lost, 'trial')}" if board.lost else "",
        f"at most {board.celsius:.0f} degrees" if board.celsius is not None else "",
        f"up to {fmt.share(max(d.ratio for d in board.drifts) - 1)} slower than at first" if board.drifts else "",
    ]
    return ", ".join(part for part in parts if part)


def _list_tasks(jobs: Sequence[_Job], target: targets.Target, output: Output) -> None:
    from compiler.tuning.tune import list_tasks

    for job in jobs:
        tasks = list_tasks(job.model, target, precision=job.precision)
        rows = [(task.index, task.name, task.calls, task.hash[:12]) for task in tasks]
        title = f"{job.label}: {fmt.count(len(rows), 'task')}"
        # The workload tells kernels of one name apart (Winograd with small tiles and large ones).
        output.table(("number", "task", "calls", "workload"), rows, title=title, right="number,calls")
        output.json(
            {
                "model": job.model.name,
                "number": task.index,
                "task": task.name,
                "calls": task.calls,
                "workload": task.hash,
            }
            for task in tasks
        )


def _settings(target: targets.Target, store: Store, options: TuneOptions, seconds: float | None) -> str:
    """The settings as they were understood, in a line."""
    budget = [fmt.count(options.trials, "trial") if options.trials else "", f"{fmt.span(seconds)}" if seconds else ""]
    words = " or ".join(part for part in budget if part) or "until nothing improves"
    threads = f" with {fmt.count(thread_count(target), 'thread')}" if target.kind != "cuda" else ""
    return f"tuning for {target.name}{threads}, {words} per model, seed {options.seed}, records in {store.path}"
