"""A run that begins from others' records: what it tries first, and what it never claims."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import targets
from compiler.build import compile_model
from compiler.frontend import Model
from compiler.records.model_log import model_log
from compiler.records.record import CHECK_RUN, Record
from compiler.records.store import Store, open_store
from compiler.records.workload import workload_of
from compiler.report.tuning import begins_words
from compiler.tuning.search import Search
from compiler.tuning.state import Begins, TuneSummary
from compiler.tuning.tune import Budget, expand, tune
from tests.records.samples import record
from tests.tuning import models

TARGET = targets.get("native")
OWN = targets.fingerprint(TARGET)
OTHER = targets.fingerprint(targets.get(TARGET.name, TARGET.cores + 2), OWN.device)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return models.convolutions(tmp_path_factory.mktemp("model"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as opened:
        yield opened


def points_of(search: Search) -> list[str]:
    """A few points of a task's spaces, as traces."""
    found = [search.at(number, {}) for number in range(len(search.traces))]
    return [candidate.trace for candidate in found if candidate is not None]


def give(store: Store, model: Model, seconds: float) -> set[str]:
    """Records of every kernel of `model`, on a device with more cores; the ids of their traces."""
    from compiler.graph.scheduling import cpu_hardware

    found = []
    for digest, task in expand(model, TARGET).tasks.items():
        store.add_workload(workload_of(task.mod, task.name))
        search = Search(task, TARGET.to_tvm(), cpu_hardware(TARGET), 0, None)
        found += [
            record(
                workload=digest,
                trace=trace,
                seconds=(seconds * (1 + number / 100),) * 3,
                fingerprint=OTHER.id,
                target=targets.get(TARGET.name, TARGET.cores + 2).config(),
                device=OWN.device,
                threads=TARGET.cores + 2,
                tvm_version=OWN.tvm_version,
            )
            for number, trace in enumerate(points_of(search))
        ]
    store.add_many(found)
    return {r.trace_id for r in found}


def trials(store: Store) -> list[Record]:
    """What was measured here, in the order in which it was made."""
    found = store.records(fingerprint=OWN.id)
    return sorted((r for r in found if r.run != CHECK_RUN), key=lambda r: r.created)


def run(store: Store, model: Model, count: int, **options: bool) -> TuneSummary:
    return tune(model, TARGET, store=store, budget=Budget(trials=count), **options)


def test_a_run_begins_with_what_was_fast_elsewhere_and_claims_nothing_of_it(
    model: Model, store: Store, tmp_path: Path
) -> None:
    given = give(store, model, 1e-9)
    built = compile_model(model, TARGET, tmp_path / "before.so", store=store)
    assert built.used == [] and built.trials == 0, "nothing is compiled from another device's records"
    expanded = expand(model, TARGET)
    count = len(expanded.tasks)
    summary = run(store, model, count + 4)
    assert summary.begins.tasks == count and summary.begins.known == 0
    assert summary.begins.records > 0 and 0 < summary.begins.kernels <= count
    made = trials(store)
    assert len({r.workload for r in made[:count]}) == count, (
        "every task is measured once before any gets a second round"
    )
    assert all(r.trace_id in given for r in made[count:]), "then what was fast elsewhere"
    assert summary.latency_seconds is not None and summary.latency_seconds > 1e-7, "times are this machine's"
    log = model_log(expanded, {}, store, OWN.id)
    assert all(task.best is None or task.best.fingerprint == OWN.id for task in log.tasks)
    after = compile_model(model, TARGET, tmp_path / "after.so", store=store)
    assert {r.fingerprint for _, _, r in after.used} == {OWN.id}

    again = run(store, model, 1)
    assert again.begins.known == count and again.begins.records == 0, "what is known here comes first"
    assert begins_words(again.begins) == f"starts from records of its own for {count} of {count} tasks"


def test_without_a_warm_start_others_records_are_not_looked_at(model: Model, store: Store) -> None:
    give(store, model, 1e-9)
    summary = run(store, model, 1, warm=False)
    assert summary.begins == Begins(tasks=summary.begins.tasks)
    assert store.query("SELECT key FROM notes WHERE key LIKE 'kernel sizes%'") == []


def test_what_a_run_begins_with_in_words() -> None:
    assert begins_words(Begins(30)) == "starts from no records"
    assert begins_words(Begins(30, 0, 31, 18)) == "starts from 31 records of 18 similar kernels"
    words = "starts from records of its own for 1 of 2 tasks and 1 record of 1 similar kernel"
    assert begins_words(Begins(2, 1, 1, 1)) == words
