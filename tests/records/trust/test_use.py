"""Compiling and warm starts with imported records: what is sound is used, what is not is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

import targets
from compiler.build import compile_model
from compiler.frontend import Model
from compiler.graph.scheduling import cpu_hardware
from compiler.graph.variants import Variants
from compiler.records.store import Store
from compiler.records.trust import verdicts
from compiler.records.workload import trace_text, workload_of
from compiler.tuning.search import Search
from compiler.tuning.tune import expand
from compiler.tuning.warm_start.cost_model import teach
from tests.records.trust.kernels import claim, edited
from tests.tuning import models

TARGET = targets.get("native")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return models.convolutions(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def expanded(model: Model) -> Variants:
    return expand(model, TARGET)


def fill(store: Store, expanded: Variants, *, imported_kernels: bool) -> dict[str, str]:
    """Imported records of each kernel's zero-trial schedule, and for each a faster claim that does not apply; returns
    the id of the sound record of each."""
    sound = {}
    for digest, task in expanded.tasks.items():
        store.add_workload(workload_of(task.mod, task.name), imported=imported_kernels)
        search = Search(task, TARGET.to_tvm(), cpu_hardware(TARGET), 0, None)
        good = claim(search.default().trace, seconds=(0.001,), workload=digest)
        bad = edited(good.trace, lambda i, _: i[0][2].__setitem__(0, "none"))
        store.add_many([good, claim(bad, seconds=(1e-9,), workload=digest)], origin="a stranger")
        sound[digest] = good.id
    return sound


def test_compiling_uses_what_is_sound(model: Model, expanded: Variants, tmp_path: Path) -> None:
    with Store(tmp_path / "records.db") as store:
        sound = fill(store, expanded, imported_kernels=True)
        built = compile_model(model, TARGET, tmp_path / "a.so", store=store)
        assert built.used and built.untuned == []
        assert {record.id for _, _, record in built.used} <= set(sound.values())
        out = verdicts.quarantined(store)
        assert {found.workload for found in out} == set(sound)
        before = store.query("SELECT * FROM verdicts ORDER BY workload, trace_id")
        again = compile_model(model, TARGET, tmp_path / "b.so", store=store)
        assert {r.id for _, _, r in again.used} == {r.id for _, _, r in built.used}
        assert store.query("SELECT * FROM verdicts ORDER BY workload, trace_id") == before


def test_compiling_where_nothing_is_sound(model: Model, expanded: Variants, tmp_path: Path) -> None:
    with Store(tmp_path / "records.db") as store:
        for digest, task in expanded.tasks.items():
            store.add_workload(workload_of(task.mod, task.name))
            bad = claim('[[["GetSBlock",[],["none","main"],["b0"]]],[]]', workload=digest)
            store.add_many([bad], origin="a stranger")
        built = compile_model(model, TARGET, tmp_path / "a.so", store=store)
        assert built.used == []
        assert len(verdicts.quarantined(store)) == len(expanded.tasks)


class Pupil:
    """In the place of a cost model: what it is taught."""

    last_train_size = 0

    def __init__(self) -> None:
        self.lessons = 0

    def update(self, context: object, candidates: list[object], results: list[object]) -> None:
        self.lessons += len(candidates)


def test_a_warm_start_learns_from_imported_kernels_once_they_were_looked_at(expanded: Variants, tmp_path: Path) -> None:
    fingerprint = targets.fingerprint(TARGET).id
    with Store(tmp_path / "records.db") as store:
        task = next(t for t in expanded.tasks.values() if "conv2d" in t.name)
        kept = workload_of(task.mod, task.name)
        store.add_workload(kept, imported=True)
        strange = type(kept)("f" * 16, "strange", kept.ir)
        store.add_workload(strange, imported=True)
        search = Search(task, TARGET.to_tvm(), cpu_hardware(TARGET), 0, None)
        traces = [*(trace_text(space) for space in search.spaces[:2]), search.default().trace]
        for number in range(12):
            # Annotations that change nothing make traces that differ.
            trace = edited(
                traces[number % len(traces)],
                lambda i, _, n=number: i.append(["Annotate", [i[0][3][0], n], ["meta_schedule.vectorize"], []]),
            )
            for workload in (kept.hash, strange.hash):
                store.add_many([claim(trace, workload=workload, seconds=(0.001 + number,))], origin="a stranger")
        taught = Pupil()
        learned = teach(taught, store, [(w, fingerprint) for w in (kept.hash, strange.hash)], TARGET.to_tvm())
        assert 0 < learned == taught.lessons <= 12
        assert verdicts.verdict_of(store, strange.hash, "kernel") is verdicts.Verdict.QUARANTINED
