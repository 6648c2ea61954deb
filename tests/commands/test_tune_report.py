"""What tuning says of a model that is measured in part, not at all, or has nothing to measure."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import onnx
import pytest

import cli
from compiler.commands.tune import _failed, _Job, _show
from compiler.frontend import load
from compiler.report.output import Output
from compiler.report.tuning import TuneProgress, show_tasks
from compiler.tuning.state import TaskState, TuneState, TuneSummary
from tests.runtime import small


def task(index: int = 1, **changes: object) -> TaskState:
    fields: dict[str, object] = {"index": index, "name": f"task{index}", "hash": f"{index:016x}", "calls": 1}
    return TaskState(**{**fields, **changes})  # type: ignore[arg-type]


MEASURED = task(1, trials=3, best_seconds=1e-3, share=1.0)


def test_a_share_of_the_model_needs_the_whole_model() -> None:
    for latency, shown in ((None, False), (1e-3, True)):
        out = io.StringIO()
        show_tasks(Output(out=out), "title", [MEASURED, task(2)], latency)
        assert ("100.0 %" in out.getvalue()) == shown


def test_a_model_without_tasks_takes_no_time_that_is_known() -> None:
    err = io.StringIO()
    TuneProgress(Output(err=err), "label", None)(TuneState(tasks=[], latency_seconds=0.0))
    assert "model about" not in err.getvalue()
    TuneProgress(Output(err=err), "label", None)(TuneState(tasks=[MEASURED], latency_seconds=1e-3))
    assert "model about 1.00 ms" in err.getvalue()


def test_a_run_in_which_everything_failed_is_a_failure() -> None:
    def summary(*tasks: TaskState, failed: int = 0) -> TuneSummary:
        return TuneSummary(list(tasks), sum(task.trials for task in tasks), failed, 1.0, None, "")

    assert _failed(summary(task(1, trials=2, failed=2), task(2, best_seconds=1e-3), failed=2))
    assert not _failed(summary(task(1, trials=2, failed=2), MEASURED, failed=2))
    assert not _failed(summary(task(1)))
    assert not _failed(summary(MEASURED))


@pytest.fixture()
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    onnx.save(small.onnx_model(), folder / "small.onnx")
    return folder / "small.onnx"


def test_json_has_no_share_where_only_some_tasks_are_measured(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    options = ["--logs", str(tmp_path / "logs"), "--trials", "1", "--tasks", "1", "--json", str(out)]
    assert cli.main(["tune", str(model), "--no-warm-start", *options]) == 0
    summary = json.loads(out.read_text())
    assert summary["latency_seconds"] is None
    assert summary["begins"] == {"tasks": 1, "known": 0, "records": 0, "kernels": 0}
    assert [entry["share"] for entry in summary["tasks"]] == [None] * len(summary["tasks"])


def test_the_hint_after_compile_is_a_command_that_works(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "my logs"
    options = ["--precision", "fp16", "--shape", "x:2,3,8,8", "--logs", str(logs), "--threads", "1"]
    assert cli.main(["compile", str(model), *options, "-o", str(tmp_path / "small.tar")]) == 0
    (hint,) = [line for line in capsys.readouterr().err.splitlines() if "untuned" in line]
    command = shlex.split(hint.split("`")[1])
    assert command == ["edgetune", "tune", str(model), *options]
    assert cli.main([*command[1:], "--tasks", "list"]) == 0


def test_no_hint_where_tuning_cannot_run(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import targets

    native = targets.get("native").name
    options = ["--target", native, "--threads", "1000", "--logs", str(tmp_path / "logs")]
    assert cli.main(["compile", str(model), *options, "-o", str(tmp_path / "small.tar")]) == 0
    err = capsys.readouterr().err
    assert "1000 threads; it is verified with fewer here" in err
    assert "edgetune tune" not in err


def test_ctrl_c_before_the_first_measurement_has_nothing_to_show(model: Path) -> None:
    out = io.StringIO()
    summary = TuneSummary([task(1), task(2)], 0, 0, 1.0, None, "interrupted", interrupted=True)
    _show(_Job(load(str(model)), "fp32"), summary, Output(out=out))
    assert out.getvalue() == "small batch 2 fp32: 0 trials (0 failed) in 1s\n"


def test_tuning_of_which_every_trial_failed_is_a_failure(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("compiler.tuning.limits.BUILD_SECONDS", 0.001)
    assert cli.main(["tune", str(model), "--trials", "2", "--logs", str(tmp_path / "logs")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: small batch 2 fp32: every trial failed (2), one of them with: build: ")
