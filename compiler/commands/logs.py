"""`edgetune logs`: the records of tuning, as tables and as files."""

from __future__ import annotations

import sys
from pathlib import Path

import targets
from compiler.commands.hardware import find_target
from compiler.commands.source import must_be_file
from compiler.commands.store import existing_store, open_store
from compiler.errors import EdgetuneError, UsageError
from compiler.places import must_hold_files
from compiler.records.record import Record
from compiler.records.store import Store, TaskSummary
from compiler.report import format as fmt
from compiler.report.output import STDOUT, Output
from compiler.report.steps import steps

_SHOWN = 12
_WARNINGS = 20


def list_logs(output: Output, logs: str | None, fingerprint: str | None) -> None:
    """What is known of every kernel, by fingerprint."""
    with existing_store(logs) as store:
        _must_know(store, fingerprint)
        tasks = store.summary(fingerprint)
        where = store.path
    if not tasks:
        output.say(f"no records in {where}")
    for found in sorted({task.fingerprint for task in tasks}):
        chosen = [task for task in tasks if task.fingerprint == found]
        output.table(
            ("task", "workload", "best ms", "trials", "failed", "last"),
            (_task_row(task) for task in chosen),
            title=f"{found}: {fmt.count(len(chosen), 'task')}, {fmt.count(sum(t.trials for t in chosen), 'trial')}",
            right="best ms,trials,failed",
        )
    output.json(tasks)


def show_log(output: Output, logs: str | None, which: str) -> None:
    """One workload (its name, or its hash or the beginning of it) with its best records, or one record by its id."""
    if not which.strip():
        raise UsageError("name a workload or a record: `edgetune logs list` lists all")
    with existing_store(logs) as store:
        tasks = [task for task in store.summary() if which == task.name or task.workload.startswith(which)]
        if not tasks:
            record = _record_by_id(store, which)
            if record is None:
                raise UsageError(
                    f"no workload or record in {store.path} is called {which}; `edgetune logs list` lists all"
                )
            _show_record(output, record)
            return
        shown: list[Record] = []
        for task in tasks:
            best = store.top(task.workload, task.fingerprint, _SHOWN)
            shown += best
            output.facts(
                {
                    "workload": task.workload,
                    "fingerprint": task.fingerprint,
                    "trials": f"{task.trials}, {task.failed} of them failed",
                    "measured": f"{task.first} to {task.last}",
                },
                title=task.name,
            )
            output.table(
                ("record", "median ms", "repeats", "checked", "threads", "TVM", "created"),
                (_record_row(record) for record in best),
                title=f"the best {len(best)}" if len(best) < task.trials else "",
                right="median ms,repeats,threads",
            )
        output.json(_json(record) for record in shown)


def import_logs(output: Output, logs: str | None, source: str, target: str | None, fingerprint: str | None) -> None:
    """Take in JSON lines or MetaSchedule's two files; bad lines are listed and skipped.

    Raises EdgetuneError when not one record is good.
    """
    from compiler.records.exchange.import_ import import_logs as import_into

    options, device = None, None
    if target is not None:
        chosen = find_target(target)
        mark = targets.fingerprint(chosen)
        options, device = chosen.config(), mark.device
        fingerprint = fingerprint or mark.id
    must_be_file(source, "FILE|DIR")
    with steps(output) as step, open_store(logs) as store:
        step(f"Importing {source}")
        report = import_into(store, source, fingerprint=fingerprint, device=device, target=options)
    for skipped in report.skipped[:_WARNINGS]:
        output.warn(f"{skipped.file}:{skipped.line}: skipped: {skipped.reason}")
    if report.skipped_count > _WARNINGS:
        output.warn(f"{fmt.count(report.skipped_count - _WARNINGS, 'more line')} skipped")
    for note in report.notes:
        output.warn(note)
    output.say(
        f"{report.added} records added, {report.known} were there already, {report.skipped_count} lines skipped "
        f"({fmt.count(report.files, 'file')})"
    )
    output.json([report])
    if not report.added + report.known:
        raise EdgetuneError(f"{source} holds no record that can be used")


def export_logs(output: Output, logs: str | None, destination: str, fingerprint: str | None, top: int | None) -> None:
    """Write sorted JSON lines: one file where the name ends in .jsonl, stdout for -, else a folder of one per kernel.

    Raises EdgetuneError where there is nothing to write or no place for it.
    """
    from compiler.records.exchange.export import export_file, export_folder, export_stream

    if destination == STDOUT and output.json_to_stdout:
        raise UsageError("logs export - and --json - both write to stdout: give one of them a file")
    path = Path(destination)
    with existing_store(logs) as store, steps(output) as step:
        _must_know(store, fingerprint)
        tasks = store.summary(fingerprint)
        if not tasks:
            raise EdgetuneError(f"there is nothing to export: {store.path} holds no records")
        if top is not None and all(task.best_seconds is None for task in tasks):
            raise EdgetuneError("there is nothing to export: every trial failed, so that there are no best records")
        if destination == STDOUT:
            report = export_stream(store, sys.stdout.buffer, fingerprint=fingerprint, top=top)
            sys.stdout.buffer.flush()
        else:
            _check_place(path)
            step(f"Exporting to {destination}")
            write = export_file if path.suffix == ".jsonl" else export_folder
            report = write(store, path, fingerprint=fingerprint, top=top)
    if destination != STDOUT:
        records, workloads = fmt.count(report.records, "record"), fmt.count(report.workloads, "workload")
        output.say(f"{records} of {workloads} written to {destination} ({fmt.count(len(report.files), 'file')})")
    output.json([{"records": report.records, "workloads": report.workloads, "files": [str(f) for f in report.files]}])


def draw_curves(
    output: Output, logs: str | None, destination: str, fingerprint: str | None, at: int, least: int
) -> None:
    """Draw the speed of each task over the trials made, and tell what `at` trials reach of what all do.

    Tasks of which a run made fewer than `least` trials are left out.
    """
    from compiler.records.curves import curves
    from compiler.report.curves import FORMATS
    from compiler.report.curves import draw_curves as draw

    path = Path(destination)
    if path.suffix not in FORMATS:
        raise UsageError(f"-o {path}: a picture's name ends in {', '.join(FORMATS)}")
    must_hold_files(path.absolute().parent, path)
    with existing_store(logs) as store:
        _must_know(store, fingerprint)
        found = [c for c in curves(store.records(fingerprint=fingerprint)) if len(c.best) >= least and c.best[-1]]
        names = {task.workload: task.name for task in store.summary(fingerprint)}
    if not found:
        raise EdgetuneError(f"no task in {logs or 'the store'} has {least} trials in one run")
    draw(path, found, names, fmt.count(len(found), "task"))
    output.table(
        ("task", "workload", "trials", "best ms", f"after {at} trials"),
        (
            (names[c.workload], c.workload[:12], len(c.best), fmt.milliseconds(c.best[-1]), fmt.share(c.share(at)))
            for c in found
        ),
        right=f"trials,best ms,after {at} trials",
    )
    output.say(f"written to {path}")
    output.json(
        {"task": names[c.workload], "workload": c.workload, "run": c.run, "best_seconds": c.best, "share": c.share(at)}
        for c in found
    )


def prune_logs(output: Output, logs: str | None, keep: int, fingerprint: str | None) -> None:
    """Keep the best `keep` records of each workload and fingerprint."""
    from compiler.records.prune import prune

    with existing_store(logs) as store:
        _must_know(store, fingerprint)
        report = prune(store, keep=keep, fingerprint=fingerprint)
    output.say(
        f"{report.kept} records kept, {report.removed} removed; "
        f"{fmt.size(report.bytes_before)} before, {fmt.size(report.bytes_after)} now"
        + ("" if report.shrunk else " (the file shrinks once no other process uses it)")
    )
    output.json([report])


def _must_know(store: Store, fingerprint: str | None) -> None:
    """Raises UsageError for a fingerprint that the store has no records of."""
    if fingerprint is not None and fingerprint not in store.fingerprints():
        raise UsageError(f"{store.path} has no records of {fingerprint}; `edgetune logs list` lists what it has")


def _check_place(path: Path) -> None:
    """Raises EdgetuneError where nothing can be exported to: a folder is made, but not the one that it lies in."""
    if path.suffix == ".jsonl" and path.is_dir():
        raise EdgetuneError(f"cannot write {path}: it is a folder")
    if path.suffix != ".jsonl" and path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file: name a folder, or a file whose name ends in .jsonl")
    must_hold_files(path if path.is_dir() else path.absolute().parent, path)


def _task_row(task: TaskSummary) -> tuple[object, ...]:
    return (
        task.name,
        task.workload[:12],
        fmt.milliseconds(task.best_seconds),
        task.trials,
        task.failed,
        task.last[:19],
    )


def _record_row(record: Record) -> tuple[object, ...]:
    checked = {None: None, True: "right", False: "WRONG"}[record.checked]
    return (
        record.id[:12],
        fmt.milliseconds(record.median),
        len(record.seconds),
        checked,
        record.threads,
        record.tvm_version,
        record.created[:19],
    )


def _record_by_id(store: Store, which: str) -> Record | None:
    if len(which) < 6:
        return None
    return next((record for record in store.records() if record.id.startswith(which)), None)


def _show_record(output: Output, record: Record) -> None:
    facts = {name: value for name, value in _json(record).items() if name != "trace"}
    facts["seconds"] = ", ".join(f"{value:.6g}" for value in record.seconds) or None
    output.facts(facts, title=f"record {record.id}")
    output.say(record.trace)
    output.json([_json(record)])


def _json(record: Record) -> dict[str, object]:
    return {"id": record.id, **record.content(), "median": record.median}
