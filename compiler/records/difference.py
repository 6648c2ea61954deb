"""What one log has that another has not, and where it is faster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from compiler.records.record import Record
from compiler.records.significance import Comparison, compare
from compiler.records.store import Store


@dataclass(frozen=True)
class TaskDifference:
    """One workload on one fingerprint in two logs. `new` and `gone`: records that only the second, only the first has.
    `before` and `after`: the best record of each, and `comparison` of those two where they are different ones."""

    workload: str
    name: str
    fingerprint: str
    new: int
    gone: int
    before: Record | None
    after: Record | None
    comparison: Comparison | None

    @property
    def verdict(self) -> str:
        """`new`, `gone`, `same`, `faster`, `slower`, or `within chance`; empty where neither has a time."""
        if self.before is None or self.after is None:
            return "new" if self.after is not None else "gone" if self.before is not None else ""
        if self.comparison is None or self.comparison.ratio == 1:
            return "same"
        if not self.comparison.significant:
            return "within chance"
        return "faster" if self.comparison.ratio < 1 else "slower"


def difference(first: Store, second: Store, fingerprint: str | None = None) -> list[TaskDifference]:
    """Every workload whose records differ between the stores, sorted by fingerprint, name and hash."""
    names = {
        (task.fingerprint, task.workload): task.name for store in (first, second) for task in store.summary(fingerprint)
    }
    before, after = _ids(first, fingerprint), _ids(second, fingerprint)
    found = []
    for (device, workload), name in sorted(names.items(), key=lambda item: (item[0][0], item[1], item[0][1])):
        old, new = before.get((device, workload), set()), after.get((device, workload), set())
        if old == new:
            continue
        was, now = first.best(workload, device), second.best(workload, device)
        comparison = compare(was.seconds, now.seconds) if was and now and was.id != now.id else None
        found.append(TaskDifference(workload, name, device, len(new - old), len(old - new), was, now, comparison))
    return found


def _ids(store: Store, fingerprint: str | None) -> dict[tuple[str, str], set[str]]:
    where, values = ("WHERE fingerprint = ?", (fingerprint,)) if fingerprint is not None else ("", ())
    sql = f"SELECT fingerprint, workload, id FROM records {where}"  # noqa: S608 - constants
    rows: Iterable[tuple[str, str, str]] = store.query(sql, values)
    found: dict[tuple[str, str], set[str]] = {}
    for device, workload, record in rows:
        found.setdefault((device, workload), set()).add(record)
    return found
