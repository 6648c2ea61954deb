"""`edgetune logs list`: what is known of every kernel."""

from __future__ import annotations

from compiler.commands.logs.choice import must_know
from compiler.commands.store import existing_store
from compiler.records.store import TaskSummary
from compiler.records.trust.verdicts import quarantined
from compiler.report import format as fmt
from compiler.report.output import Output


def list_logs(output: Output, logs: str | None, fingerprint: str | None) -> None:
    """What is known of every kernel, by fingerprint."""
    with existing_store(logs) as store:
        must_know(store, fingerprint)
        tasks = store.summary(fingerprint)
        where = store.path
        out = quarantined(store, fingerprint)
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
    if out:
        output.note(f"{fmt.count(len(out), 'record')} quarantined: `edgetune logs verify` says which, and why")
    output.json(tasks)


def _task_row(task: TaskSummary) -> tuple[object, ...]:
    return (
        task.name,
        task.workload[:12],
        fmt.milliseconds(task.best_seconds),
        task.trials,
        task.failed,
        task.last[:19],
    )
