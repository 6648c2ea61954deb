"""Stores that older versions of edgetune have written, and the counts that a store keeps of its records."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.records import schema
from compiler.records.provenance import Provenance
from compiler.records.prune import prune
from compiler.records.record import CHECK_RUN, Record
from compiler.records.rows import RECORD_COLUMNS, WORKLOAD_COLUMNS
from compiler.records.store import Store
from compiler.records.trust.verdicts import origin_of
from tests.records.samples import HASHES, WORKLOADS, failed, record, records, store_with, trace

# As the versions of edgetune wrote them: kept here, since the code that made them is gone.
_NOTES = "CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
_WORKLOADS = (
    "CREATE TABLE workloads (hash TEXT PRIMARY KEY, name TEXT NOT NULL, ir BLOB NOT NULL, digest TEXT NOT NULL, "
    "imported INTEGER NOT NULL);"
)
_RECORDS = (
    "CREATE TABLE records (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
    "workload TEXT NOT NULL REFERENCES workloads (hash), fingerprint TEXT NOT NULL, trace_id TEXT NOT NULL, "
    "created TEXT NOT NULL, cost REAL, tvm_version TEXT NOT NULL, device TEXT NOT NULL, threads INTEGER NOT NULL, "
    "target TEXT NOT NULL, run TEXT NOT NULL, rest TEXT NOT NULL, trace BLOB NOT NULL{});"
)
_INDEXES = """
CREATE INDEX records_by_cost ON records (workload, fingerprint, cost, id);
CREATE INDEX records_by_trace ON records (workload, fingerprint, trace_id, created, id);
CREATE INDEX records_by_run ON records (run, workload, fingerprint);
CREATE INDEX records_by_fingerprint ON records (fingerprint, workload, cost, created);
"""
_TRUST = """
CREATE TABLE origins (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE verdicts (workload TEXT NOT NULL, trace_id TEXT NOT NULL, tvm_version TEXT NOT NULL, verdict TEXT NOT NULL,
    reason TEXT NOT NULL, created TEXT NOT NULL, PRIMARY KEY (workload, trace_id, tvm_version)) WITHOUT ROWID;
CREATE TABLE remeasured (record TEXT PRIMARY KEY, claimed REAL NOT NULL, measured REAL NOT NULL,
    reproduced INTEGER NOT NULL, created TEXT NOT NULL) WITHOUT ROWID;
"""
_LATER = ", author TEXT NOT NULL DEFAULT '', spent INTEGER"
OLD = {
    1: _NOTES + _WORKLOADS + _RECORDS.format("") + _INDEXES,
    2: _NOTES + _WORKLOADS + _RECORDS.format(", origin INTEGER") + _INDEXES + _TRUST,
    3: _NOTES + _WORKLOADS + _RECORDS.format(", origin INTEGER" + _LATER) + _INDEXES + _TRUST,
}
SOME = [
    *(record(seed=n, trace=trace(1, n % 5), workload=HASHES[n % 2], device=f"CPU {n % 3}") for n in range(20)),
    *(failed(seed=n, trace=trace(2, n), fingerprint="jetson-orin-6-def456") for n in range(4)),
    record(seed=99, run=CHECK_RUN, checked=False),
]


def old_store(path: Path, version: int, known: list[Record]) -> None:
    """A store of an older version with these records."""
    with store_with(path.with_name("new.db"), known) as new:
        columns = RECORD_COLUMNS if version >= 3 else RECORD_COLUMNS.removesuffix(", author, spent")
        rows = new.query(f"SELECT number, {columns} FROM records ORDER BY number")
        kernels = new.query(f"SELECT {WORKLOAD_COLUMNS} FROM workloads")
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD[version])
        places = ", ".join("?" * 5)
        connection.executemany(f"INSERT INTO workloads ({WORKLOAD_COLUMNS}) VALUES ({places})", kernels)
        places = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO records (number, {columns}) VALUES ({places})", rows)
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def shape(store: Store) -> dict[str, object]:
    """The columns of each table and index."""
    names = [row[0] for row in store.query("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")]
    return {
        name: sorted(row[1:] for row in store.query(f"PRAGMA table_xinfo({name})"))
        or [row[2] for row in store.query(f"PRAGMA index_info({name})")]
        for name in names
    }


def counted(store: Store) -> tuple[object, object]:
    """What the store has counted, and what there is to count."""
    tasks = store.query("SELECT * FROM tasks ORDER BY fingerprint, workload")
    devices = store.query("SELECT * FROM devices ORDER BY target, threads, tvm_version, device")
    return [tasks, devices], [
        store.query(
            f"SELECT fingerprint, workload, count(*), sum(run <> '{CHECK_RUN}'), "
            f"sum(cost IS NULL AND run <> '{CHECK_RUN}'), count(DISTINCT trace_id), max(spent), min(created), "
            "max(created) FROM records GROUP BY fingerprint, workload ORDER BY fingerprint, workload"
        ),
        store.query(
            "SELECT target, threads, tvm_version, device, count(*) FROM records GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        ),
    ]


@pytest.mark.parametrize("version", OLD)
def test_a_store_of_each_older_version_is_migrated(version: int, tmp_path: Path) -> None:
    assert set(OLD) == set(range(1, schema.SCHEMA_VERSION))
    path = tmp_path / "old.db"
    old_store(path, version, SOME)
    with Store(path) as store, store_with(tmp_path / "fresh.db", SOME) as fresh:
        assert store.query("PRAGMA user_version") == [(schema.SCHEMA_VERSION,)]
        assert store.check() == []
        assert shape(store) == shape(fresh)
        assert list(store.records()) == list(fresh.records())
        assert store.summary() == fresh.summary()
        made, there = counted(store)
        assert made == there
        assert origin_of(store, SOME[0].id) == (schema.BEFORE_ORIGINS if version == 1 else None)
        assert store.add(record(seed=1_000, provenance=Provenance(trials=400)))
        assert store.trials(HASHES[0], "x86-avx2-2-abc123") == 400
        made, there = counted(store)
        assert made == there


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(st.lists(records(), max_size=6), max_size=5), again=st.booleans())
def test_counts_are_those_of_the_records(
    batches: list[list[Record]], again: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Store(tmp_path_factory.mktemp("store") / "records.db") as store:
        store.add_workloads([(workload, b"") for workload in WORKLOADS])
        for number, batch in enumerate(batches):
            store.add_many(batch, origin="a file" if number % 2 else None)
            if again:
                store.add_many([*batch, *batches[0]])
        made, there = counted(store)
        assert made == there
        if batches:
            prune(store, keep=1)
            made, there = counted(store)
            assert made == there
        assert sum(store.fingerprints().values()) == len(list(store.records()))


def test_a_batch_that_fails_is_not_counted(tmp_path: Path) -> None:
    with store_with(tmp_path / "records.db", SOME[:3]) as store:
        with pytest.raises(Exception, match="is not in"):
            store.add_many([record(seed=7), record(workload="f" * 16)])
        made, there = counted(store)
        assert made == there


def test_a_record_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    with store_with(tmp_path / "records.db", SOME) as store:
        for known in SOME:
            assert store.record(known.id[:12]) == known
        assert store.record("x" * 8) is None
        assert store.record(SOME[0].id + "0") is None
