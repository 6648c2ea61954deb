"""Whether imported schedules compute the right numbers, found out in processes with limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import targets
from compiler.records.record import Record
from compiler.records.store import Store
from compiler.records.trust import numbers, verdicts
from compiler.records.trust.compute import difference
from compiler.records.trust.numbers import compare_first
from compiler.records.trust.verdicts import SHIPPED, Verdict
from compiler.tuning import workers
from tests.records.trust.kernels import claim, imported, kernel, packed, schedule, tiled

TARGET = targets.get("native")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "records.db") as opened:
        yield opened


def good() -> Record:
    return claim(schedule(packed()))


def applied(store: Store, *records: Record) -> None:
    """Keep `records` as imported ones that were found to apply."""
    imported(store, *records)
    verdicts.keep(store, [(r.workload, r.trace_id, Verdict.APPLIES, "") for r in records])


def compared(store: Store) -> numbers.Compared:
    records = list(store.records())
    return compare_first(store, {kernel().hash: kernel().mod}, lambda _: sorted(records, key=lambda r: r.id), TARGET)


def test_right_ones_are_marked_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    applied(store, good())
    assert compared(store) == numbers.Compared(compared=1)
    assert verdicts.verdict_of(store, good().workload, good().trace_id) is Verdict.CHECKED
    monkeypatch.setattr(workers, "Pool", None)  # no process is started where all is known
    assert compared(store) == numbers.Compared()


def test_own_and_shipped_ones_are_not_compared(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", None)
    imported(store)
    store.add(claim(schedule(tiled(4))))
    store.add_many([good()], origin=SHIPPED)
    verdicts.keep(store, [(r.workload, r.trace_id, Verdict.APPLIES, "") for r in store.records()])
    assert compared(store) == numbers.Compared()


def test_differences() -> None:
    a = np.array([1.0, -4.0, np.nan], "float32")
    assert difference(a, a) == 0.0
    assert difference(a, np.array([1.0, -3.0, np.nan], "float32")) == 0.25
    assert difference(a, np.array([1.0, np.inf, np.nan], "float32")) == float("inf")
    assert difference(np.zeros(3, "int64"), np.zeros(3, "int64")) == 0.0
