"""Before an imported record is used it is looked at, once; what does not pass is quarantined, with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compiler.records.exchange.export import export_file
from compiler.records.exchange.import_ import import_logs
from compiler.records.record import Record
from compiler.records.store import Store
from compiler.records.trust import admission, verdicts
from compiler.records.trust.admission import Admitted, admit, admit_kernels
from compiler.records.trust.verdicts import Verdict
from tests.records.trust.kernels import FINGERPRINT, claim, edited, imported, kernel, schedule, tiled, workload


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "records.db") as opened:
        yield opened


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many jobs went to processes, each time any did."""
    counted: list[int] = []
    real = admission.look

    def look(kind: str, jobs: Any) -> list[str | None]:
        counted.append(len(jobs))
        return real(kind, jobs)

    monkeypatch.setattr(admission, "look", look)
    return counted


def look_at(store: Store, count: int = 8) -> Admitted:
    return admit(store, {kernel().hash: kernel().mod}, lambda digest: store.top(digest, FINGERPRINT, count))


def vetted(store: Store) -> list[Record]:
    return store.top(kernel().hash, FINGERPRINT, 8, vetted=True)


GOOD = claim(schedule(tiled(8)), seconds=(0.002,))
BETTER = claim(schedule(tiled(16)), seconds=(0.001,))
BAD = claim(edited(schedule(), lambda i, _: i[0][2].__setitem__(0, "none")), seconds=(1e-9,))


def test_what_applies_is_used_and_not_looked_at_again(store: Store, looks: list[int]) -> None:
    imported(store, GOOD, BETTER)
    assert vetted(store) == []
    assert look_at(store) == Admitted(2, 0)
    assert vetted(store) == [BETTER, GOOD]
    assert look_at(store) == Admitted(0, 0)
    assert looks == [2]


def test_what_does_not_apply_is_quarantined_with_the_reason_and_never_tried_again(
    store: Store, looks: list[int]
) -> None:
    imported(store, GOOD, BAD)
    assert look_at(store, 1) == Admitted(2, 1)  # the next best takes its place
    assert vetted(store) == [GOOD]
    assert store.best(kernel().hash, FINGERPRINT) == GOOD
    [found] = verdicts.quarantined(store)
    assert (found.record, found.origin, found.fingerprint) == (BAD.id, "a stranger", FINGERPRINT)
    assert "does not apply" in found.reason
    assert {r.id for r in store.records()} == {GOOD.id, BAD.id}  # it is kept
    again = claim(BAD.trace, seconds=(1e-8,))  # another claim for the same trace
    imported(store, again)
    assert look_at(store) == Admitted(0, 0)
    assert vetted(store) == [GOOD]
    assert looks == [1, 1]


def test_own_records_are_not_looked_at(store: Store, looks: list[int]) -> None:
    store.add_workload(workload())
    store.add_many([GOOD])
    assert look_at(store) == Admitted(0, 0)
    assert vetted(store) == [GOOD]
    assert looks == []
    imported(store, GOOD)  # one's own log, brought back
    assert look_at(store) == Admitted(0, 0)
    assert verdicts.origin_of(store, GOOD.id) is None


def test_another_tvm_looks_again(store: Store) -> None:
    imported(store, GOOD, BAD)
    verdicts.keep(store, [(GOOD.workload, GOOD.trace_id, Verdict.CHECKED, "")])
    verdicts.keep(store, [(BAD.workload, BAD.trace_id, Verdict.QUARANTINED, "x")])
    assert vetted(store) == [GOOD]
    assert verdicts.imported_unseen(store, [GOOD, BAD]) == []
    store.__dict__["tvm_version"] = "99"
    assert vetted(store) == []
    assert verdicts.imported_unseen(store, [GOOD, BAD]) == [GOOD, BAD]


def test_forgetting_a_verdict(store: Store, looks: list[int]) -> None:
    imported(store, BAD)
    verdicts.keep(store, [(BAD.workload, BAD.trace_id, Verdict.QUARANTINED, "x")])
    look_at(store)
    assert looks == []
    verdicts.forget(store, BAD.workload, BAD.trace_id)
    look_at(store)
    assert looks == [1]


def test_an_own_measurement_stands_for_a_trace_whatever_an_import_says(store: Store) -> None:
    own = claim(GOOD.trace, seconds=(0.5,), created="2025-01-01T00:00:00.000000Z")
    future = claim(GOOD.trace, seconds=(1e-9,), created="9999-01-01T00:00:00.000000Z")
    wrong = claim(GOOD.trace, checked=False, created="9999-01-02T00:00:00.000000Z")
    store.add_workload(workload())
    store.add_many([own])
    imported(store, future, wrong)
    assert store.best(kernel().hash, FINGERPRINT) == own


def test_where_records_come_from(store: Store, tmp_path: Path) -> None:
    imported(store, GOOD)
    export_file(store, tmp_path / "out.jsonl")
    with Store(tmp_path / "other.db") as other:
        import_logs(other, tmp_path / "out.jsonl")
        assert verdicts.origin_of(other, GOOD.id) == str(tmp_path / "out.jsonl")
        import_logs(other, tmp_path / "out.jsonl", origin="elsewhere")
        assert verdicts.origin_of(other, GOOD.id) == str(tmp_path / "out.jsonl")


def test_a_kernel_that_came_with_a_log_is_read_only_once_it_was_looked_at(store: Store, looks: list[int]) -> None:
    kept = workload()
    strange = type(kept)("f" * 16, "strange", kept.ir)  # a kernel under another's hash
    store.add_workload(kept, imported=True)
    store.add_workload(strange, imported=True)
    assert admit_kernels(store, [kept.hash, strange.hash, "0" * 16]) == [kept.hash]
    assert admit_kernels(store, [kept.hash, strange.hash]) == [kept.hash]
    assert looks == [2]
    assert verdicts.verdict_of(store, strange.hash, admission.KERNEL) is Verdict.QUARANTINED


def test_an_own_kernel_is_read(store: Store, looks: list[int]) -> None:
    store.add_workload(workload())
    assert admit_kernels(store, [kernel().hash]) == [kernel().hash]
    assert looks == []
