"""`edgetune logs migrate`: what of another TVM's records this one can use."""

from __future__ import annotations

from compiler.commands.logs.choice import must_know
from compiler.commands.store import existing_store
from compiler.report import format as fmt
from compiler.report.output import Output
from compiler.report.steps import steps


def migrate_logs(output: Output, logs: str | None, fingerprint: str | None) -> None:
    """Apply every schedule that was measured with another TVM, and say how many survived and why others did not."""
    from compiler.records.migration import migrate

    with existing_store(logs) as store:
        must_know(store, fingerprint)
        with steps(output) as step:
            step("Applying schedules of other versions of TVM")
            found = migrate(store, fingerprint)
        here, where = store.tvm_version, store.path
    if not found:
        output.say(f"all records in {where} are of TVM {here}")
    for entry in found:
        output.say(
            f"{entry.fingerprint}: {entry.survived} of {fmt.count(entry.traces, 'schedule')} of TVM "
            f"{entry.tvm_version} apply with {here}"
        )
        output.table(
            ("schedules", "do not, because"),
            ((number, reason) for reason, number in entry.reasons.most_common()),
            right="schedules",
        )
    output.json(
        {
            "tvm_version": entry.tvm_version,
            "fingerprint": entry.fingerprint,
            "traces": entry.traces,
            "survived": entry.survived,
            "reasons": dict(entry.reasons),
        }
        for entry in found
    )
