"""What looking at imported traces has shown, kept in the store: one verdict a workload, trace and TVM version.

A verdict is on the trace, not on the record: who claims another time for a quarantined trace gets no second look.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from compiler.records.record import Record, clean_error, now
from compiler.records.store import Store

MAX_REASON_CHARS = 300
SHIPPED = "shipped with edgetune"
"""The origin of records that came with edgetune."""


class Verdict(str, Enum):
    """What is known of a trace: it applies; its kernel also computes the right numbers; or it is not to be used.

    Where it applies and a reason is kept, that says why its numbers could not be compared."""

    APPLIES = "applies"
    CHECKED = "checked"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Quarantined:
    """A quarantined record: `reason` says why, `origin` where it came from, `created` (UTC) when that was found."""

    record: str
    workload: str
    trace_id: str
    name: str
    fingerprint: str
    origin: str
    reason: str
    created: str


def keep(store: Store, verdicts: Iterable[tuple[str, str, Verdict, str]]) -> None:
    """Keeps (workload, trace_id, verdict, reason) for the store's TVM version, in place of what was known."""
    rows = [
        (workload, trace, store.tvm_version, verdict.value, clean_error(reason)[:MAX_REASON_CHARS] if reason else "")
        for workload, trace, verdict, reason in verdicts
    ]
    sql = "INSERT OR REPLACE INTO verdicts (workload, trace_id, tvm_version, verdict, reason, created) "
    with store.transaction() as db:
        db.executemany(sql + "VALUES (?, ?, ?, ?, ?, ?)", [(*row, now()) for row in rows])


def verdict_of(store: Store, workload: str, trace_id: str) -> Verdict | None:
    """What is known of a trace, None where nobody has looked."""
    sql = "SELECT verdict FROM verdicts WHERE workload = ? AND trace_id = ? AND tvm_version = ?"
    found = store.query(sql, (workload, trace_id, store.tvm_version))
    return Verdict(found[0][0]) if found else None


def imported_unseen(store: Store, records: Iterable[Record]) -> list[Record]:
    """Those of `records` that were imported and whose traces nobody has looked at with this TVM, in their order."""
    by_id = {record.id: record for record in records}
    if not by_id:
        return []
    sql = (
        "SELECT id FROM records AS r WHERE id IN (SELECT value FROM json_each(?)) AND origin IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM verdicts AS v WHERE v.workload = r.workload AND v.trace_id = r.trace_id "
        "AND v.tvm_version = ?)"
    )
    unseen = {row[0] for row in store.query(sql, (json.dumps(list(by_id)), store.tvm_version))}
    return [record for record_id, record in by_id.items() if record_id in unseen]


def not_compared(store: Store, records: Iterable[Record]) -> list[Record]:
    """Those of `records` that came from elsewhere (not with edgetune itself), whose traces apply with this TVM, and
    whose kernels nobody has compared or tried to, in their order."""
    by_id = {record.id: record for record in records}
    if not by_id:
        return []
    sql = (
        "SELECT r.id FROM records AS r JOIN origins AS o ON o.number = r.origin JOIN verdicts AS v "
        "ON v.workload = r.workload AND v.trace_id = r.trace_id WHERE r.id IN (SELECT value FROM json_each(?)) "
        "AND o.name <> ? AND v.tvm_version = ? AND v.verdict = 'applies' AND v.reason = ''"
    )
    found = {row[0] for row in store.query(sql, (json.dumps(list(by_id)), SHIPPED, store.tvm_version))}
    return [record for record_id, record in by_id.items() if record_id in found]


def only_vetted(store: Store, records: Iterable[Record]) -> list[Record]:
    """Those of `records` that were measured here, or whose traces have been looked at and are not quarantined."""
    known = list(records)
    sql = (
        "SELECT r.id FROM records AS r WHERE id IN (SELECT value FROM json_each(?)) AND (origin IS NULL OR EXISTS ("
        "SELECT 1 FROM verdicts AS v WHERE v.workload = r.workload AND v.trace_id = r.trace_id "
        "AND v.tvm_version = ? AND v.verdict <> 'quarantined'))"
    )
    good = {row[0] for row in store.query(sql, (json.dumps([record.id for record in known]), store.tvm_version))}
    return [record for record in known if record.id in good]


def origin_of(store: Store, record: str) -> str | None:
    """Where the record with that id was imported from; None for one that was measured here, or is not there."""
    sql = "SELECT o.name FROM records AS r JOIN origins AS o ON o.number = r.origin WHERE r.id = ?"
    found = store.query(sql, (record,))
    return str(found[0][0]) if found else None


def quarantined(store: Store, fingerprint: str | None = None) -> list[Quarantined]:
    """The imported records whose traces are quarantined, sorted by kernel; with `fingerprint` only that one's."""
    sql = (
        "SELECT r.id, r.workload, r.trace_id, w.name, r.fingerprint, o.name, v.reason, v.created FROM verdicts AS v "
        # In this order: by an index from the few verdicts to their records, and not from all records to their verdicts.
        "CROSS JOIN tasks AS t ON t.workload = v.workload "
        "CROSS JOIN records AS r ON r.workload = t.workload AND r.fingerprint = t.fingerprint "
        "AND r.trace_id = v.trace_id "
        "JOIN workloads AS w ON w.hash = r.workload JOIN origins AS o ON o.number = r.origin "
        "WHERE v.verdict = 'quarantined' AND v.tvm_version = :tvm "
        "AND (:fingerprint IS NULL OR r.fingerprint = :fingerprint) "
        "ORDER BY w.name, r.workload, r.trace_id, r.created, r.id"
    )
    values = {"tvm": store.tvm_version, "fingerprint": fingerprint}
    return store.query(sql, values, lambda row: Quarantined(*row))


def forget(store: Store, workload: str, trace_id: str) -> None:
    """Forgets what is known of a trace, so that it is looked at again."""
    with store.transaction() as db:
        db.execute("DELETE FROM verdicts WHERE workload = ? AND trace_id = ?", (workload, trace_id))
