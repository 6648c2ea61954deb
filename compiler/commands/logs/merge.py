"""`edgetune logs merge`: several logs made into one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compiler.commands.logs.choice import check_place
from compiler.commands.logs.warnings import warn_of
from compiler.commands.source import must_be_file
from compiler.errors import EdgetuneError
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps


def merge_logs(output: Output, sources: Sequence[str], destination: str) -> None:
    """Merge files, folders and stores into a folder of logs, or into one file where the name ends in .jsonl.

    Raises EdgetuneError where no source holds a record.
    """
    from compiler.records.exchange.merge import merge_logs as merge

    for source in sources:
        must_be_file(source, "FILE|DIR")
    path = Path(destination)
    check_place(path)
    with steps(output) as step:
        step(f"Merging {fmt.count(len(sources), 'source')}")
        report = merge(sources, path)
    for source, one in zip(sources, report.sources, strict=True):
        warn_of(output, one)
        output.say(f"{source}: {fmt.count(one.added + one.known, 'record')}, {one.added} of them not seen before")
    written = report.written
    output.json([{"records": written.records, "workloads": written.workloads, "sources": report.sources}])
    if not written.records:
        raise EdgetuneError("no source holds a record that can be used")
    records, workloads = fmt.count(written.records, "record"), fmt.count(written.workloads, "workload")
    output.say(f"{records} of {workloads} written to {destination} ({fmt.count(len(written.files), 'file')})")
