"""The command line as a user meets it: exit codes, one-line errors, plain output, and real packages."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cli
from tests.command import edgetune, edgetune_here, one_line

ROOT = Path(cli.__file__).parent


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
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = edgetune("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "tune" in done.stdout
    subprocess.run([sys.executable, "-c", "import click"], check=True)
    plain = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Asked for: 0.3 s. Of processor time, which others do not change much: twice that still tells an import of TVM. On
    # a slow machine as many times as long as the least that a command takes.
    least = plain.ru_utime + plain.ru_stime - after.ru_utime - after.ru_stime
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < max(0.6, 6 * least)
    code = (
        "import sys, cli\ntry: cli.main(['--help'])\n"
        "finally: print(sorted({'tvm', 'numpy', 'onnx', 'rich', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [[], *([name] for name in cli.edgetune.commands)])
def test_every_command_has_help(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = edgetune_here(*command, "--help")
    assert done.stdout.startswith("Usage: edgetune")
    assert "--help" in done.stdout
    # On 80 columns, a command that is listed is said in a whole sentence.
    assert not any(line.endswith("...") for line in done.stdout.partition("Commands:")[2].splitlines())


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
        one_line(edgetune_here(*arguments, check=2).stderr)
    assert not list(tmp_path.glob("*.tar"))
    one_line(edgetune("no-such-command", check=2).stderr)


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
        one_line(edgetune_here(*arguments, check=1).stderr)
    assert not (tmp_path / "x.tar").exists()
    one_line(edgetune("inspect", damaged, check=1).stderr)


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
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=240)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


# ---- targets


def test_targets_lists_all_and_says_what_this_machine_can() -> None:
    import targets

    done = edgetune_here("targets")
    lines = done.stdout.splitlines()
    for name in targets.names()[1:]:
        assert sum(line.split()[0] == name for line in lines) == 1
    assert f"{targets.get('native').name} (native)" in done.stdout
    assert "\x1b" not in done.stdout


def test_targets_json_and_detect(tmp_path: Path) -> None:
    import targets

    done = edgetune_here("targets", "--json", "-")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["name"] for entry in listed] == targets.names()[1:]
    out = tmp_path / "targets.jsonl"
    assert targets.fingerprint(targets.get("native")).id in edgetune_here("targets", "--detect", "--json", out).stdout
    edgetune_here("targets", "jetson-orin", "--json", out)
    entries = [json.loads(line) for line in out.read_text().splitlines()]
    assert [entry["name"] for entry in entries] == [targets.get("native").name, "jetson-orin"]
    assert entries[1]["why_not_run"] and "JetPack 6 (CUDA 12.6, glibc 2.35)" in entries[1]["needs"]


def test_tuning_for_a_gpu_without_one_names_the_ways_on() -> None:
    import targets
    from targets.gpu import gpu

    if gpu() is not None:
        pytest.skip("this machine has a GPU")
    error = one_line(edgetune_here("tune", "--target", "cuda", check=2).stderr)
    for way in ("no NVIDIA GPU", "RPC", "edgetune compile", "--target native"):
        assert way in error
    assert targets.why_not_run(targets.get("cuda")) in error


def test_a_cpu_that_this_machine_is_not_is_refused_for_tuning_and_measuring() -> None:
    import targets

    foreign = next(name for name in targets.names()[1:] if targets.why_not_run(targets.get(name)))
    why = targets.why_not_run(targets.get(foreign))
    assert why is not None
    for command in ("tune", "bench"):
        assert why in one_line(edgetune_here(command, "squeezenet", "--target", foreign, check=2).stderr)


# ---- packages


def test_inspect_a_package(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = edgetune_here("inspect", package, "--json", out)
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
    assert said["seconds"] > 0
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
    done = edgetune_here("verify", package, "--json", out)
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
    assert "changed" in one_line(edgetune_here("verify", path, check=1).stderr)


def test_bench_a_package_beside_onnxruntime(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    done = edgetune_here(
        *(
            "bench",
            package,
            "--vs",
            "onnxruntime",
            "--runs",
            "10",
            "--seconds",
            "0.1",
            "--json",
            out,
            "--trace",
            tmp_path / "trace.json",
        )
    )
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert [result["engine"] for result in results] == ["edgetune", "onnxruntime"]
    for result in results:
        assert result["schema"] == 1
        assert result["runs"] >= 10
        assert result["accuracy"]["ok"] is True
        assert result["latency_ms"]["p50"] > 0
        assert (result["watts"] is None) == (result["power"]["reason"] is not None)
    kernels = {
        e["name"] for e in json.loads((tmp_path / "trace.json").read_text())["traceEvents"] if e.get("cat") == "kernel"
    }
    assert kernels == {row["name"] for row in results[0]["profile"]["rows"]}
    assert "x that of onnxruntime" in done.stdout
    assert "GFLOP/s" in done.stdout
    assert "peak:" in done.stdout


def test_bench_goes_on_after_a_source_that_fails(package: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(b"\0" * 2048)
    done = edgetune_here("bench", damaged, package, "--runs", "3", "--seconds", "0", check=1)
    assert "small" in done.stdout
    assert "damaged.tar" in one_line(done.stderr)


def test_bench_of_one_source_that_fails_says_so_once(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_text("no ONNX")
    done = edgetune_here("bench", bad, check=1)
    assert "no ONNX file" in one_line(done.stderr)
    assert "warning" not in done.stderr
