"""`edgetune logs prune`: only the best records of each kernel stay."""

from __future__ import annotations

from compiler.commands.logs.choice import must_know
from compiler.commands.store import existing_store
from compiler.report import format as fmt
from compiler.report.output import Output


def prune_logs(output: Output, logs: str | None, keep: int, fingerprint: str | None) -> None:
    """Keep the best `keep` records of each workload and fingerprint."""
    from compiler.records.prune import prune

    with existing_store(logs) as store:
        must_know(store, fingerprint)
        report = prune(store, keep=keep, fingerprint=fingerprint)
    output.say(
        f"{report.kept} records kept, {report.removed} removed; "
        f"{fmt.size(report.bytes_before)} before, {fmt.size(report.bytes_after)} now"
        + ("" if report.shrunk else " (the file shrinks once no other process uses it)")
    )
    output.json([report])
