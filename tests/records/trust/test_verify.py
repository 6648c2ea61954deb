"""Imported schedules built, run and compared; claims measured again. The kernels are real, and so are the times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import targets
from compiler.records.store import Store
from compiler.records.trust import remeasure, verdicts, verify
from compiler.records.trust.claims import foreign_workloads, imported_records, own_kernels
from compiler.records.trust.remeasure import Comparison
from compiler.records.trust.verdicts import Verdict
from compiler.records.trust.verify import VerifyReport, _compare, _Unclear, apply_all, check_all
from compiler.tuning.local import LocalRunner
from compiler.tuning.search import Search
from compiler.tuning.workers import Pool
from tests.records.trust.kernels import FINGERPRINT, claim, edited, imported, kernel, packed, schedule, tiled
from tests.tuning.libraries import module

TARGET = targets.get("native")


@pytest.fixture(scope="module")
def builder() -> Iterator[Pool]:
    with Pool(1, 1) as pool:
        yield pool


@pytest.fixture(scope="module")
def runner() -> Iterator[LocalRunner]:
    with LocalRunner(TARGET) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "records.db") as opened:
        yield opened


GOOD = claim(schedule(tiled(8)), seconds=(0.002, 0.0021))
PACKED = claim(schedule(packed()), seconds=(0.003, 0.0031))
BAD = claim(edited(schedule(), lambda i, _: i[0][2].__setitem__(0, "none")))


def verified(store: Store, builder: Pool, runner: LocalRunner, folder: Path) -> VerifyReport:
    kernels = own_kernels(store)
    report = apply_all(store, kernels, FINGERPRINT)
    check_all(store, kernels, TARGET, FINGERPRINT, builder, runner, folder, report)
    return report


def test_right_ones_are_marked_and_not_run_again(
    store: Store, builder: Pool, runner: LocalRunner, tmp_path: Path
) -> None:
    imported(store, GOOD, PACKED, BAD)
    report = verified(store, builder, runner, tmp_path)
    assert (report.records, report.checked, report.before, report.quarantined) == (3, 2, 0, 1)
    assert (report.applies, report.unclear) == (0, 0)
    assert verdicts.verdict_of(store, GOOD.workload, GOOD.trace_id) is Verdict.CHECKED
    assert {r.id for r in store.top(GOOD.workload, FINGERPRINT, 8, vetted=True)} == {GOOD.id, PACKED.id}
    report = verified(store, builder, runner, tmp_path)
    assert (report.records, report.checked, report.before, report.quarantined) == (2, 2, 2, 0)


def test_one_that_computes_something_else_is_quarantined(
    store: Store, builder: Pool, runner: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(store, GOOD)
    # The plain kernel that it is compared with is that of a kernel with weights added, and not multiplied.
    other = schedule_of_sum()
    monkeypatch.setattr(Search, "plain", lambda self: other)
    report = verified(store, builder, runner, tmp_path)
    assert (report.checked, report.quarantined) == (0, 1)
    [found] = verdicts.quarantined(store)
    assert "something else" in found.reason
    assert store.best(GOOD.workload, FINGERPRINT) is None


def schedule_of_sum() -> str:
    import tvm
    from tvm import te

    x = te.placeholder((64, 64), "float32", name="x")
    w = te.placeholder((64, 64), "float32", name="w")
    y = te.compute((64, 64), lambda i, j: x[i, j] + w[i, j], name="y")
    func = te.create_prim_func([x, w, y]).with_attr("global_symbol", "main")
    return str(tvm.ir.save_json(tvm.IRModule({"main": func})))


def test_what_becomes_of_libraries_that_do_not_run(builder: Pool, runner: LocalRunner, tmp_path: Path) -> None:
    job = {"module": module(), "target": TARGET.config(), "library": str(tmp_path / "x.so"), "keep_packing": True}
    [outcome] = builder.map("build", [job], 60)
    good, missing = outcome.value, ("/nowhere.so", outcome.value[1])
    assert _compare(good, good, runner) is None
    assert str(_compare(missing, good, runner)).startswith("it does not run")
    assert isinstance(_compare(good, missing, runner), _Unclear)  # nobody knows whose fault it is
    assert isinstance(_compare(good, "crashed", runner), _Unclear)
    assert _compare("crashed", good, runner) == "it does not build: crashed"


def test_what_shows_nothing_is_compared_within_limits_of_processor_time(
    store: Store, builder: Pool, runner: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(store, GOOD, PACKED)
    monkeypatch.setattr(verify, "_compare", lambda *_: _Unclear("timed out after 30 s"))
    report = verified(store, builder, runner, tmp_path)
    assert (report.checked, report.quarantined, report.unclear, report.applies) == (2, 0, 0, 0)
    for record in (GOOD, PACKED):
        verdicts.keep(store, [(record.workload, record.trace_id, Verdict.APPLIES, "")])
    said = [(Verdict.APPLIES, "not compared: MemoryError"), (Verdict.QUARANTINED, "it computes something else")]
    monkeypatch.setattr(verify, "judge", lambda jobs, target: said)
    report = verified(store, builder, runner, tmp_path)
    assert (report.checked, report.quarantined, report.unclear, report.applies) == (0, 1, 1, 0)
    assert "not compared: MemoryError" in report.notes[0]
    monkeypatch.setattr(verify, "can_compare", lambda target: False)
    report = verified(store, builder, runner, tmp_path)
    assert (report.unclear, report.applies) == (1, 0)
    assert "timed out after 30 s" in report.notes[0]


def test_nothing_is_built_from_a_kernel_that_came_with_a_log(store: Store) -> None:
    imported(store, GOOD, own_kernel=False)
    assert own_kernels(store) == {}
    assert foreign_workloads(store, FINGERPRINT, {}) == 1
    assert apply_all(store, {}, FINGERPRINT).records == 0
    imported(store, own_kernel=True)
    assert set(own_kernels(store)) == {kernel().hash}


def test_claims_are_measured_again_and_demoted(
    store: Store, builder: Pool, runner: LocalRunner, tmp_path: Path
) -> None:
    lie = claim(schedule(tiled(16)), seconds=(1e-9, 1.1e-9, 0.9e-9))
    imported(store, lie, GOOD)
    kernels = own_kernels(store)
    apply_all(store, kernels, FINGERPRINT)
    assert store.best(lie.workload, FINGERPRINT) == lie
    chosen = remeasure.choose(store, kernels, FINGERPRINT, None)
    assert {r.id for r in chosen} == {lie.id, GOOD.id}
    assert len(remeasure.choose(store, kernels, FINGERPRINT, 1)) == 1
    found = remeasure.remeasure(chosen, kernels, TARGET, builder, runner, tmp_path, 0.2)
    [of_lie] = [c for c in found if c.record == lie]
    assert of_lie.off and of_lie.ratio is not None and of_lie.ratio > 10 and of_lie.p is not None
    assert len(of_lie.measured) >= 2
    remeasure.keep(store, found)
    assert len(store.query("SELECT * FROM remeasured")) == 2
    assert remeasure.demote(store, [of_lie], runner) == 1
    [best] = [r for r in store.top(lie.workload, FINGERPRINT, 8) if r.trace_id == lie.trace_id]
    assert best.seconds == of_lie.measured
    assert best.extra["disproves"] == lie.id
    assert verdicts.origin_of(store, best.id) is None


def comparison(claimed: tuple[float, ...], measured: tuple[float, ...], threshold: float = 0.2) -> Comparison:
    return remeasure._compare(claim(GOOD.trace, seconds=claimed), "x", measured, None, threshold)


@pytest.mark.parametrize(
    ("claimed", "measured", "off"),
    [
        ((1.0, 1.01, 0.99), (1.02, 1.0, 1.01), False),
        ((1.0, 1.01, 0.99), (1.5, 1.52, 1.48), True),
        ((1.0, 1.01, 0.99), (0.5, 0.52, 0.48), True),  # faster than claimed: another device, or another kernel
        ((1.0, 1.01, 0.99), (0.5, 1.5, 1.6), False),  # scattered: by chance
        ((1.0, 1.01, 0.99), (1.15, 1.16, 1.15), False),  # significant, and below the threshold
        ((1.0,), (1.5,), True),  # nothing is known of chance
        ((1.0, 1.0), (1.0, 1.0), False),
        ((1.0, 1.0), (2.0, 2.0), True),
    ],
)
def test_what_counts_as_off(claimed: tuple[float, ...], measured: tuple[float, ...], off: bool) -> None:
    found = comparison(claimed, measured)
    assert found.off is off
    assert found.error is None


def test_a_claim_that_could_not_be_measured_is_not_off() -> None:
    found = remeasure._compare(GOOD, "x", [], "build: crashed: SIGSEGV", 0.2)
    assert (found.off, found.ratio, found.error) == (False, None, "build: crashed: SIGSEGV")


def test_only_the_newest_claim_of_a_trace_is_tested(store: Store) -> None:
    newer = claim(GOOD.trace, created="2025-06-01T00:00:00.000000Z")
    imported(store, GOOD, newer)
    assert imported_records(store, GOOD.workload, FINGERPRINT) == [newer]
