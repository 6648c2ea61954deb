"""`edgetune logs export`: records out of the store, into files."""

from __future__ import annotations

import sys
from pathlib import Path

from compiler.commands.logs.choice import check_place, must_know
from compiler.commands.store import existing_store
from compiler.errors import EdgetuneError, UsageError
from compiler.report import format as fmt
from compiler.report.output import STDOUT, Output
from compiler.report.steps import steps


def export_logs(output: Output, logs: str | None, destination: str, fingerprint: str | None, top: int | None) -> None:
    """Write sorted JSON lines: one file where the name ends in .jsonl, stdout for -, else a folder of one per kernel.

    Raises EdgetuneError where there is nothing to write or no place for it.
    """
    from compiler.records.exchange.export import export_file, export_folder, export_stream

    if destination == STDOUT and output.json_to_stdout:
        raise UsageError("logs export - and --json - both write to stdout: give one of them a file")
    path = Path(destination)
    with existing_store(logs) as store, steps(output) as step:
        must_know(store, fingerprint)
        tasks = store.summary(fingerprint)
        if not tasks:
            raise EdgetuneError(f"there is nothing to export: {store.path} holds no records")
        if top is not None and all(task.best_seconds is None for task in tasks):
            raise EdgetuneError("there is nothing to export: every trial failed, so that there are no best records")
        if destination == STDOUT:
            report = export_stream(store, sys.stdout.buffer, fingerprint=fingerprint, top=top)
            sys.stdout.buffer.flush()
        else:
            check_place(path)
            step(f"Exporting to {destination}")
            write = export_file if path.suffix == ".jsonl" else export_folder
            report = write(store, path, fingerprint=fingerprint, top=top)
    if destination != STDOUT:
        records, workloads = fmt.count(report.records, "record"), fmt.count(report.workloads, "workload")
        output.say(f"{records} of {workloads} written to {destination} ({fmt.count(len(report.files), 'file')})")
    output.json([{"records": report.records, "workloads": report.workloads, "files": [str(f) for f in report.files]}])
