"""What a full store is asked again and again, counted as records come and go: a look at it must not read them all."""

# ruff: noqa: S608 (the texts put into SQL are this module's own constants; values are bound)
from __future__ import annotations

import sqlite3

from compiler.records.record import CHECK_RUN

TABLES = """
CREATE TABLE tasks (              -- what there is of a kernel on a fingerprint
    fingerprint TEXT NOT NULL,
    workload TEXT NOT NULL,
    records INTEGER NOT NULL,
    measured INTEGER NOT NULL,    -- of them, those that are no checks
    failed INTEGER NOT NULL,      -- of those
    traces INTEGER NOT NULL,      -- different ones
    spent INTEGER,                -- the most that a record says was spent on the task
    first TEXT NOT NULL,          -- created
    last TEXT NOT NULL,
    PRIMARY KEY (fingerprint, workload)
) WITHOUT ROWID;
CREATE INDEX tasks_by_workload ON tasks (workload);
CREATE TABLE devices (            -- what records say that they were measured on
    target TEXT NOT NULL,
    threads INTEGER NOT NULL,
    tvm_version TEXT NOT NULL,
    device TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (target, threads, tvm_version, device)
) WITHOUT ROWID;
"""

TRIALS = "max(measured, traces)"
"""Of a row of `tasks`. A check repeats a trial's measurement and is none; where the trial itself was pruned, it stands
for it."""

_KNOWN = (
    "EXISTS (SELECT 1 FROM records AS o WHERE o.workload = r.workload AND o.fingerprint = r.fingerprint "
    "AND o.trace_id = r.trace_id AND o.number <= :before)"
)
_TASKS = (
    "INSERT INTO tasks SELECT fingerprint, workload, count(*), "
    f"sum(run <> '{CHECK_RUN}'), sum(cost IS NULL AND run <> '{CHECK_RUN}'), "
    "count(DISTINCT {traces}), max(spent), min(created), max(created) "
    "FROM records AS r WHERE number > :before GROUP BY fingerprint, workload "
    "ON CONFLICT (fingerprint, workload) DO UPDATE SET records = records + excluded.records, "
    "measured = measured + excluded.measured, "
    "failed = failed + excluded.failed, traces = traces + excluded.traces, "
    "spent = coalesce(max(spent, excluded.spent), spent, excluded.spent), "
    "first = min(first, excluded.first), last = max(last, excluded.last)"
)
_DEVICES = (
    "INSERT INTO devices SELECT target, threads, tvm_version, device, count(*) FROM records WHERE number > :before "
    "GROUP BY target, threads, tvm_version, device "
    "ON CONFLICT (target, threads, tvm_version, device) DO UPDATE SET records = records + excluded.records"
)


def last_number(db: sqlite3.Connection) -> int:
    """The number of the record that came last; those that come next have larger ones."""
    return int(db.execute("SELECT coalesce(max(number), 0) FROM records").fetchone()[0])


def count_new(db: sqlite3.Connection, before: int) -> None:
    """Counts the records that came after the one with the number `before`, in the transaction that brought them."""
    # That a trace is new need not be asked where every one of them is.
    traces = f"CASE WHEN NOT {_KNOWN} THEN trace_id END" if before else "trace_id"
    db.execute(_TASKS.format(traces=traces), {"before": before})
    db.execute(_DEVICES, {"before": before})


def count_all(db: sqlite3.Connection) -> None:
    """Counts anew, after records were removed."""
    db.execute("DELETE FROM tasks")
    db.execute("DELETE FROM devices")
    count_new(db, 0)
