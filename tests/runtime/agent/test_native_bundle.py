"""The native agent's folder: what is in it, what it needs of a board, and how it is kept."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from compiler.errors import EdgetuneError
from compiler.runtime.agent import bundle
from compiler.runtime.agent.native import elf, libraries, once, program
from targets import cpuinfo, toolchain

MB = 1_000_000


@pytest.fixture(scope="module", params=bundle.MACHINES)
def folder(request: pytest.FixtureRequest) -> Path:
    """The folder for a machine, where it can be built here."""
    reason = toolchain.why_no_linker(f"{request.param}-linux-gnu")
    if reason is not None:
        pytest.skip(reason)
    try:
        return bundle.cached_bundle(request.param)
    except EdgetuneError as error:
        if "cannot be downloaded" in str(error):
            pytest.skip(str(error))
        raise


def test_it_is_small_and_holds_what_it_needs(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"edgetune-agent", *libraries.NEEDED, "README", "SHA256SUMS", "LICENSE.apache-tvm"} <= names
    assert all(path.is_file() for path in folder.iterdir()), "it is flat: that is how it is sent"
    without_cuda = [path for path in folder.iterdir() if path.name not in libraries.OPTIONAL]
    assert sum(path.stat().st_size for path in without_cuda) < 8 * MB
    assert os.access(folder / "edgetune-agent", os.X_OK)


def test_it_runs_on_boards_as_old_as_the_packages_do(folder: Path) -> None:
    files = sorted(folder.iterdir())
    assert elf.oldest_glibc(files) == toolchain.GLIBC
    assert elf.oldest_libstdcxx(files) == "3.4.22"  # GCC 6; Ubuntu 18.04 has 3.4.25
    assert f"glibc {toolchain.GLIBC} or newer" in (folder / "README").read_text()
    own = elf.needed_versions(folder / "edgetune-agent")
    assert elf.oldest_glibc([folder / "edgetune-agent"]) == "2.17", sorted(own)


def test_its_checksums_are_those_of_sha256sum(folder: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    listed = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}


def test_a_folder_is_replaced_as_a_whole(folder: Path, tmp_path: Path) -> None:
    machine = (folder.name).rpartition("-")[0]
    made = tmp_path / "agent"
    for _ in range(2):
        bundle.build_bundle(machine, made)
        assert once.is_whole(made) and not (made / "stale").exists()
        (made / "stale").touch()
        (made / "README").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["agent"]
    with pytest.raises(EdgetuneError, match="cannot write"):
        bundle.build_bundle(machine, tmp_path / "none" / "agent")


def test_it_says_its_version_from_anywhere(tmp_path: Path) -> None:
    try:
        shutil.copytree(bundle.cached_bundle(cpuinfo.machine()), tmp_path / "moved")
    except EdgetuneError as error:
        pytest.skip(str(error))
    asked = [str(tmp_path / "moved" / "edgetune-agent"), "--version"]
    said = subprocess.run(asked, cwd="/", capture_output=True, text=True, env={}).stdout
    assert said.startswith("edgetune-agent ") and "TVM" in said
    (tmp_path / "moved" / "libtvm_runtime_extra.so").unlink()
    done = subprocess.run([asked[0], "--port", "0"], capture_output=True, text=True, env={}, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("error: this folder is not complete: ")


def test_what_cannot_be_built_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EdgetuneError, match="no agent without Python for riscv64"):
        bundle.cached_bundle("riscv64")
    with monkeypatch.context() as patched:
        patched.setattr(toolchain, "linker_command", lambda triple=None: None)
        with pytest.raises(EdgetuneError, match=r"no cross compiler for aarch64-linux-gnu: .pip install ziglang"):
            bundle.cached_bundle("aarch64" if cpuinfo.machine() != "aarch64" else "x86_64")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(libraries, "_DOWNLOAD_SECONDS", 0.001)
    with pytest.raises(
        EdgetuneError, match=r"(?s)^TVM's runtime for s390x cannot be downloaded \([^\n]*network, once$"
    ):
        libraries.runtime_libraries("s390x")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "agent.cc").write_text("int main( {\n")
    monkeypatch.setattr(program, "SOURCES", broken)
    with pytest.raises(EdgetuneError, match=r"cannot build the agent: .*agent.cc:1.*error"):
        program.Compiler(cpuinfo.machine()).compile(tmp_path / "out", tmp_path)


def test_many_who_want_the_same_make_it_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    context = multiprocessing.get_context("fork")
    count = context.Value("i", 0)

    def make(folder: Path) -> None:
        with count.get_lock():
            count.value += 1
        (folder / "file").write_text("half")
        time.sleep(0.1)
        (folder / "file").write_text("whole")

    def want() -> None:
        made = once.made_once("thing", make)
        os._exit(0 if (made / "file").read_text() == "whole" else 1)

    processes = [context.Process(target=want) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert count.value == 1


def test_what_was_damaged_or_not_finished_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = once.made_once("thing", lambda folder: (folder / "file").touch())
    (made / "file").write_text("damaged")
    assert (once.made_once("thing", lambda folder: (folder / "file").touch()) / "file").read_text() == ""

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise EdgetuneError("no")

    with pytest.raises(EdgetuneError, match="^no$"):
        once.made_once("other", fail)
    assert [path.name for path in made.parent.iterdir() if path.is_dir()] == ["thing"]


def test_what_nobody_has_used_for_long_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("thing-1", "thing-2", "other-1"):
        made = once.made_once(name, lambda folder: (folder / "file").touch())
        os.utime(made, (0, 0))
    once.made_once("thing-2", pytest.fail)
    last = once.made_once("thing-3", lambda folder: (folder / "file").touch())
    folders = sorted(path.name for path in last.parent.iterdir() if path.is_dir())
    assert folders == ["other-1", "thing-2", "thing-3"]


def test_broken_tables_are_an_error_and_other_files_need_nothing(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for data in (b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + b"\0" * 100):
        file.write_bytes(data)
        assert elf.needed_versions(file) == set()
    whole = (folder / "edgetune-agent").read_bytes()
    for cut in (60, len(whole) - 100):
        file.write_bytes(whole[:cut])
        with pytest.raises(EdgetuneError, match="tables are broken"):
            elf.needed_versions(file)
    for place in range(40, 64):
        file.write_bytes(whole[:place] + struct.pack("<B", 255 - whole[place]) + whole[place + 1 :])
        try:
            elf.needed_versions(file)
        except EdgetuneError:
            continue


def test_the_sources_digest_is_of_all_sources() -> None:
    names = {path.suffix for path in program.SOURCES.iterdir() if path.is_file()}
    assert names == {".cc", ".h", ".map", ".py"}
    assert len(program.sources_digest()) == len(hashlib.sha256().hexdigest())
