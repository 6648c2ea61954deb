"""Which imported records there are to be put to the test, and the local kernels for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compiler.records.record import Record
from compiler.records.rows import RECORD_COLUMNS, row_record
from compiler.records.store import Store

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True)
class Kernel:
    """A kernel of this machine: what a workload hash stands for here."""

    name: str
    hash: str
    mod: tvm.IRModule


def imported_records(store: Store, workload: str, fingerprint: str) -> list[Record]:
    """The imported records of successful trials of a workload on a fingerprint, the newest of each trace, best first.

    What is quarantined is left out.
    """
    columns = ", ".join(f"r.{column.strip()}" for column in RECORD_COLUMNS.split(","))
    sql = (
        f"SELECT {columns} FROM records AS r WHERE r.workload = ? AND r.fingerprint = ? AND r.origin IS NOT NULL "  # noqa: S608 - constants
        "AND r.cost IS NOT NULL AND NOT EXISTS (SELECT 1 FROM records AS n WHERE n.workload = r.workload "
        "AND n.fingerprint = r.fingerprint AND n.trace_id = r.trace_id AND n.origin IS NOT NULL "
        "AND (n.created, n.id) > (r.created, r.id)) "
        "AND NOT EXISTS (SELECT 1 FROM verdicts AS v WHERE v.workload = r.workload AND v.trace_id = r.trace_id "
        "AND v.tvm_version = ? AND v.verdict = 'quarantined') ORDER BY r.cost, r.id"
    )
    return store.query(sql, (workload, fingerprint, store.tvm_version), row_record)


def own_kernels(store: Store) -> dict[str, Kernel]:
    """The kernels in `store` that this machine made itself, by workload hash: those that came with a log are left out,
    since nothing is built from them. Raises EdgetuneError where the IR of one does not load.
    """
    from compiler.records.workload import load_workload

    hashes = [row[0] for row in store.query("SELECT hash FROM workloads WHERE NOT imported ORDER BY name, hash")]
    found = [kept for kept in map(store.workload, hashes) if kept is not None]
    return {kept.hash: Kernel(kept.name, kept.hash, load_workload(kept)) for kept in found}


def foreign_workloads(store: Store, fingerprint: str, kernels: Mapping[str, Kernel]) -> int:
    """How many workloads have imported records of `fingerprint` and are none of `kernels`."""
    sql = (
        "SELECT workload FROM tasks AS t WHERE fingerprint = ? AND EXISTS (SELECT 1 FROM records AS r "
        "WHERE r.workload = t.workload AND r.fingerprint = t.fingerprint AND r.origin IS NOT NULL)"
    )
    return sum(row[0] not in kernels for row in store.query(sql, (fingerprint,)))
