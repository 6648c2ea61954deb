"""Linking with the system's compiler, and with Zig's from PyPI where there is none."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compiler.errors import EdgetuneError
from compiler.linker import Linker, find_linker, linker
from targets import cpuinfo, toolchain


def exported(path: Path, fcompile: Linker) -> None:
    """A library that calls into libm, as softmax and GELU do."""
    import tvm
    from tvm import te

    a = te.placeholder((64,), "float32", name="a")
    b = te.compute((64,), lambda i: te.erf(a[i]) + te.exp(a[i]), name="b")
    target = tvm.target.Target({"kind": "llvm", "mtriple": fcompile.triple})
    tvm.compile(te.create_prim_func([a, b]), target=target).export_library(str(path), fcompile=fcompile)


def check(path: Path) -> None:
    import tvm

    x = np.linspace(-1, 1, 64, dtype="float32")
    out = tvm.runtime.tensor(np.zeros(64, "float32"))
    tvm.runtime.load_module(str(path))["main"](tvm.runtime.tensor(x), out)
    assert np.isfinite(out.numpy()).all()
    np.testing.assert_allclose(out.numpy()[32:] - out.numpy()[:32] > 0, True)


def test_the_linker_of_this_machine_makes_a_loadable_library(tmp_path: Path) -> None:
    found, message = find_linker()
    assert found is not None, message
    exported(tmp_path / "lib.so", found)
    check(tmp_path / "lib.so")


@pytest.mark.slow
def test_zig_links_without_a_compiler_and_for_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed (pip install edgetune[linker])")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)  # type: ignore[attr-defined]
    native = linker()
    assert native.command[:3] == [sys.executable, "-m", "ziglang"]
    exported(tmp_path / "lib.so", native)
    check(tmp_path / "lib.so")
    if cpuinfo.machine() != "aarch64":
        exported(tmp_path / "arm.so", linker("aarch64-linux-gnu"))
        header = (tmp_path / "arm.so").read_bytes()[:20]
        assert header[:4] == b"\x7fELF"
        assert int.from_bytes(header[18:20], "little") == 183  # EM_AARCH64


def test_no_linker_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(toolchain, "_zig", list)
    found, message = find_linker()
    assert found is None
    assert "ziglang" in message and "\n" not in message
    with pytest.raises(EdgetuneError, match="aarch64-linux-gnu"):
        linker("aarch64-linux-gnu")


def test_cxx_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "my-cxx"
    compiler.write_text("#!/bin/sh\necho 'my-cxx: error: out of paper' >&2\nexit 3\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", f"{compiler} --static")
    assert linker().command == [str(compiler), "--static"]
    with pytest.raises(EdgetuneError, match="out of paper") as error:
        linker()(str(tmp_path / "x.so"), [])
    assert "\n" not in str(error.value)


def test_a_broken_object_is_one_line(tmp_path: Path) -> None:
    found, _ = find_linker()
    assert found is not None
    (tmp_path / "bad.o").write_bytes(b"not an object file")
    with pytest.raises(EdgetuneError, match="linking x.so") as error:
        found(str(tmp_path / "x.so"), [str(tmp_path / "bad.o")])
    assert "\n" not in str(error.value)


def test_the_cause_is_said_not_that_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cxx"
    said = "ld: final link failed: No space left on device\\ncollect2: error: ld returned 1 exit status"
    compiler.write_text(f"#!/bin/sh\nprintf '{said}\\n' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(EdgetuneError, match="No space left on device"):
        linker()(str(tmp_path / "x.so"), [])


def test_linking_needs_no_tvm() -> None:
    code = "import sys, compiler.linker; compiler.linker.find_linker(); assert 'tvm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
