"""The loop of tuning on real kernels and real workers: what is measured, what is kept, and when it ends."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import targets
from compiler.build import compile_model
from compiler.errors import EdgetuneError, UsageError
from compiler.frontend import Model
from compiler.records.record import now
from compiler.records.store import Store, open_store
from compiler.tuning.local import LocalRunner
from compiler.tuning.state import TuneState, TuneSummary
from compiler.tuning.tune import Budget, list_tasks, tune
from compiler.tuning.workers import Outcome, Pool
from tests.tuning import models
from tests.tuning.stand_in import StandInBuilder
from tests.tuning.trials import trials

TARGET = targets.get("native")
IDENTITY = targets.fingerprint(TARGET).id


@pytest.fixture(scope="module")
def workers() -> Iterator[dict[str, Any]]:
    """Where candidates are built and measured. Started once: loading TVM takes longer than most of these runs."""
    with Pool(TARGET.cores, 1) as builder, LocalRunner(TARGET) as runner:
        yield {"builder": builder, "runner": runner}


def interrupt_at(count: int) -> Callable[[TuneState], None]:
    """Ctrl-C, as the command line raises it, when `count` trials were made in this call."""
    first: list[int] = []

    def progress(state: TuneState) -> None:
        first.append(state.trials)
        if state.trials - first[0] >= count:
            raise KeyboardInterrupt

    return progress


def assert_sound(summary: TuneSummary, store: Store) -> None:
    """Every trial that was counted is in the store."""
    assert len(trials(store)) == summary.trials == sum(task.trials for task in summary.tasks)
    assert summary.failed == sum(task.failed for task in summary.tasks)


def test_every_task_once_then_the_budget_to_the_last_trial(model: Model, store: Store, tmp_path: Path) -> None:
    count = len(list_tasks(model, TARGET))
    states: list[tuple[str, int, float | None]] = []
    summary = tune(
        model,
        TARGET,
        store=store,
        budget=Budget(trials=count + 17),
        progress=lambda s: states.append((s.phase, s.trials, s.latency_seconds)),
    )
    assert_sound(summary, store)
    assert (summary.trials, summary.ended, summary.interrupted) == (count + 17, "the budget is spent", False)
    assert len(summary.tasks) == count and summary.failed == 0 and summary.resumed == 0
    made = trials(store)
    assert len({r.workload for r in made[:count]}) == count, "every task once before any twice"
    assert len({(r.workload, r.trace_id) for r in made}) == len(made), "no schedule is measured twice"
    for record in made:
        assert record.fingerprint == IDENTITY and record.threads == TARGET.cores
        assert dict(record.target) == TARGET.config() and record.tvm_version == targets.tvm_version()
        assert record.error is None and len(record.seconds) in (1, 3) and min(record.seconds) > 0
        assert store.workload(record.workload) is not None
    # What a package would use was compared with a plainly scheduled kernel.
    for task in summary.tasks:
        best = store.best(task.hash, IDENTITY)
        assert best is not None and best.checked is True
        assert task.best_seconds == best.median and task.default_seconds is not None
        assert task.best_seconds <= task.default_seconds
    assert summary.latency_seconds == pytest.approx(sum(t.best_seconds * t.calls for t in summary.tasks if t.used))  # type: ignore[operator]
    assert sum(t.share for t in summary.tasks if t.share is not None) == pytest.approx(1.0)
    assert {"search", "build", "measure", "learn", "check"} <= set(summary.spent)
    assert [t for _, t, _ in states] == sorted(t for _, t, _ in states)
    assert {"searching", "building", "measuring", "checking"} <= {phase for phase, _, _ in states}
    assert states[-1][2] is not None
    built = compile_model(model, TARGET, tmp_path / "library.so", store=store)
    assert built.untuned == [] and len(built.used) == built.tasks


def test_fewer_trials_than_tasks_go_to_the_largest(model: Model, store: Store, workers: dict[str, Any]) -> None:
    summary = tune(model, TARGET, store=store, budget=Budget(trials=2), **workers)
    assert_sound(summary, store)
    assert (summary.trials, summary.ended) == (2, "the budget is spent")
    assert summary.latency_seconds is None, "nothing is known of the other tasks"
    largest = sorted(summary.tasks, key=lambda t: -(t.flops or 0) * t.calls)[:2]
    assert {r.workload for r in trials(store)} == {t.hash for t in largest}


def test_an_interrupted_run_is_gone_on_with_and_a_finished_one_is_not(
    model: Model, store: Store, workers: dict[str, Any]
) -> None:
    count = len(list_tasks(model, TARGET))
    budget = Budget(trials=count + 6)
    first = tune(model, TARGET, store=store, budget=budget, progress=interrupt_at(3), **workers)
    assert first.interrupted and first.ended == "interrupted"
    assert_sound(first, store)
    second = tune(model, TARGET, store=store, budget=budget, progress=interrupt_at(count), **workers)
    assert second.interrupted and second.resumed == first.trials
    assert_sound(second, store)
    third = tune(model, TARGET, store=store, budget=budget, **workers)
    assert not third.interrupted and third.resumed == second.trials
    assert third.trials == count + 6 and third.ended == "the budget is spent"
    assert_sound(third, store)
    assert len({r.run for r in trials(store)}) == 1
    # The same command once more is a run of its own, that starts from the records.
    fourth = tune(model, TARGET, store=store, budget=budget, progress=interrupt_at(1), **workers)
    assert fourth.resumed == 0 and fourth.trials >= 1
    assert all(t.best_seconds is not None for t in fourth.tasks)


def test_others_trials_are_not_counted_as_ones_own(
    model: Model, store: Store, workers: dict[str, Any], tmp_path: Path
) -> None:
    """A log from another machine of the kind holds its runs' names, and the same command may have made it."""
    count = len(list_tasks(model, TARGET))
    budget = Budget(trials=count)
    tune(model, TARGET, store=store, budget=budget, **workers)
    with open_store(tmp_path / "other") as other:
        for workload in store.workloads():
            other.add_workload(workload)
        other.add_many(store.records())
        summary = tune(model, TARGET, store=other, budget=budget, **workers)
    assert summary.resumed == 0 and summary.trials == count


def test_a_record_is_measured_again_before_it_is_built_upon(
    model: Model, store: Store, workers: dict[str, Any]
) -> None:
    """A time from elsewhere, or a lucky one, must not stand in the way of what is measured now."""
    task = max(list_tasks(model, TARGET), key=lambda t: t.flops or 0)
    tune(model, TARGET, store=store, budget=Budget(trials=1), tasks={task.index}, **workers)
    [record] = trials(store)
    claim = dataclasses.replace(record, seconds=(1e-9,) * 3, created=now(), run="elsewhere")
    store.add(claim)
    assert store.best(task.hash, IDENTITY) == claim
    summary = tune(model, TARGET, store=store, budget=Budget(trials=1), tasks={task.index}, **workers)
    best = store.best(task.hash, IDENTITY)
    assert summary.trials == 1 and best is not None
    assert best.trace_id == record.trace_id and best.median is not None and best.median > 1e-8


def test_a_task_whose_first_trial_failed_is_searched(
    model: Model, store: Store, workers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = next(t for t in list_tasks(model, TARGET) if "conv2d" in t.name)
    measure = LocalRunner.measure
    failures = [Outcome(error="crashed: SIGSEGV")]
    monkeypatch.setattr(LocalRunner, "measure", lambda *a: failures.pop() if failures else measure(*a))
    summary = tune(model, TARGET, store=store, budget=Budget(trials=4), tasks={task.index}, **workers)
    assert summary.trials == 4 and summary.failed == 1
    assert next(t for t in summary.tasks if t.index == task.index).best_seconds is not None


def test_ctrl_c_ends_the_check(model: Model, store: Store, workers: dict[str, Any]) -> None:
    def progress(state: TuneState) -> None:
        if state.phase == "checking":
            raise KeyboardInterrupt

    budget = Budget(trials=len(list_tasks(model, TARGET)))
    first = tune(model, TARGET, store=store, budget=budget, progress=progress, **workers)
    assert first.interrupted
    assert all(r.checked is None for r in store.records())
    second = tune(model, TARGET, store=store, budget=budget, **workers)
    assert second.resumed == first.trials == second.trials, "the same command goes on, here with the check alone"
    assert any(r.checked for r in store.records())


def test_a_time_budget_ends_it(model: Model, store: Store) -> None:
    started = time.monotonic()
    summary = tune(model, TARGET, store=store, budget=Budget(seconds=3.0))
    assert summary.ended == "the budget is spent"
    assert summary.seconds >= 2.5 and time.monotonic() - started < 240
    assert_sound(summary, store)


def test_only_the_chosen_tasks_are_tuned(model: Model, store: Store, workers: dict[str, Any]) -> None:
    tasks = list_tasks(model, TARGET)
    assert [t.index for t in tasks] == list(range(1, len(tasks) + 1))
    chosen = [t for t in tasks if "conv2d" in t.name][:2]
    summary = tune(model, TARGET, store=store, budget=Budget(trials=6), tasks={t.index for t in chosen}, **workers)
    assert_sound(summary, store)
    assert [(t.index, t.name, t.hash) for t in summary.tasks] == [(t.index, t.name, t.hash) for t in tasks]
    assert {r.workload for r in trials(store)} == {t.hash for t in chosen}
    with pytest.raises(UsageError, match=f"no task {len(tasks) + 1}: .* 1 to {len(tasks)}"):
        tune(model, TARGET, store=store, budget=Budget(trials=1), tasks={1, len(tasks) + 1})


def test_without_a_budget_it_ends_when_there_is_nothing_left_to_try(
    tmp_path: Path, store: Store, workers: dict[str, Any]
) -> None:
    summary = tune(models.nothing_to_choose(tmp_path), TARGET, store=store, budget=Budget(), **workers)
    assert summary.ended == "nothing improves any more"
    assert_sound(summary, store)
    # A kernel that never gives a number is a failure, which ends nothing; one that wants positive numbers is none.
    failing = [t for t in summary.tasks if t.failed]
    assert len(failing) == 1 and "log" in failing[0].name and "NaN" in (failing[0].last_error or "")
    assert all(t.best_seconds is not None for t in summary.tasks if t is not failing[0])


def test_a_machine_that_is_not_the_target_is_refused(model: Model, store: Store) -> None:
    foreign = next(t for t in map(targets.get, targets.names()) if t.family == "arm" or targets.why_not_run(t))
    with pytest.raises(EdgetuneError) as error:
        tune(model, foreign, store=store, budget=Budget(trials=1))
    assert str(error.value) == targets.why_not_run(foreign)
    with pytest.raises(UsageError, match="precision"):
        tune(model, TARGET, store=store, budget=Budget(trials=1), precision="int8")
    assert trials(store) == []


def test_a_full_disk_is_no_candidate_s_fault(
    model: Model, store: Store, workers: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(StandInBuilder):
        def build(self, job: dict[str, Any]) -> Outcome:
            return Outcome(error="linking 1.so with c++ failed: final link failed: No space left on device")

    # The linker writes to TMPDIR even where it is full; Python then takes another folder.
    full = tmp_path / "full"
    full.mkdir()
    usage = shutil.disk_usage
    monkeypatch.setenv("TMPDIR", str(full))
    monkeypatch.setattr(shutil, "disk_usage", lambda at: usage(at)._replace(free=1000 * (str(at) != str(full)) << 20))
    given = {**workers, "builder": Full()}
    with pytest.raises(EdgetuneError, match=f"no space is left in {full}"):
        tune(model, TARGET, store=store, budget=Budget(trials=3), **given)
    assert trials(store) == []
    # With room on all disks it is the candidate's.
    monkeypatch.delenv("TMPDIR")
    summary = tune(model, TARGET, store=store, budget=Budget(trials=3), **given)
    assert (summary.trials, summary.failed) == (3, 3)
