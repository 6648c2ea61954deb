"""`edgetune logs diff`: what one log has that another has not."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

from compiler.commands.logs.warnings import warn_of
from compiler.commands.source import must_be_file
from compiler.errors import EdgetuneError
from compiler.records.difference import TaskDifference, difference
from compiler.records.store import Store
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps
from compiler.scratch import scratch_folder


def diff_logs(output: Output, first: str, second: str, fingerprint: str | None) -> None:
    """Compare two logs, each a file, a folder or a store, workload by workload."""
    from compiler.records.exchange.import_ import import_logs

    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder("diff"))
        step = stack.enter_context(steps(output))
        stores = []
        for number, source in enumerate((first, second)):
            must_be_file(source, "FILE|DIR")
            step(f"Reading {source}")
            store = stack.enter_context(Store(folder / f"{number}.db"))
            warn_of(output, import_logs(store, source))
            stores.append(store)
        if not any(store.fingerprints() for store in stores):
            raise EdgetuneError(f"neither {first} nor {second} holds a record that can be used")
        found = difference(stores[0], stores[1], fingerprint)
    for device in sorted({task.fingerprint for task in found}):
        output.table(
            ("task", "workload", "new", "gone", "best ms before", "now", "now / before", ""),
            (_row(task) for task in found if task.fingerprint == device),
            title=device,
            right="new,gone,best ms before,now,now / before",
        )
    if found:
        verdicts = Counter(task.verdict for task in found if task.verdict)
        counts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()))
        new, gone = sum(task.new for task in found), sum(task.gone for task in found)
        output.say(
            f"{second} has {fmt.count(new, 'record')} that {first} has not, and lacks {gone}"
            + (f"; of the best times: {counts}" if counts else "")
        )
    else:
        output.say(f"{first} and {second} hold the same records")
    output.json(_json(task) for task in found)


def _row(task: TaskDifference) -> tuple[object, ...]:
    return (
        task.name,
        task.workload[:12],
        task.new,
        task.gone,
        fmt.milliseconds(task.before.median if task.before else None),
        fmt.milliseconds(task.after.median if task.after else None),
        fmt.significant(task.comparison.ratio if task.comparison else None),
        task.verdict,
    )


def _json(task: TaskDifference) -> dict[str, object]:
    return {
        "workload": task.workload,
        "name": task.name,
        "fingerprint": task.fingerprint,
        "new": task.new,
        "gone": task.gone,
        "before_seconds": task.before.median if task.before else None,
        "after_seconds": task.after.median if task.after else None,
        "ratio": task.comparison.ratio if task.comparison else None,
        "probability": task.comparison.probability if task.comparison else None,
        "verdict": task.verdict,
    }
