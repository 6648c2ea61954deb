"""`edgetune logs import`: records out of files, into the store."""

from __future__ import annotations

import targets
from compiler.commands.hardware import find_target
from compiler.commands.logs.warnings import warn_of
from compiler.commands.source import must_be_file
from compiler.commands.store import store_to_fill
from compiler.errors import EdgetuneError
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps


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
    with steps(output) as step, store_to_fill(logs) as store:
        step(f"Importing {source}")
        report = import_into(store, source, fingerprint=fingerprint, device=device, target=options)
        warn_of(output, report)
        output.say(
            f"{report.added} records added, {report.known} were there already, {report.skipped_count} lines skipped "
            f"({fmt.count(report.files, 'file')})"
        )
        output.json([report])
        if not report.added + report.known:
            raise EdgetuneError(f"{source} holds no record that can be used")
