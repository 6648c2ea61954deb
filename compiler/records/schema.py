"""The store's file: its tables, their version, opening and migrating it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.records import counts

APPLICATION_ID = 0x45545231  # "ETR1", in SQLite's header: tells our file from any other SQLite file
SCHEMA_VERSION = 4

# Trust: where records came from, what looking at their traces showed, and how claims stood when measured again.
_TRUST_TABLES = """
CREATE TABLE origins (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE     -- a file, a folder or an address
);
CREATE TABLE verdicts (
    workload TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    tvm_version TEXT NOT NULL,    -- of the TVM that looked
    verdict TEXT NOT NULL,        -- applies, checked or quarantined
    reason TEXT NOT NULL,         -- why it is quarantined, else empty
    created TEXT NOT NULL,
    PRIMARY KEY (workload, trace_id, tvm_version)
) WITHOUT ROWID;
CREATE TABLE remeasured (
    record TEXT PRIMARY KEY,      -- id of the record whose time was measured again here
    claimed REAL NOT NULL,        -- seconds
    measured REAL NOT NULL,       -- seconds
    reproduced INTEGER NOT NULL,
    created TEXT NOT NULL
) WITHOUT ROWID;
"""

_TABLES = f"""
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE workloads (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    ir BLOB NOT NULL,             -- zlib
    digest TEXT NOT NULL,         -- of the IR's text: decides, in any order of merging, which of two texts stays
    imported INTEGER NOT NULL     -- 1: the text came from a file, and a local one replaces it
);
CREATE TABLE records (
    number INTEGER PRIMARY KEY,   -- order of arrival here
    id TEXT NOT NULL UNIQUE,
    workload TEXT NOT NULL REFERENCES workloads (hash),
    fingerprint TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    created TEXT NOT NULL,
    cost REAL,                    -- Record.cost; NULL: failed, or found to compute something else
    tvm_version TEXT NOT NULL,
    device TEXT NOT NULL,
    threads INTEGER NOT NULL,
    target TEXT NOT NULL,         -- canonical JSON
    run TEXT NOT NULL,
    rest TEXT NOT NULL,           -- the other fields, as canonical JSON
    trace BLOB NOT NULL,          -- zlib
    origin INTEGER,               -- of table origins; NULL: measured by this store's owner
    author TEXT NOT NULL DEFAULT '',  -- who shares it; no part of the content that the id is of
    spent INTEGER                 -- trials spent on the task when it was measured, where known
);
CREATE INDEX records_by_cost ON records (workload, fingerprint, cost, id);
CREATE INDEX records_by_trace ON records (workload, fingerprint, trace_id, created, id);
CREATE INDEX records_by_run ON records (run, workload, fingerprint);
{_TRUST_TABLES}
{counts.TABLES}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_CACHE_KIB = 32 << 10
_CHECKPOINT_PAGES = 8_000  # of 4 KB

BEFORE_ORIGINS = "kept before edgetune noted origins"
"""The origin of records of a store of schema 1, which did not tell its owner's measurements from imported ones."""


def _add_trust(connection: sqlite3.Connection) -> None:
    for statement in _TRUST_TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute("ALTER TABLE records ADD COLUMN origin INTEGER")
    connection.execute("INSERT INTO origins VALUES (1, ?)", (BEFORE_ORIGINS,))
    connection.execute("UPDATE records SET origin = 1")


def _add_provenance(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE records ADD COLUMN author TEXT NOT NULL DEFAULT ''")
    connection.execute("ALTER TABLE records ADD COLUMN spent INTEGER")


def _count(connection: sqlite3.Connection) -> None:
    for statement in counts.TABLES.split(";\n"):
        connection.execute(statement)
    counts.count_all(connection)
    connection.execute("DROP INDEX IF EXISTS records_by_fingerprint")  # what it was for is counted now


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _add_trust, 2: _add_provenance, 3: _count}
"""version -> what turns that version into the next one, inside one transaction, when a store is opened."""


def connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    """Opens the file (made if missing), checks that it is ours, migrates it if it is older.

    Raises EdgetuneError for a file that is not a record store, is damaged, or was written by a newer edgetune; such a
    file is left as it was. May raise sqlite3.Error, which Store turns into EdgetuneError.
    """
    connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    try:
        version = _check_ours(connection, path)  # before anything that could write
        _enter_wal(connection, timeout_s)
        # FULL syncs the log at every commit: a trial costs hundreds of milliseconds and a sync a few, and what was
        # acknowledged then survives a power cut of the board too (a killed process loses nothing under NORMAL either).
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # Ids are hashes, so that new rows go all over an index: with SQLite's own 2 MB of pages and a checkpoint every
        # 4 MB, adding many records to many would be reading and writing the same pages again and again.
        connection.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        if version < SCHEMA_VERSION:
            _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_ours(connection: sqlite3.Connection, path: Path) -> int:
    """The file's schema version; 0 for a file that is still empty."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if application == APPLICATION_ID and version > SCHEMA_VERSION:
        raise EdgetuneError(
            f"record store {path} has schema {version}, this edgetune knows up to {SCHEMA_VERSION}: "
            "update edgetune, or choose another folder with --logs"
        )
    if application != APPLICATION_ID and (application or version or tables):
        raise EdgetuneError(f"{path} is another program's SQLite file: choose another folder with --logs")
    return version


def _enter_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Switches to the write-ahead log. SQLite does not always wait for other openers here, so we do."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # a file system without WAL keeps its rollback journal
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _check_ours(connection, path)  # another process may have been faster
        while version < SCHEMA_VERSION:
            if version == 0:
                for statement in _TABLES.split(";\n"):
                    connection.execute(statement)
                version = SCHEMA_VERSION
            else:
                MIGRATIONS[version](connection)
                version += 1
                connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
