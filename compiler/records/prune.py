"""Making a store small again: the best few records of each workload stay."""

# ruff: noqa: S608 (the texts put into SQL are this module's own constants; values are bound)
from __future__ import annotations

import json
from dataclasses import dataclass

from compiler.errors import EdgetuneError
from compiler.records import counts
from compiler.records.store import Store


@dataclass(frozen=True)
class PruneReport:
    """Records kept and removed, the file's size in bytes before and after, and whether the file could be shrunk."""

    kept: int
    removed: int
    bytes_before: int
    bytes_after: int
    shrunk: bool


def prune(store: Store, *, keep: int = 1, fingerprint: str | None = None) -> PruneReport:
    """Keeps the best `keep` records of each workload and fingerprint, as `Store.top` ranks them; removes the others.

    Failed trials and older measurements go too, and no longer count as done: `tune` may try those traces again.
    fingerprint: only that one's records. Workloads stay. While other processes use the store it is pruned but may not
    shrink (`shrunk` is then False). Raises EdgetuneError for keep < 1.
    """
    if keep < 1:
        raise EdgetuneError("prune keeps at least 1 record of each workload: to remove all, remove the store's folder")
    before = _size(store)
    with store.transaction() as db:
        where, values = ("WHERE fingerprint = ?", (fingerprint,)) if fingerprint is not None else ("", ())
        pairs = db.execute(f"SELECT workload, fingerprint FROM tasks {where}", values).fetchall()
        total = db.execute(f"SELECT coalesce(sum(records), 0) FROM tasks {where}", values).fetchone()[0]
        kept = 0
        for workload, device in pairs:
            best = [record.id for record in store.top(workload, device, keep)]
            db.execute(
                "DELETE FROM records WHERE workload = ? AND fingerprint = ? "
                "AND id NOT IN (SELECT value FROM json_each(?))",
                (workload, device, json.dumps(best)),
            )
            kept += len(best)
        counts.count_all(db)
    shrunk = store.compact()
    return PruneReport(kept, total - kept, before, _size(store), shrunk)


def _size(store: Store) -> int:
    return sum(
        path.stat().st_size for path in (store.path, store.path.with_name(store.path.name + "-wal")) if path.exists()
    )
