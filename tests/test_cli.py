"""The command line as a user meets it: exit codes, one-line errors, plain output, and real packages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import cli

ROOT = Path(cli.__file__).parent


def edgetune(*arguments: str | Path, check: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a user does."""
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, **environment})
    if check is not None:
        assert done.returncode == check, done.stderr
    return done


def one_line(stderr: str) -> str:
    """The error of a failed command, which is the last line and the only one that is an error."""
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, stderr
    assert stderr.rstrip().endswith(errors[0])
    assert "Traceback" not in stderr
    return errors[0]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real package of a small model, whose ONNX file lies beside it."""
    import hashlib

    import onnx

    from compiler.package import ModelInfo
    from tests.runtime import small

    folder = tmp_path_factory.mktemp("package")
    source = folder / "small.onnx"
    onnx.save(small.onnx_model(), source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    model = ModelInfo(name="small", source=str(source), sha256=digest, batch=2, shapes={"x": (2, 3, 8, 8)})
    return small.package(folder, model=model, untuned=["conv2d", "dense"]).path


# ---- help, errors and exit codes


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    best = 9.0
    for _ in range(3):
        started = time.perf_counter()
        done = edgetune("--help")
        best = min(best, time.perf_counter() - started)
    assert "tune" in done.stdout
    # Asked for: 0.3 s. Twice that still tells an import of TVM (over a second) from a busy machine.
    assert best < 0.6
    code = (
        "import sys, cli\ntry: cli.main(['--help'])\n"
        "finally: print(sorted({'tvm', 'numpy', 'onnx', 'rich', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [[], *([name] for name in cli.edgetune.commands)])
def test_every_command_has_help(command: list[str]) -> None:
    done = edgetune(*command, "--help")
    assert done.stdout.startswith("Usage: edgetune")
    assert "--help" in done.stdout


def test_wrong_use_exits_with_2(tmp_path: Path) -> None:
    for arguments in (
        ["no-such-command"],
        ["tune", "--no-such-option"],
        ["tune", "--trials", "none"],
        ["tune", "alexnet", "--target", "toaster"],
        ["tune", "alexnet", "--time", "soon"],
        ["compile", "alexnet", "--shape", "wrong", "-o", tmp_path / "x.tar"],
        ["compile", "no-such-model", "-o", tmp_path / "x.tar"],
        ["bench", "alexnet", "--vs", "toaster"],
        ["bench", "alexnet", "--precision", "fp3"],
        ["targets", "toaster"],
        ["targets", "x86-avx2", "--detect"],
        ["logs", "show", "nothing", "--logs", tmp_path],
        ["run", tmp_path / "missing.tar"],
        ["logs", "import", tmp_path / "missing.jsonl", "--logs", tmp_path / "store"],
    ):
        one_line(edgetune(*arguments, check=2).stderr)
    assert not list(tmp_path.glob("*.tar"))


def test_failures_exit_with_1(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(b"\0" * 2048)
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(b"\x08\x07\x12\x05")
    for arguments in (
        ["run", damaged],
        ["verify", damaged],
        ["inspect", damaged],
        ["inspect", truncated],
        ["compile", truncated, "-o", tmp_path / "x.tar"],
        ["compile", "squeezenet", "-o", tmp_path / "no" / "such" / "folder.tar"],
    ):
        one_line(edgetune(*arguments, check=1).stderr)
    assert not (tmp_path / "x.tar").exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    for arguments in (["--debug", "run", tmp_path / "x.tar"], ["run", tmp_path / "x.tar", "--debug"]):
        # Python's own exit code: the exception comes out as it is.
        done = edgetune(*arguments, check=1)
        assert "Traceback" in done.stderr


def test_an_unexpected_exception_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a\nb")

    monkeypatch.setattr("compiler.commands.targets.list_targets", broken)
    assert cli.main(["targets"]) == 1
    assert "KeyError" in one_line(capsys.readouterr().err)
    with pytest.raises(KeyError):
        cli.main(["targets", "--debug"])


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("compiler.commands.targets.list_targets", interrupted)
    assert cli.main(["targets"]) == 130
    assert one_line(capsys.readouterr().err) == "error: interrupted"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} {ROOT / 'cli.py'} targets | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


# ---- targets


def test_targets_lists_all_and_says_what_this_machine_can() -> None:
    import targets

    done = edgetune("targets")
    lines = done.stdout.splitlines()
    for name in targets.names()[1:]:
        assert sum(line.split()[0] == name for line in lines) == 1
    assert f"{targets.get('native').name} (native)" in done.stdout
    assert "\x1b" not in done.stdout


def test_targets_json_and_detect(tmp_path: Path) -> None:
    import targets

    done = edgetune("targets", "--json", "-")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["name"] for entry in listed] == targets.names()[1:]
    out = tmp_path / "targets.jsonl"
    assert targets.fingerprint(targets.get("native")).id in edgetune("targets", "--detect", "--json", out).stdout
    edgetune("targets", "jetson-orin", "--json", out)
    entries = [json.loads(line) for line in out.read_text().splitlines()]
    assert [entry["name"] for entry in entries] == [targets.get("native").name, "jetson-orin"]
    assert entries[1]["why_not_compile"]


def test_tuning_for_a_gpu_without_one_names_the_ways_on() -> None:
    import targets
    from targets.gpu import gpu

    if gpu() is not None:
        pytest.skip("this machine has a GPU")
    error = one_line(edgetune("tune", "--target", "cuda", check=2).stderr)
    for way in ("no NVIDIA GPU", "RPC", "edgetune compile", "--target native"):
        assert way in error
    assert targets.why_not_run(targets.get("cuda")) in error


def test_a_cpu_that_this_machine_is_not_is_refused_for_tuning_and_measuring() -> None:
    import targets

    foreign = next(name for name in targets.names()[1:] if targets.why_not_run(targets.get(name)))
    why = targets.why_not_run(targets.get(foreign))
    assert why is not None
    for command in ("tune", "bench"):
        assert why in one_line(edgetune(command, "squeezenet", "--target", foreign, check=2).stderr)


# ---- packages


def test_inspect_a_package(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = edgetune("inspect", package, "--json", out)
    for words in ("small", "x86-avx2", "2x3x8x8", "library.so", "never compared", "conv2d"):
        assert words in done.stdout
    assert json.loads(out.read_text())["manifest"]["target"]["name"] == "x86-avx2"


def test_run_writes_outputs_and_says_that_nothing_is_verified(package: Path, tmp_path: Path) -> None:
    from tests.runtime import small

    np.savez(tmp_path / "x.npz", **small.inputs())
    arguments = ("run", package, "--inputs", tmp_path / "x.npz", "--outputs", tmp_path / "y.npz", "--json", "-")
    done = edgetune(*arguments)
    assert "never verified" in done.stderr
    said = json.loads(done.stdout)
    assert said["package"] == str(package)
    assert (said["engine"], said["engine_version"], said["target"]) == ("edgetune", "0.0", "x86-avx2")
    assert 0 < said["seconds"] < 10
    assert said["outputs"] == [{"name": "y", "shape": [2, 5], "dtype": "float32"}]
    with np.load(tmp_path / "y.npz") as arrays:
        assert arrays["y"].shape == (2, 5)
        np.testing.assert_allclose(arrays["y"].sum(axis=1), 1.0, rtol=1e-5)
    np.savez(tmp_path / "wrong.npz", z=np.zeros(3))
    error = one_line(edgetune("run", package, "--inputs", tmp_path / "wrong.npz", check=2).stderr)
    assert "'z'" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.npz", "x.npz", "y.npz"]


def test_verify_a_right_package(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = edgetune("verify", package, "--json", out)
    assert "right" in done.stdout
    assert json.loads(out.read_text())["accuracy"]["ok"] is True


def test_verify_refuses_a_model_that_has_changed(package: Path, tmp_path: Path) -> None:
    from compiler.package import ModelInfo, open_package, write
    from tests.runtime import small

    opened = open_package(package)
    info = opened.manifest.model
    with opened.unpack() as folder:
        library = (folder / "library.so").read_bytes()
    other = ModelInfo(name="small", source=info.source, sha256="cd" * 32, batch=2, shapes=info.shapes)
    path = tmp_path / "other.tar"
    write(path, {"library.so": library}, small.manifest(model=other))
    assert "changed" in one_line(edgetune("verify", path, check=1).stderr)


def test_bench_a_package_beside_onnxruntime(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    done = edgetune(
        *("bench", package, "--vs", "onnxruntime", "--runs", "10", "--seconds", "0.1", "--json", out, "--profile")
    )
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert [result["engine"] for result in results] == ["edgetune", "onnxruntime"]
    for result in results:
        assert result["schema"] == 1
        assert result["runs"] >= 10
        assert result["accuracy"]["ok"] is True
        assert result["latency_ms"]["p50"] > 0
        assert result["watts"] is None
    assert "x that of onnxruntime" in done.stdout
    assert "GFLOP/s" in done.stdout
    assert "peak:" in done.stdout


def test_bench_goes_on_after_a_source_that_fails(package: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(b"\0" * 2048)
    done = edgetune("bench", damaged, package, "--runs", "3", "--seconds", "0", check=1)
    assert "small" in done.stdout
    assert "damaged.tar" in one_line(done.stderr)


# ---- models


def test_inspect_a_model(tmp_path: Path) -> None:
    done = edgetune("inspect", "squeezenet", "--batch", "4")
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
    done = edgetune("compile", small_onnx, "-o", out, "--logs", tmp_path / "logs", "--json", tmp_path / "out.jsonl")
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
    assert "right" in edgetune("verify", out).stdout


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
    assert f"not verified: {why}" in edgetune(*arguments).stderr
    manifest = open_package(out).manifest
    assert not manifest.verified
    assert manifest.accuracy is None
    assert manifest.threads == 4
    for command in ("run", "verify", "bench"):
        assert str(why) in one_line(edgetune(command, out, check=1).stderr)


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
    assert "FAILED its verification" in edgetune("run", out).stderr
    assert "FAILED" in edgetune("inspect", out).stdout


def test_bench_a_model_in_both_precisions(small_onnx: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    arguments = ("bench", small_onnx, "--precision", "fp32,fp16", "--batch", "1,3", "--runs", "5", "--seconds", "0")
    edgetune(*arguments, "--io-precision", "fp16", "--json", out, "--logs", tmp_path / "logs")
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
    done = edgetune("tune", small_onnx, "--trials", "12", "--logs", logs, "--json", out)
    summary = json.loads(out.read_text())
    assert summary["trials"] == 12
    assert not summary["interrupted"]
    assert summary["latency_seconds"] > 0
    # Every task is measured before any is measured twice.
    assert all(task["trials"] >= 1 for task in summary["tasks"])
    assert "GFLOP/s" in done.stdout
    assert "trials 12/12" not in done.stdout, "progress is no result"
    assert "\x1b" not in done.stdout + done.stderr
    with open_store(logs) as store:
        # Wrong candidates may be kept twice: as measured, and as found wrong.
        assert sum(1 for _ in store.records()) >= 12
    listed = edgetune("tune", small_onnx, "--tasks", "list").stdout
    assert all(task["name"] in listed for task in summary["tasks"])
    package = tmp_path / "small.tar"
    edgetune("compile", small_onnx, "--logs", logs, "-o", package)
    described = edgetune("inspect", package).stdout
    tuned = next(line.split() for line in described.splitlines() if line.strip().startswith("tuned"))
    assert int(tuned[1]) > 0
    assert "trials" in tuned
    error = one_line(edgetune("tune", small_onnx, "--tasks", "1,999", "--logs", logs, check=2).stderr)
    assert "999" in error


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_learned_and_the_same_command_goes_on(small_onnx: Path, tmp_path: Path) -> None:
    from compiler.records.store import open_store

    logs = tmp_path / "logs"
    command = [sys.executable, str(ROOT / "cli.py"), "tune", str(small_onnx), "--trials", "24", "--logs", str(logs)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        learned = 0
        while learned < 8 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.3)
            if (logs / "records.db").exists():
                with open_store(logs) as store:
                    learned = sum(1 for _ in store.records())
        assert process.poll() is None
        # A terminal sends Ctrl-C to the whole group, the workers included.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 130, err
    assert "the same command goes on" in one_line(err)
    assert err.count("interrupted") == 1
    assert "trials" in out
    with open_store(logs) as store:
        before = sum(1 for _ in store.records())
    assert before >= learned
    summary = tmp_path / "out.jsonl"
    edgetune("tune", small_onnx, "--trials", "24", "--logs", logs, "--json", summary)
    found = json.loads(summary.read_text())
    assert found["resumed"] == before
    assert found["trials"] <= 24


# ---- logs


def test_logs_go_out_and_come_back(tmp_path: Path) -> None:
    from compiler.records.store import open_store
    from tests.records import samples

    with open_store(tmp_path / "a") as store:
        workload = samples.WORKLOADS[0]
        store.add_workload(workload)
        store.add_many(samples.record(trace=samples.trace(tile), seconds=(tile * 1e-3,)) for tile in (2, 4, 8))
    a, b = tmp_path / "a", tmp_path / "b"
    assert workload.name in edgetune("logs", "list", "--logs", a).stdout
    assert "3 records of 1 workload " in edgetune("logs", "export", tmp_path / "out.jsonl", "--logs", a).stdout
    assert (
        "3 records added, 0 were there already"
        in edgetune("logs", "import", tmp_path / "out.jsonl", "--logs", b).stdout
    )
    assert (
        "0 records added, 3 were there already"
        in edgetune("logs", "import", tmp_path / "out.jsonl", "--logs", b).stdout
    )
    assert workload.hash in edgetune("logs", "show", workload.hash[:8], "--logs", b).stdout
    edgetune("logs", "export", tmp_path / "folder", "--logs", b, "--top", "1")
    assert len(list((tmp_path / "folder").rglob("*.jsonl"))) == 1
    assert "1 records kept, 2 removed" in edgetune("logs", "prune", "--logs", b).stdout
    (tmp_path / "out.jsonl").write_text((tmp_path / "out.jsonl").read_text()[:-40])
    done = edgetune("logs", "import", tmp_path / "out.jsonl", "--logs", tmp_path / "c")
    assert "2 records added" in done.stdout
    assert "torn last line" in done.stderr
    out = tmp_path / "file"
    out.write_text("")
    assert "give a folder" in one_line(edgetune("logs", "list", "--logs", out, check=2).stderr)
