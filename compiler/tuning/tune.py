"""Tuning a model: takes it apart into tasks, and searches fast kernels for them on this machine or on boards."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import targets
from compiler.errors import EdgetuneError, UsageError
from compiler.precision import must_have, storage_of
from compiler.scratch import scratch_folder
from compiler.tuning.alternate import Alternation
from compiler.tuning.budget import Budget
from compiler.tuning.checking import Checker
from compiler.tuning.overlap import Overlap
from compiler.tuning.runner import BoardsLostError
from compiler.tuning.session import Progress, Session
from compiler.tuning.state import TaskState, TuneSummary
from compiler.tuning.workers import Pool

if TYPE_CHECKING:
    from compiler.frontend import Model
    from compiler.graph.variants import Variants
    from compiler.records.store import Store
    from compiler.tuning.builder import Builder
    from compiler.tuning.runner import Runner

__all__ = ["Budget", "TuneSummary", "list_tasks", "tune"]


def list_tasks(model: Model, target: targets.Target, precision: str = "fp32") -> list[TaskState]:
    """The tasks of `model`, without tuning anything; the index, from 1, is what `tasks=` of `tune` takes."""
    return task_states(expand(model, target, precision))


def expand(model: Model, target: targets.Target, precision: str = "fp32", dump: Path | None = None) -> Variants:
    """`model` taken apart into layers and, for each, the kernels that may compute it.

    Raises UsageError where the target does not have the precision.
    """
    must_have(target, precision)
    from compiler.tvm_setup import prepare

    prepare(target.kind)
    if target.kind == "cuda":
        from compiler.cuda.front import expand_for_gpus

        return expand_for_gpus(model, precision, dump)
    from compiler.cpu_front import front_for_cpus
    from compiler.graph import variants
    from compiler.graph.filling import filling
    from compiler.graph.scheduling import cpu_hardware

    laid_out, dumper, _ = front_for_cpus(model, target, precision, dump=dump)
    return variants.expand(laid_out, storage_of(precision), filling(cpu_hardware(target)), dumper)


def task_states(expanded: Variants) -> list[TaskState]:
    """The tasks of a model as progress shows them, none of them tried."""
    from compiler.graph.work import flops

    return [
        TaskState(index=i, name=task.name, hash=task.hash, calls=task.calls, flops=flops(task.mod))
        for i, task in enumerate(expanded.tasks.values(), 1)
    ]


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
    runner: Runner | None = None,
    builder: Builder | None = None,
    warm: bool = True,
) -> TuneSummary:
    """Search schedules for the kernels of `model` and keep every measurement in `store`.

    `runner` is where candidates are measured (None: this machine) and `builder` where they are built (None: this
    machine's cores). Every task is measured once, at its best record or its zero-trial schedule, before any gets a
    second round; unless `warm` is False, that is of what was fast for similar kernels where a task has no record of its
    own. The best kernels are compared with plain ones at the end, within the budget. After Ctrl-C the summary says
    `interrupted`, and when no board is left `lost`; the same call goes on from an interrupted, lost or killed run,
    counting its trials.
    Raises EdgetuneError where this machine is not the target, UsageError for a task that does not exist.
    """
    if runner is None:
        reason = targets.why_not_run(target)
        if reason is None and target.kind == "cuda":
            from compiler.cuda.runtime import why_driver_is_too_old

            reason = why_driver_is_too_old()
        if reason is not None:
            raise EdgetuneError(reason)
    must_have(target, precision)
    with ExitStack() as stack:
        # The workers load TVM while the model is taken apart here.
        if builder is None:
            builder = stack.enter_context(Pool(builders(target, runner), 1))
        if runner is None:
            from compiler.tuning.gpu import GpuRunner
            from compiler.tuning.local import LocalRunner

            if target.kind == "cuda":
                runner = stack.enter_context(GpuRunner(target))
            else:
                runner = stack.enter_context(LocalRunner(target))
        expanded = expand(model, target, precision, dump)
        states = task_states(expanded)
        if tasks is not None:
            unknown = sorted(tasks - {s.index for s in states})
            if unknown:
                raise UsageError(f"no task {unknown[0]}: {model.name} has tasks 1 to {len(states)}")
        session = Session(
            model, target, store, budget, precision, seed, expanded, states, tasks, runner, progress, warm
        )
        folder = stack.enter_context(scratch_folder("tune"))
        return _run(session, builder, runner, folder)


def builders(target: targets.Target, runner: Runner | None) -> int:
    """How many candidates to build at a time on this machine."""
    if runner is None and target.kind != "cuda":
        return target.cores
    from targets import cpuinfo

    return len(cpuinfo.usable_cpus())


def _run(session: Session, builder: Builder, runner: Runner, folder: Path) -> TuneSummary:
    interrupted, lost = False, False
    loop = Overlap if runner.overlaps else Alternation
    try:
        ended = loop(session, builder, folder).run()
        session.show("checking")
        with session.step("check"):
            checker = Checker(session.store, session.fingerprint.id, session.target.config(), folder, session.show)
            deadline = time.monotonic() + session.spending.checking_seconds_left
            checker.run([(w.state, w.search) for w in session.work], builder, runner, deadline)
        session.unfinished.finish()
    except KeyboardInterrupt:
        interrupted, ended = True, "interrupted"
        session.unfinished.leave(session.spending.seconds)
    except BoardsLostError as error:
        lost, ended = True, str(error)
        session.unfinished.leave(session.spending.seconds)
    return session.summary(ended, interrupted, lost, runner.report())
