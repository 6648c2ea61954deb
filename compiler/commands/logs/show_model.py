"""`edgetune logs show MODEL`: what the records say of a model, kernel by kernel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import targets
from compiler.commands import parse
from compiler.commands.hardware import find_target
from compiler.commands.source import must_be_model
from compiler.commands.store import device_at_hand, opened_store
from compiler.errors import EdgetuneError, UsageError
from compiler.places import must_hold_files
from compiler.records.model_log import ModelLog, ModelTask, model_log
from compiler.records.record import UNKNOWN_TIME
from compiler.records.store import Store
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps


@dataclass(frozen=True)
class ShowOptions:
    """The options of `edgetune logs show` that are about a model."""

    target: str = "native"
    batches: str | None = None
    precisions: str = "fp32"
    fingerprint: str | None = None
    plot: str | None = None


def show_model(output: Output, logs: str | None, source: str, options: ShowOptions) -> None:
    """Show every kernel of a model with its best record, and what the model should take with them.

    Raises EdgetuneError where there is no record of any of its kernels.
    """
    from compiler.frontend import load
    from compiler.graph.work import flops
    from compiler.records.curves import curves
    from compiler.report.curves import FORMATS, draw_model
    from compiler.tuning.tune import expand

    must_be_model(source)
    precisions = parse.precisions(options.precisions)
    batches = parse.batches(options.batches) if options.batches is not None else [None]
    if options.plot is not None:
        if len(precisions) * len(batches) > 1:
            raise UsageError("--plot draws one model: give one batch size and one precision")
        if Path(options.plot).suffix not in FORMATS:
            raise UsageError(f"--plot {options.plot}: a picture's name ends in {', '.join(FORMATS)}")
        must_hold_files(Path(options.plot).absolute().parent, Path(options.plot))
    target = find_target(options.target)
    known = 0
    with opened_store(logs, target) as store:
        fingerprint = _fingerprint(store, target, options.fingerprint)
        for batch in batches:
            for precision in precisions:
                with steps(output) as step:
                    step(f"Looking at the kernels of {source}")
                    model = load(source, batch=batch)
                    expanded = expand(model, target, precision)
                    work = {digest: flops(task.mod) for digest, task in expanded.tasks.items()}
                    log = model_log(expanded, work, store, fingerprint)
                label = f"{model.name}{f' batch {model.batch}' if model.batch is not None else ''} {precision}"
                _show(output, label, fingerprint, log)
                known += sum(task.best is not None for task in log.tasks)
                if options.plot is not None:
                    runs = [c for task in log.tasks for c in curves(store.records(workload=task.workload,
                            fingerprint=fingerprint)) if len(c.best) > 1 and c.best[-1]]  # fmt: skip
                    shares = [(task.name, task.seconds) for task in log.tasks if task.seconds]
                    names = {task.workload: task.name for task in log.tasks}
                    draw_model(Path(options.plot), runs, names, shares, f"{label} on {fingerprint}")
                    output.say(f"written to {options.plot}")
                output.json([_json(label, fingerprint, log)])
        where = store.path
    if not known:
        raise EdgetuneError(f"{where} has no record of {source} for {fingerprint}: `edgetune tune` makes some")


def _fingerprint(store: Store, target: targets.Target, given: str | None) -> str:
    if given is None:
        return device_at_hand(target, store).id
    if given not in store.fingerprints():
        raise UsageError(f"{store.path} has no records of {given}; `edgetune logs list` lists what it has")
    return given


_COLUMNS = ("task", "calls", "best ms", "GFLOP/s", "share", "trials", "who", "when", "TVM")
_SPARE = ("TVM", "who", "when")


def _show(output: Output, label: str, fingerprint: str, log: ModelLog) -> None:
    whole = sum(task.seconds for task in log.tasks) if log.latency_seconds is not None else None
    tuned = sum(task.best is not None for task in log.tasks)
    here = targets.tvm_version()
    software = ", ".join(
        f"TVM {version}{'' if version == here else f' (here: {here})'}: {fmt.count(number, 'task')}"
        for version, number in sorted(log.software.items())
    )
    facts: dict[str, object] = {
        "fingerprint": fingerprint,
        "tasks": f"{tuned} of {len(log.tasks)} have records",
        "expected latency": f"{fmt.milliseconds(log.latency_seconds)} ms" if log.latency_seconds is not None else None,
        "measured": None if log.measured is None else f"{_day(log.measured[0])} to {_day(log.measured[1])}",
        "software": software or None,
        "circumstances": f"unknown for {log.bare} of {fmt.count(tuned, 'best record')}" if log.bare else None,
    }
    output.facts(facts, title=label)
    output.table(
        _COLUMNS, (_row(task, whole) for task in log.tasks), right="calls,best ms,GFLOP/s,share,trials", spare=_SPARE
    )
    if log.missing:
        output.say(f"without records: {', '.join(log.missing)}")


def _row(task: ModelTask, whole: float | None) -> tuple[object, ...]:
    best = task.best
    return (
        task.name,
        task.calls,
        fmt.milliseconds(best.median if best else None),
        fmt.significant(task.gflops or None),
        "not used" if best and not task.used else fmt.share(task.seconds / whole if whole and best else None),
        task.trials,
        None if best is None else best.author or task.origin or "measured here",
        None if best is None else _day(best.created) or "unknown",
        None if best is None else best.tvm_version,
    )


def _day(created: str) -> str | None:
    """The day of a UTC time, and how long ago it was."""
    if created == UNKNOWN_TIME:
        return None
    days = (datetime.now(timezone.utc) - datetime.fromisoformat(created[:-1]).replace(tzinfo=timezone.utc)).days
    return f"{created[:10]} ({'today' if days <= 0 else fmt.count(days, 'day') + ' ago'})"


def _json(label: str, fingerprint: str, log: ModelLog) -> dict[str, object]:
    return {
        "model": label,
        "fingerprint": fingerprint,
        "latency_seconds": log.latency_seconds,
        "missing": log.missing,
        "tasks": [
            {
                "name": task.name,
                "workload": task.workload,
                "calls": task.calls,
                "used": task.used,
                "flops": task.flops,
                "trials": task.trials,
                "best_seconds": task.best.median if task.best else None,
                "gflops": task.gflops,
                "record": task.best.id if task.best else None,
                "author": (task.best.author or None) if task.best else None,
                "origin": task.origin,
                "created": task.best.created if task.best else None,
                "tvm_version": task.best.tvm_version if task.best else None,
                "tool_version": task.best.tool_version if task.best else None,
            }
            for task in log.tasks
        ],
    }
