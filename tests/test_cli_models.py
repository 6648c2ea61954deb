"""The command line's way of a model: inspected, compiled, tuned, benched, and its records carried on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cli
from tests.command import edgetune_here, one_line


def test_inspect_a_model(tmp_path: Path) -> None:
    done = edgetune_here("inspect", "squeezenet", "--batch", "4")
    assert "4x3x224x224" in done.stdout
    assert "Conv" in done.stdout
    assert "can be compiled" in done.stdout


@pytest.fixture(scope="module")
def small_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of the small model."""
    import onnx

    from tests.runtime import small

    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(small.onnx_model(), path)
    return path


def test_compile_verifies_and_writes_a_package(small_onnx: Path, tmp_path: Path) -> None:
    import targets
    from compiler.package import open_package

    out = tmp_path / "small.tar"
    done = edgetune_here(
        "compile", small_onnx, "-o", out, "--logs", tmp_path / "logs", "--json", tmp_path / "out.jsonl"
    )
    manifest = open_package(out).manifest
    assert manifest.verified
    assert manifest.accuracy is not None
    assert manifest.accuracy.ok
    assert manifest.target.name == targets.get("native").name
    assert manifest.fingerprint == targets.fingerprint(targets.get("native")).id
    assert manifest.threads == targets.get("native").cores
    assert "relative L2 error" in done.stdout
    assert json.loads((tmp_path / "out.jsonl").read_text())["manifest"]["model"]["name"] == "small"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "out.jsonl", "small.tar"]
    assert "right" in edgetune_here("verify", out).stdout


def test_compile_for_a_cpu_that_this_machine_is_not(small_onnx: Path, tmp_path: Path) -> None:
    import targets
    from compiler.package import open_package

    foreign = next(
        name
        for name in targets.names()[1:]
        if targets.why_not_run(targets.get(name)) and not targets.why_not_compile(targets.get(name))
    )
    why = targets.why_not_run(targets.get(foreign))
    out = tmp_path / "foreign.tar"
    arguments = ("compile", small_onnx, "--target", foreign, "--threads", "4", "-o", out, "--logs", tmp_path)
    assert f"not verified: {why}" in edgetune_here(*arguments).stderr
    manifest = open_package(out).manifest
    assert not manifest.verified
    assert manifest.accuracy is None
    assert manifest.threads == 4
    for command in ("run", "verify", "bench"):
        assert str(why) in one_line(edgetune_here(command, out, check=1).stderr)


def test_what_fails_its_verification_is_not_written_unless_allowed(
    small_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from compiler.bench.verify import Verification
    from compiler.commands import build_package
    from compiler.package import Accuracy, open_package

    accuracy = Accuracy(
        reference="onnxruntime fp32", max_abs_err=None, rel_l2_err=None, top1_agreement=None, inputs=4, ok=False
    )
    wrong = Verification(accuracy, ("output y holds NaN",))
    monkeypatch.setattr(build_package, "verify_package", lambda *_, **__: wrong)
    out = tmp_path / "small.tar"
    arguments = ["compile", str(small_onnx), "-o", str(out), "--logs", str(tmp_path / "logs")]
    assert cli.main(arguments) == 1
    assert "output y holds NaN" in one_line(capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert cli.main([*arguments, "--allow-unverified"]) == 0
    assert "verification FAILED: output y holds NaN" in capsys.readouterr().err
    assert not open_package(out).manifest.verified
    assert "FAILED its verification" in edgetune_here("run", out).stderr
    assert "FAILED" in edgetune_here("inspect", out).stdout


def test_bench_a_model_in_both_precisions(small_onnx: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    arguments = ("bench", small_onnx, "--precision", "fp32,fp16", "--batch", "1,3", "--runs", "5", "--seconds", "0")
    edgetune_here(*arguments, "--io-precision", "fp16", "--json", out, "--logs", tmp_path / "logs")
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(result["batch"], result["precision"]) for result in results] == [
        (1, "fp32"),
        (1, "fp16"),
        (3, "fp32"),
        (3, "fp16"),
    ]
    assert all(result["accuracy"]["ok"] for result in results)


# ---- tuning


def test_tune_keeps_records_that_compile_uses(small_onnx: Path, tmp_path: Path) -> None:
    from compiler.records.store import open_store

    logs, out = tmp_path / "logs", tmp_path / "out.jsonl"
    done = edgetune_here("tune", small_onnx, "--trials", "12", "--logs", logs, "--json", out)
    summary = json.loads(out.read_text())
    assert summary["trials"] == 12
    assert not summary["interrupted"]
    assert summary["latency_seconds"] > 0
    # Every task is measured before any is measured twice.
    assert all(task["trials"] >= 1 for task in summary["tasks"])
    assert "GFLOP/s" in done.stdout
    assert ": starts from no records\n" in done.stderr
    assert "trials 12/12" not in done.stdout, "progress is no result"
    assert "\x1b" not in done.stdout + done.stderr
    with open_store(logs) as store:
        # Wrong candidates may be kept twice: as measured, and as found wrong.
        assert sum(1 for _ in store.records()) >= 12
    listed = edgetune_here("tune", small_onnx, "--tasks", "list").stdout
    assert all(task["name"] in listed for task in summary["tasks"])
    package = tmp_path / "small.tar"
    edgetune_here("compile", small_onnx, "--logs", logs, "-o", package)
    described = edgetune_here("inspect", package).stdout
    tuned = next(line.split() for line in described.splitlines() if line.strip().startswith("tuned"))
    assert int(tuned[1]) > 0
    assert "trials" in tuned
    error = one_line(edgetune_here("tune", small_onnx, "--tasks", "1,999", "--logs", logs, check=2).stderr)
    assert "999" in error


# ---- logs


def test_logs_go_out_and_come_back(tmp_path: Path) -> None:
    from compiler.records.store import open_store
    from tests.records import samples

    with open_store(tmp_path / "a") as store:
        workload = samples.WORKLOADS[0]
        store.add_workload(workload)
        store.add_many(samples.record(trace=samples.trace(tile), seconds=(tile * 1e-3,)) for tile in (2, 4, 8))
    a, b = tmp_path / "a", tmp_path / "b"
    assert workload.name in edgetune_here("logs", "list", "--logs", a).stdout
    assert "3 records of 1 workload " in edgetune_here("logs", "export", tmp_path / "out.jsonl", "--logs", a).stdout
    assert (
        "3 records added, 0 were there already"
        in edgetune_here("logs", "import", tmp_path / "out.jsonl", "--logs", b).stdout
    )
    assert (
        "0 records added, 3 were there already"
        in edgetune_here("logs", "import", tmp_path / "out.jsonl", "--logs", b).stdout
    )
    assert workload.hash in edgetune_here("logs", "show", workload.hash[:8], "--logs", b).stdout
    edgetune_here("logs", "export", tmp_path / "folder", "--logs", b, "--top", "1")
    kinds = {path.parent.name for path in (tmp_path / "folder").rglob("*.jsonl")}
    assert len(kinds) == 2 and "workloads" in kinds
    assert "1 records kept, 2 removed" in edgetune_here("logs", "prune", "--logs", b).stdout
    (tmp_path / "out.jsonl").write_text((tmp_path / "out.jsonl").read_text()[:-40])
    done = edgetune_here("logs", "import", tmp_path / "out.jsonl", "--logs", tmp_path / "c")
    assert "2 records added" in done.stdout
    assert "torn last line" in done.stderr
    out = tmp_path / "file"
    out.write_text("")
    assert "give a folder" in one_line(edgetune_here("logs", "list", "--logs", out, check=2).stderr)
