"""`edgetune logs show MODEL`, and `logs merge` and `logs import` where something is in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cli
import targets
from compiler.frontend import Model
from compiler.records.record import CHECK_RUN
from compiler.records.store import Store
from compiler.records.workload import workload_of
from compiler.tuning.tune import expand
from tests.records.samples import record, store_with, trace
from tests.tuning import models

NATIVE = targets.get("native")
FP = targets.fingerprint(NATIVE).id


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return models.convolutions(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def logs(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two trials of every kernel of `model` but its last."""
    folder = tmp_path_factory.mktemp("logs")
    with Store(folder / "records.db") as store:
        for task in list(expand(model, NATIVE).tasks.values())[:-1]:
            store.add_workload(workload_of(task.mod, task.name))
            for number, seconds in ((1, 0.002), (2, 0.001)):
                day = f"2025-01-0{number}T00:00:00.000000Z"
                made = record(workload=task.hash, fingerprint=FP, trace=trace(number), seconds=(seconds,), created=day)
                store.add(made)
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `edgetune logs ARGUMENTS`."""
    code = cli.main(["logs", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_models_kernels_are_shown(
    model: Model, logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETUNE_NO_SHIPPED_LOGS", "1")
    picture = tmp_path / "p.svg"
    code, out, err = run(capsys, "show", model.source, "--logs", logs, "--plot", picture, "--json", tmp_path / "j.json")
    assert code == 0, err
    assert "measured here" in out and "2025-01-02" in out and "TVM 0.27.0 (here:" in out
    said = json.loads((tmp_path / "j.json").read_text())
    missing = [task for task in said["tasks"] if task["best_seconds"] is None]
    assert [task["name"] for task in missing] == said["missing"]
    assert len(missing) == 1 and f"without records: {missing[0]['name']}" in out
    assert {task["best_seconds"] for task in said["tasks"]} == {0.001, None}
    assert all(task["gflops"] > 0 for task in said["tasks"] if task["best_seconds"] and task["flops"])
    drawn = picture.read_text()
    assert "share of the time" in drawn or "<svg" in drawn


def test_a_model_that_nobody_tuned(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETUNE_NO_SHIPPED_LOGS", "1")
    code, out, err = run(capsys, "show", model.source, "--logs", tmp_path / "none")
    assert code == 1
    assert "without records:" in out and "has no record of" in err.splitlines()[-1]


def test_options_of_show_that_do_not_fit(model: Model, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in [
        (("0000", "--plot", "x.png"), "is no model"),
        ((model.source, "--plot", "x.txt"), "a picture's name ends in"),
        ((model.source, "--plot", "x.png", "--precision", "fp32,fp16"), "one batch size and one precision"),
        ((model.source, "--fingerprint", "nope"), "no records of nope"),
        (("absent.onnx",), "absent.onnx"),
    ]:
        code, _, err = run(capsys, "show", *arguments, "--logs", logs)
        assert (code, message in err) == (2, True), err


def test_merge(logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_with(tmp_path / "b" / "records.db", [record()]).close()
    (tmp_path / "bad.jsonl").write_text("[]\n")
    out = tmp_path / "out"
    code, _, err = run(capsys, "merge", logs, tmp_path / "b", tmp_path / "bad.jsonl", "-o", out)
    assert code == 0
    assert "bad.jsonl:1: skipped" in err
    assert (out / "x86-avx2-2-abc123").is_dir() and (out / FP).is_dir() and (out / "workloads").is_dir()
    assert run(capsys, "merge", tmp_path / "bad.jsonl", "-o", tmp_path / "none.jsonl")[0] == 1
    assert run(capsys, "merge", tmp_path / "absent", "-o", out)[0] == 2
    assert run(capsys, "merge", "-o", out)[0] == 2


def test_a_failed_import_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jsonl").write_text("[]\n")
    new = tmp_path / "deep" / "er"
    assert run(capsys, "import", tmp_path / "bad.jsonl", "--logs", new)[0] == 1
    assert not (tmp_path / "deep").exists()
    store_with(tmp_path / "source" / "records.db", [record()]).close()
    assert run(capsys, "import", tmp_path / "source", "--logs", new)[0] == 0
    assert [path.name for path in new.iterdir()] == ["records.db"]
    assert run(capsys, "import", tmp_path / "bad.jsonl", "--logs", new)[0] == 1
    with Store(new / "records.db") as store:
        assert len(list(store.records())) == 1
    code, _, err = run(capsys, "import", new, "--logs", new)
    assert code == 1 and "is the store that would take the records in" in err


def test_tune_takes_logs_of_others_in_their_order(
    model: Model, logs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGETUNE_NO_SHIPPED_LOGS", "1")
    own = tmp_path / "own"
    assert run(capsys, "merge", logs, "-o", tmp_path / "all.jsonl")[0] == 0
    arguments = ["tune", model.source, "--tasks", "1", "--trials", "1", "--logs", str(own)]
    assert cli.main([*arguments, "--logs", str(tmp_path / "absent")]) == 2
    assert not own.exists()
    code = cli.main([*arguments, "--logs", str(tmp_path / "all.jsonl"), "--logs", str(logs)])
    err = capsys.readouterr().err
    assert code == 0, err
    with Store(logs / "records.db") as store:
        theirs = {record.id for record in store.records()}
    with Store(own / "records.db") as store:
        kept = {record.id: record for record in store.records()}
        rows = store.query("SELECT r.id, o.name FROM records AS r JOIN origins AS o ON o.number = r.origin")
    assert f"{len(theirs)} records added, 0 were there already" in err
    assert f"0 records added, {len(theirs)} were there already" in err
    assert dict(rows) == dict.fromkeys(theirs, str(tmp_path / "all.jsonl"))
    (ours,) = (kept[found] for found in set(kept) - theirs if kept[found].run != CHECK_RUN)
    assert ours.provenance.trials is not None and ours.provenance.system is not None
