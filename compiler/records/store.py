"""The working store of records: one SQLite file that several processes read and write at once."""

# ruff: noqa: S608 (the texts put into SQL are this module's own constants; values are bound)
from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import targets
from compiler.errors import EdgetuneError
from compiler.records import counts
from compiler.records.canonical import canonical_bytes
from compiler.records.connection import Connection
from compiler.records.record import Record, Workload, check_record, check_workload
from compiler.records.rows import (
    AUTHOR,
    COST,
    RECORD_COLUMNS,
    WORKLOAD_COLUMNS,
    record_row,
    row_record,
    row_workload,
    workload_row,
)

_T = TypeVar("_T")
FILE_NAME = "records.db"

# The newest measurement of a trace stands for it; older ones are kept, and shown, but do not compete. One made here
# stands for it whatever was imported, or a file with a date in the future would decide.
_NEWEST = """NOT EXISTS (
    SELECT 1 FROM records AS n
    WHERE n.workload = r.workload AND n.fingerprint = r.fingerprint AND n.trace_id = r.trace_id
      AND (n.origin IS NULL, n.created, n.id) > (r.origin IS NULL, r.created, r.id))"""
_VERDICT = (
    "EXISTS (SELECT 1 FROM verdicts AS v WHERE v.workload = r.workload AND v.trace_id = r.trace_id "
    "AND v.tvm_version = :tvm AND v.verdict IN "
)
_NOT_QUARANTINED = f"(r.origin IS NULL OR NOT {_VERDICT} ('quarantined')))"
_VETTED = f"(r.origin IS NULL OR {_VERDICT} ('applies', 'checked')))"

_INSERT_WORKLOAD = (
    f"INSERT INTO workloads ({WORKLOAD_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE SET "
    "name = excluded.name, digest = excluded.digest, imported = excluded.imported, "
    "ir = CASE WHEN excluded.digest = digest AND NOT excluded.imported THEN ir ELSE excluded.ir END "
    "WHERE imported AND CASE WHEN excluded.imported "
    "THEN (excluded.digest, excluded.name, excluded.ir) < (digest, name, ir) "
    "ELSE 1 END"  # the same text, too, is this machine's own from then on, packed as it was
)
_INSERT = (
    f"INSERT INTO records ({RECORD_COLUMNS}, origin) VALUES ({', '.join('?' * (len(RECORD_COLUMNS.split(',')) + 1))}) "
    "ON CONFLICT (id) DO NOTHING"
)


@dataclass(frozen=True)
class TaskSummary:
    """What the store knows of one workload on one fingerprint; times in seconds, `first` and `last` in UTC."""

    workload: str
    name: str
    fingerprint: str
    trials: int
    failed: int
    best_seconds: float | None
    first: str
    last: str


def open_store(directory: Path | str | None = None) -> Store:
    """Opens DIRECTORY/records.db, made if missing; without a directory the user's data folder.

    Raises EdgetuneError when the folder cannot be made or the file cannot be used.
    """
    return Store((default_folder() if directory is None else Path(directory)) / FILE_NAME)


def default_folder() -> Path:
    """The folder of the user's own store."""
    import platformdirs

    return Path(platformdirs.user_data_dir("edgetune", appauthor=False))


class Store(Connection):
    """Workloads and records in one file. Safe for several processes, and for several threads of one.

    What a method has returned from is on disk: killing the process afterwards loses nothing. After a fork, the child
    opens its own Store. Every method raises EdgetuneError, in one line, when the file cannot be read or written.
    """

    @cached_property
    def tvm_version(self) -> str:
        """The TVM that traces are applied with here; verdicts on traces hold for one version."""
        return targets.tvm_version()

    # ---- writing

    def add_workload(self, workload: Workload, *, imported: bool = False, packed: bytes | None = None) -> bool:
        """Keeps the workload; False if its hash was there already.

        Two structurally equal modules can differ in text. A local text replaces an imported one, so that a shared log
        never changes what this machine compiled; of two imported texts the one with the smaller digest stays, so that
        the order of imports does not matter. packed: the IR's zlib bytes as a file brought them; they are kept, since
        zlib implementations differ and an export should give the same bytes again.
        """
        check_workload(workload)
        return self._add_workloads([workload_row(workload, imported, packed)]) == 1

    def add_workloads(self, workloads: Iterable[tuple[Workload, bytes]]) -> int:
        """As `add_workload` of imported ones that `read_line` has checked, with their packed IR, in one transaction;
        returns how many were new."""
        rows = [workload_row(workload, True, packed) for workload, packed in workloads]
        return self._add_workloads(rows) if rows else 0

    def _add_workloads(self, rows: Sequence[tuple[Any, ...]]) -> int:
        new = 0
        with self.transaction() as db:
            for row in rows:
                new += db.execute("SELECT 1 FROM workloads WHERE hash = ?", row[:1]).fetchone() is None
                db.execute(_INSERT_WORKLOAD, row)
        return new

    def add(self, record: Record) -> bool:
        """Keeps the record, a failed one too; False if it was there already. Its workload must be there before it."""
        return self.add_many([record]) == 1

    def add_many(self, records: Iterable[Record], *, checked: bool = False, origin: str | None = None) -> int:
        """Keeps all records in one transaction (all or none); returns how many were new.

        checked: they have been through `check_record` or `read_line` already. origin: where they were imported from,
        None for what was measured here; a record that is there already keeps its own.
        """
        rows = []
        for record in records:
            if not checked:
                check_record(record)
            rows.append(record_row(record))
        return self.add_rows(rows, origin=origin)

    def add_rows(self, rows: Sequence[tuple[Any, ...]], *, origin: str | None = None) -> int:
        """As `add_many`, of rows that `rows.record_row` has made of checked records, in whatever process."""
        with self.transaction() as db:
            number = None if origin is None else _origin_number(db, origin)
            before = counts.last_number(db)
            try:
                new = db.executemany(_INSERT, ((*row, number) for row in rows)).rowcount
            except sqlite3.IntegrityError:
                known = {row[0] for row in db.execute("SELECT hash FROM workloads")}
                missing = next((row[1] for row in rows if row[1] not in known), "of a record")
                raise EdgetuneError(f"workload {missing} is not in {self.path}: add it first") from None
            if new:
                counts.count_new(db, before)
            # Of two that name themselves the first by alphabet stays, whatever comes first; nobody names themselves the
            # author of what was measured here.
            db.executemany(
                "UPDATE records SET author = ?1 WHERE id = ?2 AND origin IS NOT NULL AND (author = '' OR author > ?1)",
                ((row[AUTHOR], row[0]) for row in rows if row[AUTHOR]),
            )
        return max(0, new)

    def set_note(self, key: str, value: str) -> None:
        """Keeps a small text about the store itself (which shipped files it has taken in, say)."""
        self.set_notes({key: value})

    def set_notes(self, notes: Mapping[str, str]) -> None:
        """As `set_note`, several in one transaction."""
        with self.transaction() as db:
            sql = "INSERT INTO notes VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
            db.executemany(sql, notes.items())

    # ---- looking up

    def note(self, key: str) -> str | None:
        """The text kept under `key`."""
        rows = self.query("SELECT value FROM notes WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def workload(self, workload: str) -> Workload | None:
        """The workload with that hash."""
        found = self.query(f"SELECT {WORKLOAD_COLUMNS} FROM workloads WHERE hash = ?", (workload,), row_workload)
        return found[0] if found else None

    def best(self, workload: str, fingerprint: str, *, vetted: bool = False) -> Record | None:
        """The record to use: the smallest median among the newest measurement of each trace, failures left out."""
        records = self.top(workload, fingerprint, 1, vetted=vetted)
        return records[0] if records else None

    def top(self, workload: str, fingerprint: str, n: int, *, vetted: bool = False) -> list[Record]:
        """The `n` best traces, one record each, best first: see `best`.

        What is quarantined (see `trust`) is left out; with `vetted` also what was imported and not looked at yet, as
        whoever applies traces wants it: `trust.admission.admit` before.
        """
        sql = f"SELECT {RECORD_COLUMNS} FROM records AS r WHERE workload = :workload AND fingerprint = :fingerprint "
        sql += f"AND cost IS NOT NULL AND {_NEWEST} AND {_VETTED if vetted else _NOT_QUARANTINED} "
        sql += "ORDER BY cost, id LIMIT :n"
        values = {"workload": workload, "fingerprint": fingerprint, "n": n, "tvm": self.tvm_version}
        return self.query(sql, values, row_record)

    def best_other_version(
        self,
        workload: str,
        *,
        device: str,
        target: Mapping[str, Any],
        threads: int,
        tvm_version: str,
        vetted: bool = False,
    ) -> Record | None:
        """The best record of the same device, target options and threads, but measured with another TVM.

        Its time is no claim about this TVM: re-apply the trace (`workload.apply_trace`) and measure. vetted: as `top`.
        """
        options = canonical_bytes(dict(target)).decode("utf-8")
        values = {"device": device, "threads": threads, "target": options, "other": tvm_version}
        measured = "device = :device AND threads = :threads AND target = :target AND tvm_version <> :other"
        # Nearly always there is none, and it takes no look at each record of the kernel to know that.
        if not self.query(f"SELECT 1 FROM devices WHERE {measured} LIMIT 1", values):
            return None
        sql = f"SELECT {RECORD_COLUMNS} FROM records AS r WHERE workload = :workload AND fingerprint = :fingerprint "
        sql += f"AND cost IS NOT NULL AND {measured} AND {_NEWEST} AND {_VETTED if vetted else _NOT_QUARANTINED} "
        sql += "ORDER BY cost, id LIMIT 1"
        found: list[tuple[Any, ...]] = []
        for (fingerprint,) in self.query("SELECT fingerprint FROM tasks WHERE workload = ?", (workload,)):
            more = {"workload": workload, "fingerprint": fingerprint, "tvm": self.tvm_version}
            found += self.query(sql, {**values, **more})
        best = min(found, key=lambda row: (row[COST], row[0]), default=None)
        return None if best is None else row_record(best)

    def trials(self, workload: str, fingerprint: str, run: str | None = None) -> int:
        """How many trials were made, failed ones included; with `run` how many are kept of that tuning run.

        A pruned store keeps few of them, and knows from what it keeps how many there were.
        """
        if run is None:
            sql = f"SELECT max({counts.TRIALS}, coalesce(spent, 0)) FROM tasks WHERE workload = ? AND fingerprint = ?"
            found = self.query(sql, (workload, fingerprint))
            return int(found[0][0]) if found else 0
        sql = "SELECT count(*) FROM records WHERE workload = ? AND fingerprint = ? AND run = ?"
        return int(self.query(sql, (workload, fingerprint, run))[0][0])

    def run_trials(self, run: str) -> dict[str, int]:
        """What a tuning run has done so far: workload -> trials, failed ones included."""
        return dict(self.query("SELECT workload, count(*) FROM records WHERE run = ? GROUP BY workload", (run,)))

    def tried(self, workload: str, fingerprint: str) -> frozenset[str]:
        """The `trace_id`s of everything measured here, failed ones included, so that none is tried again."""
        sql = "SELECT DISTINCT trace_id FROM records WHERE workload = ? AND fingerprint = ?"
        return frozenset(row[0] for row in self.query(sql, (workload, fingerprint)))

    def record(self, beginning: str) -> Record | None:
        """The record whose id begins so; of several the first by id."""
        sql = f"SELECT {RECORD_COLUMNS} FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1"
        found = self.query(sql, (beginning, beginning + "~"), row_record)  # ids are hex digits, and ~ is behind them
        return found[0] if found else None

    def workload_packed(self, workload: str) -> tuple[str, bytes] | None:
        """Name and zlib-packed IR of the workload with that hash, for export."""
        found = self.query("SELECT name, ir FROM workloads WHERE hash = ?", (workload,))
        return found[0] if found else None

    def summary(self, fingerprint: str | None = None) -> list[TaskSummary]:
        """One line per workload and fingerprint, sorted by fingerprint, name and hash."""
        where, values = ("WHERE t.fingerprint = ?", (fingerprint,)) if fingerprint is not None else ("", ())
        sql = (
            f"SELECT t.workload, w.name, t.fingerprint, {counts.TRIALS}, t.failed, t.first, t.last FROM tasks AS t "
            f"JOIN workloads AS w ON w.hash = t.workload {where} ORDER BY t.fingerprint, w.name, t.workload"
        )
        result = []
        for workload, name, device, trials, failed, first, last in self.query(sql, values):
            best = self.best(workload, device)
            seconds = best.median if best else None
            result.append(TaskSummary(workload, name, device, trials, failed, seconds, first, last))
        return result

    def fingerprints(self) -> dict[str, int]:
        """fingerprint -> number of its records."""
        return dict(self.query("SELECT fingerprint, sum(records) FROM tasks GROUP BY fingerprint ORDER BY fingerprint"))

    def devices(self, target: Mapping[str, Any], threads: int, tvm_version: str) -> list[str]:
        """The devices that there are records of with exactly these target options, threads and TVM; most records
        first."""
        sql = (
            "SELECT device FROM devices WHERE target = ? AND threads = ? AND tvm_version = ? "
            "ORDER BY records DESC, device"
        )
        options = canonical_bytes(dict(target)).decode("utf-8")
        return [row[0] for row in self.query(sql, (options, threads, tvm_version))]

    def workloads(self) -> Iterator[Workload]:
        """Every workload, by hash, as of the moment of the first."""
        return self.stream(f"SELECT {WORKLOAD_COLUMNS} FROM workloads ORDER BY hash", (), row_workload)

    def records(
        self, *, workload: str | None = None, fingerprint: str | None = None, run: str | None = None
    ) -> Iterator[Record]:
        """Every record that fits, as of the moment of the first, sorted by workload, fingerprint, trace and time."""
        return self.record_rows(row_record, workload=workload, fingerprint=fingerprint, run=run)

    def record_rows(
        self,
        convert: Callable[[tuple[Any, ...]], _T],
        *,
        workload: str | None = None,
        fingerprint: str | None = None,
        run: str | None = None,
        author: str | None = None,
    ) -> Iterator[_T]:
        """As `records`, each row of RECORD_COLUMNS through `convert`.

        author: said to be the author of what was measured here and names none.
        """
        wanted = {"workload": workload, "fingerprint": fingerprint, "run": run}
        given = {column: value for column, value in wanted.items() if value is not None}
        where = "WHERE " + " AND ".join(f"{column} = ?" for column in given) if given else ""
        columns = RECORD_COLUMNS.replace("author", "CASE WHEN author = '' AND origin IS NULL THEN ? ELSE author END")
        sql = f"SELECT {columns} FROM records {where} ORDER BY workload, fingerprint, trace_id, created, id"
        return self.stream(sql, (author or "", *given.values()), convert)

    def check(self) -> list[str]:
        """SQLite's integrity check: what is wrong, in its words; empty for a sound file."""
        return [str(row[0]) for row in self.query("PRAGMA integrity_check") if row[0] != "ok"]


def _origin_number(db: sqlite3.Connection, name: str) -> int:
    db.execute("INSERT INTO origins (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    return int(db.execute("SELECT number FROM origins WHERE name = ?", (name,)).fetchone()[0])
