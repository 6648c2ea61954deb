"""Whether imported schedules compute the right numbers, found out in processes with limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import targets
from compiler.build import compile_model
from compiler.graph.scheduling import cpu_hardware
from compiler.records.record import Record
from compiler.records.store import Store
from compiler.records.trust import numbers, verdicts
from compiler.records.trust.admission import as_json
from compiler.records.trust.compute import compute, difference
from compiler.records.trust.numbers import compare_first
from compiler.records.trust.verdicts import SHIPPED, Verdict
from compiler.records.workload import workload_of
from compiler.tuning import workers
from compiler.tuning.search import Search
from compiler.tuning.tune import expand
from compiler.tuning.workers import Outcome
from tests.records.trust.kernels import claim, imported, kernel, packed, schedule, tiled
from tests.tuning import models

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


def test_a_kernel_that_computes_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import tvm
    from tvm import te

    from compiler.graph import scheduling

    hardware, text = scheduling.cpu_hardware(TARGET), as_json(kernel().mod)
    for trace in (schedule(packed()), schedule(tiled(8)), None):
        assert compute(text, trace, TARGET.config(), hardware) <= 1e-5
    x, w = (te.placeholder((64, 64), "float32", name=name) for name in "xw")
    y = te.compute((64, 64), lambda i, j: x[i, j] + w[i, j], name="y")
    func = te.create_prim_func([x, w, y]).with_attr("global_symbol", "main")
    other = tvm.s_tir.Schedule(tvm.IRModule({"main": func}))
    monkeypatch.setattr(scheduling, "zero_trial", lambda *_: other)
    assert compute(text, schedule(packed()), TARGET.config(), hardware) > 0.1


@pytest.mark.parametrize(
    ("outcome", "blameless", "verdict", "reason"),
    [
        (Outcome(value=1e-6), True, Verdict.CHECKED, ""),
        (Outcome(value=0.5), True, Verdict.QUARANTINED, "something else"),
        (Outcome(value=float("inf")), True, Verdict.QUARANTINED, "something else"),
        (Outcome(value=float("nan")), True, Verdict.QUARANTINED, "something else"),
        (Outcome(value="0.0"), True, Verdict.QUARANTINED, "something else"),
        (Outcome(error="crashed: SIGSEGV"), True, Verdict.QUARANTINED, "within limits: crashed: SIGSEGV"),
        (Outcome(error="timed out after 180 s"), False, Verdict.APPLIES, "not compared: timed out"),
    ],
)
def test_what_an_outcome_says(outcome: Outcome, blameless: bool, verdict: Verdict, reason: str) -> None:
    found, why = numbers._verdict(outcome, blameless)
    assert found is verdict
    assert reason in why


class Answers:
    """In the place of a pool: outcomes by what a job is of."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, kind: str, jobs: list[dict[str, object]], seconds: float) -> list[Outcome]:
        assert (kind, seconds) == ("compute", numbers.COMPUTE_SECONDS)
        return [Outcome(error="crashed: SIGSEGV") if job["trace"] == self.bad else Outcome(value=0.0) for job in jobs]

    bad: str | None = ""


def test_whose_fault_a_crash_is(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", Answers)
    one, other = good(), claim(schedule(tiled(4)))
    monkeypatch.setattr(Answers, "bad", one.trace)
    applied(store, one, other)
    chosen = [one, other]

    def choose(_: str) -> list[Record]:
        return [r for r in chosen if verdicts.verdict_of(store, r.workload, r.trace_id) is not Verdict.QUARANTINED]

    report = compare_first(store, {kernel().hash: kernel().mod}, choose, TARGET)
    assert report == numbers.Compared(compared=2, quarantined=1)  # the next one is asked at once
    assert verdicts.verdict_of(store, other.workload, other.trace_id) is Verdict.CHECKED
    [out] = verdicts.quarantined(store)
    assert out.record == one.id


def test_what_cannot_be_compared_stays_and_is_not_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails(Answers):
        def map(self, kind: str, jobs: list[dict[str, object]], seconds: float) -> list[Outcome]:
            return [Outcome(error="MemoryError: no message") for _ in jobs]

    monkeypatch.setattr(workers, "Pool", Fails)
    applied(store, good())
    assert compared(store) == numbers.Compared(compared=1, unclear=1)
    assert verdicts.verdict_of(store, good().workload, good().trace_id) is Verdict.APPLIES
    assert compared(store) == numbers.Compared()
    assert store.best(good().workload, good().fingerprint, vetted=True) is not None


def test_compiling_compares_before_it_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.convolutions(tmp_path)
    expanded = expand(model, TARGET)
    with Store(tmp_path / "records.db") as store:
        for digest, task in expanded.tasks.items():
            store.add_workload(workload_of(task.mod, task.name))
            search = Search(task, TARGET.to_tvm(), cpu_hardware(TARGET), 0, None)
            store.add_many([claim(search.default().trace, workload=digest)], origin="a stranger")
        built = compile_model(model, TARGET, tmp_path / "a.so", store=store)
        assert built.used
        assert {verdicts.verdict_of(store, r.workload, r.trace_id) for _, _, r in built.used} == {Verdict.CHECKED}
        with store.transaction() as db:
            db.execute("UPDATE verdicts SET verdict = 'applies'")
        # Each is found to compute something else: none is used, and the package is made without them.
        wrong = [(Verdict.QUARANTINED, "it computes something else")]
        monkeypatch.setattr(numbers, "judge", lambda jobs, target: wrong * len(jobs))
        built = compile_model(model, TARGET, tmp_path / "b.so", store=store)
        assert built.used == []
