"""`edgetune logs curve`: how fast each task was after so many trials."""

from __future__ import annotations

from pathlib import Path

from compiler.commands.logs.choice import must_know
from compiler.commands.store import existing_store
from compiler.errors import EdgetuneError, UsageError
from compiler.places import must_hold_files
from compiler.report import format as fmt
from compiler.report.output import Output


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
        must_know(store, fingerprint)
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
