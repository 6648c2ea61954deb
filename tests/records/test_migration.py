"""Records of another TVM: which of their schedules still apply, and why others do not."""

from __future__ import annotations

from pathlib import Path

import pytest

import cli
import targets
from compiler.graph.scheduling import cpu_hardware, zero_trial
from compiler.records.migration import migrate
from compiler.records.store import Store
from compiler.records.trust.verdicts import Verdict, verdict_of
from compiler.records.workload import trace_text, workload_of
from compiler.tuning.tune import expand
from tests.records.samples import failed, record, trace
from tests.tuning import models


def test_old_schedules_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = targets.get("native")
    tasks = list(expand(models.convolutions(tmp_path), target).tasks.values())[:2]
    traces = [trace_text(zero_trial(task.mod, cpu_hardware(target))) for task in tasks]
    hashes = [task.hash for task in tasks]
    with Store(tmp_path / "records.db") as store:
        for task in tasks:
            store.add_workload(workload_of(task.mod, task.name))
        old = [record(workload=hashes[i], trace=traces[i], tvm_version="0.25.0", fingerprint="old") for i in (0, 1)]
        strange = record(workload=hashes[0], trace=trace(), tvm_version="0.25.0", fingerprint="old")
        store.add_many([*old, strange, failed(workload=hashes[0], trace=trace(2), tvm_version="0.25.0")])
        store.add(record(workload=hashes[0], trace=traces[0], tvm_version=store.tvm_version))
        (found,) = migrate(store)
        assert (found.tvm_version, found.fingerprint, found.traces, found.survived) == ("0.25.0", "old", 3, 2)
        assert sum(found.reasons.values()) == 1
        assert verdict_of(store, hashes[0], old[0].trace_id) is Verdict.APPLIES
        assert verdict_of(store, hashes[0], strange.trace_id) is Verdict.QUARANTINED
        assert set(store.fingerprints()) == {"old", "x86-avx2-2-abc123"}, "nothing was rewritten"
        assert migrate(store, "x86-avx2-2-abc123") == []
    assert cli.main(["logs", "migrate", "--fingerprint", "x86-avx2-2-abc123", "--logs", str(tmp_path)]) == 0
    assert "all records" in capsys.readouterr().out
