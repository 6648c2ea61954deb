"""Records as stock MetaSchedule's database and back, and a plain TVM script that uses them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cli
import targets
from compiler.errors import EdgetuneError
from compiler.records.exchange.import_ import import_logs
from compiler.records.exchange.metaschedule_export import export_metaschedule
from compiler.records.record import Record
from compiler.records.store import Store
from tests.records.samples import DATA, HASHES, failed, record, store_with, trace
from tests.tuning import models

FP = "x86-avx2-2-abc123"
STOCK = DATA / "metaschedule"
SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "plain_tvm.py"


def held(folder: Path) -> set[str]:
    """What a stock database holds, as it reads it: each record with its workload's hash, as text."""
    import tvm_ffi
    from tvm.s_tir.meta_schedule.database import JSONDatabase

    from compiler.records.workload import trace_text

    database = JSONDatabase(
        str(folder / "database_workload.json"), str(folder / "database_tuning_record.json"), allow_missing=False
    )
    return {
        json.dumps(
            [
                tvm_ffi.structural_hash(entry.workload.mod),
                trace_text(entry.trace),
                [float(seconds) for seconds in entry.run_secs or ()],
                str(entry.target),
                str([argument.as_json() for argument in entry.args_info or ()]),
            ]
        )
        for entry in database.get_all_tuning_records()
    }


def test_what_it_can_hold_survives_the_way_there_and_back(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as a, Store(tmp_path / "b.db") as b:
        import_logs(a, STOCK, fingerprint=FP, device="Some CPU")
        report = export_metaschedule(a, tmp_path / "ms", FP)
        assert (report.records, report.workloads) == (8, 2)
        import_logs(b, tmp_path / "ms", fingerprint=FP, device="Some CPU")
        assert set(a.records()) == set(b.records())
    assert held(tmp_path / "ms") == held(STOCK)


def test_only_what_may_be_used_goes_in(tmp_path: Path) -> None:
    old = record(seconds=(0.0001,), created="2025-01-01T00:00:00.000000Z")
    new = record(seconds=(0.002, 0.003), created="2025-01-02T00:00:00.000000Z")
    wrong = record(trace=trace(2), seconds=(0.00001,), checked=False)
    other = record(trace=trace(1), fingerprint="other")
    with store_with(tmp_path / "a.db", [old, new, wrong, other, failed(trace=trace(8))]) as store:
        report = export_metaschedule(store, tmp_path, FP)
        lines = (tmp_path / "database_tuning_record.json").read_text().splitlines()
        seconds = [json.loads(line)[1][1] for line in lines]
        assert (report.records, seconds) == (2, [[0.002, 0.003], [1e10]])
        assert export_metaschedule(store, tmp_path, FP, top=5).records == 1
        with pytest.raises(EdgetuneError, match="nothing to export"):
            export_metaschedule(store, tmp_path, FP, workloads={HASHES[2]})


def test_the_command_wants_one_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_with(tmp_path / "records.db", [record(), record(fingerprint="other")]).close()
    out = tmp_path / "ms"
    common = ["logs", "export", str(out), "--format", "metaschedule", "--logs", str(tmp_path)]
    assert cli.main(common) == 2
    assert "--fingerprint (other, x86-avx2-2-abc123)" in capsys.readouterr().err
    assert cli.main([*common, "--fingerprint", "other", "--author", "me"]) == 2
    assert not out.exists()
    assert cli.main([*common, "--fingerprint", "other"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["database_tuning_record.json", "database_workload.json"]
    assert cli.main(["logs", "export", str(out), "--model", "alexnet", "--logs", str(tmp_path)]) == 2


def test_plain_tvm_runs_a_model_with_our_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The script of the documentation, which knows nothing of edgetune, in a process of its own."""
    from compiler.graph.scheduling import cpu_hardware, zero_trial
    from compiler.records.workload import trace_text, workload_of
    from compiler.tuning.tune import expand

    model, target = models.convolutions(tmp_path), targets.get("native")
    mark = targets.fingerprint(target)
    tasks = expand(model, target).tasks.values()
    template = record(
        fingerprint=mark.id, device=mark.device, target=target.config(), threads=target.cores,
        tvm_version=mark.tvm_version,
    )  # fmt: skip
    found: list[Record] = []
    with Store(tmp_path / "store" / "records.db") as store:
        for task in tasks:
            store.add_workload(workload_of(task.mod, task.name))
            schedule = zero_trial(task.mod, cpu_hardware(target))
            found.append(dataclasses.replace(template, workload=task.hash, trace=trace_text(schedule)))
        store.add_many(found)
    out = tmp_path / "plain"
    arguments = ["logs", "export", str(out), "--format", "metaschedule", "--model", str(tmp_path / "model.onnx")]
    assert cli.main([*arguments, "--logs", str(tmp_path / "store")]) == 0, capsys.readouterr().err
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(out)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["kernels"] == said["tuned"] > 2
    assert said["milliseconds"] > 0
