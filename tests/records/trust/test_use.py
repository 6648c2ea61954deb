"""Compiling and warm starts with imported records: what is sound is used, what is not is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

import targets
from compiler.build import compile_model
from compiler.frontend import Model
from compiler.graph.scheduling import cpu_hardware
from compiler.graph.variants import Variants
from compiler.records.nearest.devices import Device
from compiler.records.nearest.kernels import read_kernel
from compiler.records.nearest.lookup import Nearest
from compiler.records.store import Store
from compiler.records.trust import verdicts
from compiler.records.workload import trace_text, workload_of
from compiler.tuning.cost_model import CostModel
from compiler.tuning.search import Search
from compiler.tuning.tune import expand
from compiler.tuning.warm_start.lessons import teach
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


def test_a_warm_start_reads_numbers_of_imported_records_and_nothing_else(expanded: Variants, tmp_path: Path) -> None:
    own = targets.fingerprint(TARGET)
    with Store(tmp_path / "records.db") as store:
        task = next(t for t in expanded.tasks.values() if "conv2d" in t.name)
        kept = workload_of(task.mod, task.name)
        store.add_workload(kept, imported=True)
        search = Search(task, TARGET.to_tvm(), cpu_hardware(TARGET), 0)
        sound = [trace_text(space) for space in search.spaces[:5]]
        strange = [
            '[[["Split",["l0",0],[],["l1"]]],[]]',
            '[[["Split",["l0",-4],[],["l1"]]],[]]',
            '[[["SamplePerfectTile",["l0"],[2,64],["v1","v2"]]],[[0,[4]]]]',
            '[[["Split",["l0","v9"],[],["l1"]]],[[7,"x"]]]',
            "[[7],[]]",
        ]
        bad = claim(edited(sound[0], lambda i, _: i[0][2].__setitem__(0, "none")), workload=kept.hash, seconds=(2.0,))
        store.add_many([bad, *(claim(t, workload=kept.hash) for t in sound + strange)], origin="a stranger")
        verdicts.keep(store, [(kept.hash, bad.trace_id, verdicts.Verdict.QUARANTINED, "it does not apply")])
        device = Device(own.id, TARGET.config(), own.device, TARGET.cores)
        kernel = read_kernel(kept.ir)
        assert kernel is not None
        model = CostModel(0)
        assert teach(model, store, Nearest(store, device).kernels([kernel], ())) == len(sound) == len(model)
        assert verdicts.verdict_of(store, kept.hash, "kernel") is None, "nobody had to look at it"
