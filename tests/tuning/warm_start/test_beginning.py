"""A run that begins from others' records: what it tries first, and what it never claims."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import targets
from compiler.build import compile_model
from compiler.frontend import Model
from compiler.graph.scheduling import cpu_hardware
from compiler.graph.variants import Variants
from compiler.records.model_log import model_log
from compiler.records.record import CHECK_RUN, Record
from compiler.records.store import Store, open_store
from compiler.records.workload import workload_of
from compiler.report.tuning import begins_words
from compiler.tuning.offline.carrier import Carrier
from compiler.tuning.search import Search
from compiler.tuning.session import BATCH, Session
from compiler.tuning.state import Begins
from compiler.tuning.tune import Budget, expand, task_states, tune
from compiler.tuning.warm_start.seeds import SEEDS
from tests.records.samples import record

TARGET = targets.get("native")
OWN = targets.fingerprint(TARGET)
MORE_CORES = targets.get(TARGET.name, TARGET.cores + 2)
OTHER = targets.fingerprint(MORE_CORES, OWN.device)


@pytest.fixture(scope="module")
def expanded(model: Model) -> Variants:
    return expand(model, TARGET)


@pytest.fixture(scope="module")
def traces(expanded: Variants) -> dict[str, list[str]]:
    """The default of each space of each task."""
    found = {}
    for digest, task in expanded.tasks.items():
        search = Search(task, TARGET.to_tvm(), cpu_hardware(TARGET), 0, None)
        candidates = [search.at(number, {}) for number in range(len(search.traces))]
        found[digest] = [candidate.trace for candidate in candidates if candidate is not None]
    return found


def made(digest: str, trace: str, seconds: float, fingerprint: targets.Fingerprint, target: targets.Target) -> Record:
    return record(
        workload=digest,
        trace=trace,
        seconds=(seconds,) * 3,
        fingerprint=fingerprint.id,
        target=target.config(),
        device=fingerprint.device,
        threads=target.cores,
        tvm_version=fingerprint.tvm_version,
    )


@pytest.fixture
def store(tmp_path: Path, expanded: Variants, traces: dict[str, list[str]]) -> Iterator[Store]:
    """Records of every task, of a device with more cores; all but the default are impossibly fast."""
    with open_store(tmp_path) as opened:
        for digest, task in expanded.tasks.items():
            opened.add_workload(workload_of(task.mod, task.name))
            times = [1e-9 * (1000 - number) for number in range(len(traces[digest]))]
            opened.add_many(
                made(digest, trace, seconds, OTHER, MORE_CORES)
                for trace, seconds in zip(traces[digest], times, strict=True)
            )
        yield opened


def session(store: Store, model: Model, expanded: Variants, warm: bool = True) -> Session:
    """A run in which nothing is built or measured."""
    states = task_states(expanded)
    budget = Budget(trials=100)
    return Session(model, TARGET, store, budget, "fp32", 0, expanded, states, None, Carrier(OWN), None, warm)


def with_choice(traces: dict[str, list[str]]) -> str:
    """The task with most spaces."""
    return max(traces, key=lambda digest: len(traces[digest]))


def test_after_the_default_a_task_tries_what_was_fast_elsewhere(
    model: Model, expanded: Variants, traces: dict[str, list[str]], store: Store
) -> None:
    run = session(store, model, expanded)
    assert run.state.begins.tasks == len(expanded.tasks) and run.state.begins.known == 0
    assert run.state.begins.records > 0 and 0 < run.state.begins.kernels <= len(expanded.tasks)
    assert all(state.best_seconds is None for state in run.state.tasks), "another device's times are no claims"
    [work] = [w for w in run.work if w.state.hash == with_choice(traces)]
    first, batch = run.first(work), run.propose(work)
    assert first.trace == traces[work.state.hash][0]
    assert len(batch) == BATCH
    assert {c.trace for c in batch[:SEEDS]} <= set(traces[work.state.hash][1:])
    assert not {c.id for c in batch} & {c.id for c in run.propose(work)}, "seeds are tried once"


def test_a_task_with_a_record_of_its_own_needs_no_others(
    model: Model, expanded: Variants, traces: dict[str, list[str]], store: Store
) -> None:
    digest = with_choice(traces)
    store.add(made(digest, traces[digest][1], 1e-3, OWN, TARGET))
    run = session(store, model, expanded)
    assert run.state.begins.known == 1
    [work] = [w for w in run.work if w.state.hash == digest]
    assert run.first(work).trace == traces[digest][1]
    assert traces[digest][1] not in {c.trace for c in run.propose(work)}


def test_without_a_warm_start_others_records_are_not_looked_at(model: Model, expanded: Variants, store: Store) -> None:
    run = session(store, model, expanded, warm=False)
    assert run.state.begins == Begins(tasks=len(expanded.tasks))
    assert store.query("SELECT key FROM notes WHERE key LIKE 'kernel sizes%'") == []


def test_nothing_of_another_device_is_claimed_compiled_or_kept_as_this_ones(
    model: Model, expanded: Variants, store: Store, tmp_path: Path
) -> None:
    built = compile_model(model, TARGET, tmp_path / "before.so", store=store)
    assert built.used == [] and built.trials == 0
    count = len(expanded.tasks)
    summary = tune(model, TARGET, store=store, budget=Budget(trials=count + 2))
    own = sorted((r for r in store.records(fingerprint=OWN.id) if r.run != CHECK_RUN), key=lambda r: r.created)
    assert len({r.workload for r in own[:count]}) == count, "every task is measured once before any gets more"
    assert len(own) == count + 2
    assert all(r.cost is None or r.cost > 1e-8 for r in own), "times are this machine's"
    assert summary.latency_seconds is not None and summary.latency_seconds > 1e-7
    log = model_log(expanded, {}, store, OWN.id)
    assert all(task.best is None or task.best.fingerprint == OWN.id for task in log.tasks)


def test_what_a_run_begins_with_in_words() -> None:
    assert begins_words(Begins(30)) == "starts from no records"
    assert begins_words(Begins(30, 0, 31, 18)) == "starts from 31 records of 18 similar kernels"
    words = "starts from records of its own for 1 of 2 tasks and 1 record of 1 similar kernel"
    assert begins_words(Begins(2, 1, 1, 1)) == words
