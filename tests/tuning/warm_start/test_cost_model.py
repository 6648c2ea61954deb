"""The cost model begins with what other kernels taught it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import targets
from compiler.graph.scheduling import cpu_hardware
from compiler.graph.variants import Task
from compiler.records.record import Record, now
from compiler.records.store import Store, open_store
from compiler.records.workload import workload_of
from compiler.tuning.search import Search, cost_model
from compiler.tuning.warm_start.cost_model import LEAST, RECORDS, teach
from compiler.tvm_setup import prepare
from tests.schedules.kernels_for_tests import conv_case

TARGET = targets.get("native")
DEVICE = targets.fingerprint(TARGET)


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> Iterator[None]:
    prepare()
    yield


def task(channels: int) -> Task:
    mod = conv_case((1, 28, 28, 32), channels, pads=(1,)).task
    return Task("conv", mod, workload_of(mod).hash)


def search(found: Task, model: object) -> Search:
    return Search(found, TARGET.to_tvm(), cpu_hardware(TARGET), 1, model)


def blocks(candidate: object) -> float:
    """A time that follows from what is scheduled: kernels of many pieces are called slow."""
    return 1e-3 * (1 + len(candidate.module) % 1000)  # type: ignore[attr-defined]


def keep(store: Store, found: Task, count: int) -> int:
    """Records of up to `count` candidates of a task."""
    store.add_workload(workload_of(found.mod, found.name))
    looking = search(found, cost_model(1))
    looking.start([], frozenset())
    kept = 0
    while kept < count:
        candidates = looking.propose(12)
        if not candidates:
            break
        for candidate in candidates[: count - kept]:
            record = Record(
                workload=found.hash,
                trace=candidate.trace,
                seconds=(blocks(candidate),) * 3,
                error=None,
                fingerprint=DEVICE.id,
                target=TARGET.config(),
                device=DEVICE.device,
                threads=TARGET.hardware.cores,
                tvm_version=DEVICE.tvm_version,
                tool_version="1.0",
                seed=1,
                created=now(),
                run="r" * 8,
            )
            kept += store.add(record)
        looking.learn(candidates, [[blocks(c)] * 3 for c in candidates])
    return kept


def test_records_of_other_kernels_train_the_model(tmp_path: Path) -> None:
    from tvm.s_tir import meta_schedule as ms

    known, other = [task(c) for c in (32, 48, 64, 96)], task(128)
    with open_store(tmp_path) as store:
        kept = [keep(store, t, 24) for t in known]
        assert all(k >= LEAST for k in kept)
        model = cost_model(1)
        learned = teach(model, store, [(t.hash, DEVICE.id) for t in known], TARGET.to_tvm())
        assert 4 * LEAST <= learned <= 4 * RECORDS
        assert model.booster is not None and model.data_size == learned
        looking = search(other, model)
        spaces = [ms.MeasureCandidate(s, ms.arg_info.ArgInfo.from_entry_func(other.mod, True)) for s in looking.spaces]
        scores = model.predict(ms.TuneContext(other.mod, target=TARGET.to_tvm(), num_threads=1), spaces)
        assert np.isfinite(scores).all() and len(set(scores.round(9))) > 1, "it tells candidates apart"
        assert teach(cost_model(1), store, [], TARGET.to_tvm()) == 0
        assert teach(cost_model(1), store, [(known[0].hash, "another-device")], TARGET.to_tvm()) == 0


def test_pruned_records_teach_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        assert keep(store, task(32), LEAST - 1) == LEAST - 1
    with open_store(tmp_path / "pruned") as store:
        model = cost_model(1)
        assert teach(model, store, [(task(32).hash, DEVICE.id)], TARGET.to_tvm()) == 0
        assert model.booster is None
