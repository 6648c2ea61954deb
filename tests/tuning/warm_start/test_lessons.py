"""The cost model begins with what other kernels taught it."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.records.nearest.kernels import Kernel
from compiler.records.nearest.lookup import Lesson
from compiler.records.record import Workload
from compiler.records.store import Store, open_store
from compiler.tuning.cost_model import CostModel
from compiler.tuning.warm_start import lessons
from compiler.tuning.warm_start.lessons import LEAST, RECORDS, teach
from tests.records.samples import record


def lesson(number: int, fingerprint: str = "own") -> Lesson:
    return Lesson(f"{number:016x}", fingerprint, Kernel("dense", (1, 64 * number, 512)))


def keep(store: Store, of: Lesson, count: int) -> None:
    """Records of a kernel whose loops are cut by 1, 2, 3, ...; small pieces are fast."""
    store.add_workload(Workload(of.workload, "dense", "{}"))
    store.add_many(
        record(
            workload=of.workload,
            fingerprint=of.fingerprint,
            trace=f'[[["Split",["l0","None",{size}],[1,0],["l1","l2"]]],[]]',
            seconds=(1e-3 * size,) * 3,
        )
        for size in range(1, count + 1)
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_records_of_other_kernels_train_the_model(store: Store) -> None:
    taught = [lesson(number) for number in (1, 2, 3)]
    for one, count in zip(taught, (LEAST, 20, 3 * RECORDS), strict=True):
        keep(store, one, count)
    model = CostModel(0)
    assert teach(model, store, taught) == len(model) == LEAST + 20 + RECORDS


def test_pruned_records_teach_nothing(store: Store) -> None:
    keep(store, lesson(1), LEAST - 1)
    model = CostModel(0)
    assert teach(model, store, [lesson(1), lesson(2)]) == len(model) == 0


def test_another_devices_records_are_compared_among_themselves(store: Store) -> None:
    """A device on which everything takes a thousand times as long says the same of which candidates are fast."""
    import numpy as np

    from compiler.tuning.features import factors, sizes

    other = lesson(1, "other")
    keep(store, lesson(1), 30)
    keep(store, other, 30)
    own, both = CostModel(0), CostModel(0)
    teach(own, store, [lesson(1)])
    teach(both, store, [lesson(1), other])
    rows = np.array(
        [sizes(lesson(1).kernel) + (factors(r.trace) or ()) for r in store.top(lesson(1).workload, "own", 30)]
    )
    for model in (own, both):
        slow = model.predict(rows)
        assert slow is not None and slow[:5].mean() < slow[-5:].mean() - 0.3


def test_only_so_many_kernels_are_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "KERNELS", 1)
    for number in (1, 2, 3):
        keep(store, lesson(number), 8 if number > 1 else 1)
    model = CostModel(0)
    assert teach(model, store, [lesson(1), lesson(2), lesson(3)]) == 8
