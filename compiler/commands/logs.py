"""`edgetune logs`: the records of tuning, as tables and as files."""

from __future__ import annotations

import targets
from compiler.commands.hardware import find_target
from compiler.commands.store import open_store
from compiler.errors import UsageError
from compiler.records.record import Record
from compiler.records.store import Store, TaskSummary
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps

_SHOWN = 12


def list_logs(output: Output, logs: str | None, fingerprint: str | None) -> None:
    """What is known of every kernel, by fingerprint."""
    with open_store(logs) as store:
        tasks = store.summary(fingerprint)
        where = store.path
    if not tasks:
        output.say(f"no records{f' for {fingerprint}' if fingerprint else ''} in {where}")
    for found in sorted({task.fingerprint for task in tasks}):
        chosen = [task for task in tasks if task.fingerprint == found]
        output.table(
            ("task", "workload", "best ms", "trials", "failed", "last"),
            (_task_row(task) for task in chosen),
            title=f"{found}: {len(chosen)} tasks, {sum(task.trials for task in chosen)} trials",
            right="best ms,trials,failed",
        )
    output.json(tasks)


def show_log(output: Output, logs: str | None, which: str) -> None:
    """One workload (its name, or its hash or the beginning of it) with its best records, or one record by its id."""
    with open_store(logs) as store:
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
    """Take in JSON lines or MetaSchedule's two files; bad lines are listed and skipped."""
    from compiler.records.exchange.import_ import import_logs as import_into

    options, device = None, None
    if target is not None:
        chosen = find_target(target)
        mark = targets.fingerprint(chosen)
        options, device = chosen.config(), mark.device
        fingerprint = fingerprint or mark.id
    with steps(output) as step, open_store(logs) as store:
        step(f"Importing {source}")
        report = import_into(store, source, fingerprint=fingerprint, device=device, target=options)
    for skipped in report.skipped[:20]:
        output.warn(f"{skipped.file}:{skipped.line}: skipped: {skipped.reason}")
    if report.skipped_count > 20:
        output.warn(f"{report.skipped_count - 20} more lines were skipped")
    for note in report.notes:
        output.warn(note)
    output.say(
        f"{report.added} records added, {report.known} were there already, {report.skipped_count} lines skipped "
        f"({report.files} {'file' if report.files == 1 else 'files'})"
    )
    output.json([report])


def export_logs(output: Output, logs: str | None, destination: str, fingerprint: str | None, top: int | None) -> None:
    """Write sorted JSON lines: one file where the name ends in .jsonl, else a folder of one file per kernel."""
    from compiler.records.exchange.export import export_file, export_folder

    to_file = destination.endswith(".jsonl")
    with steps(output) as step, open_store(logs) as store:
        if fingerprint is not None and fingerprint not in store.fingerprints():
            raise UsageError(f"{store.path} has no records of {fingerprint}; `edgetune logs list` lists what it has")
        write = export_file if to_file else export_folder
        step(f"Exporting to {destination}")
        report = write(store, destination, fingerprint=fingerprint, top=top)
    files = f"{len(report.files)} {'file' if len(report.files) == 1 else 'files'}"
    output.say(f"{report.records} records of {report.workloads} workloads written to {destination} ({files})")
    output.json([{"records": report.records, "workloads": report.workloads, "files": [str(f) for f in report.files]}])


def prune_logs(output: Output, logs: str | None, keep: int, fingerprint: str | None) -> None:
    """Keep the best `keep` records of each workload and fingerprint."""
    from compiler.records.prune import prune

    with open_store(logs) as store:
        report = prune(store, keep=keep, fingerprint=fingerprint)
    output.say(
        f"{report.kept} records kept, {report.removed} removed; "
        f"{fmt.size(report.bytes_before)} before, {fmt.size(report.bytes_after)} now"
        + ("" if report.shrunk else " (the file shrinks once no other process uses it)")
    )
    output.json([report])


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
