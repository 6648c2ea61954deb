"""`edgetune deploy`, onto a board that a real SSH server is the way into."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli
from compiler.package import Package, write
from compiler.runtime.ssh.deployment import library_machine
from compiler.runtime.ssh.source import BundledAgents
from compiler.version import tool_version
from targets.toolchain import linker_command
from tests.runtime import small
from tests.runtime.ssh.server import ALIAS, Server, server
from tests.waiting import wait_for

ROOT = Path(cli.__file__).parent
AARCH64 = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + struct.pack("<H", 183) + bytes(100)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("deploy") / "server") as made:
        yield made


@pytest.fixture
def board(shared: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A board with `edgetune` installed; `board` leads to it in the ~/.ssh of whoever runs the command."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    monkeypatch.setenv("HOME", str(shared.desk(tmp_path / "desk")))
    shared.install_edgetune()
    yield shared
    wait_for(lambda: not shared.sessions())
    shared.clear()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return small.package(tmp_path_factory.mktemp("package"))


def deploy(*arguments: object) -> int:
    return cli.main(["deploy", *map(str, arguments)])


def refused(code: int, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line with which the command was refused, and nothing copied."""
    assert deploy(*arguments) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    line = shown.err.splitlines()[-1]
    assert line.startswith("error: ")
    assert "Copying" not in shown.err
    return line


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_package_is_copied_checked_and_run(
    board: Server, package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = board.home / "opt" / "models"
    results = tmp_path / "results.jsonl"
    assert deploy(package.path, "--to", f"ssh://{ALIAS}:{models}", "--threads", 1, "--json", results) == 0
    shown = capsys.readouterr()
    assert f"small: copied to {ALIAS}:{models}/small, checked there" in shown.out
    assert "ms (median of " in shown.out
    assert "NOT verified" in shown.out
    assert "never verified" in shown.err
    assert contents(models) == ["small"]
    assert contents(models / "small") == ["SHA256SUMS", "library.so", "manifest.json"]
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=models / "small", check=True)
    (result,) = map(json.loads, results.read_text().splitlines())
    assert result["copied"] is True
    assert result["folder"] == f"{models}/small"
    assert result["seconds"] > 0
    assert result["runs"] >= 20
    assert result["fingerprint"]

    assert deploy(package.path, "--to", f"{ALIAS}:{models}", "--no-run") == 0
    shown = capsys.readouterr()
    assert f"small: already there: {ALIAS}:{models}/small" in shown.out
    assert "Copying" not in shown.err


def must_build() -> None:
    """Skips where the native agent cannot be built here."""
    if linker_command() is None:
        pytest.skip("no C++ compiler to build the native agent with")


def test_a_board_without_python_gets_the_agent(
    board: Server, package: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    must_build()
    (board.bin / "edgetune").unlink()
    assert deploy(package.path, "--to", f"{ALIAS}:{board.home}/models", "--threads", 1) == 0
    shown = capsys.readouterr()
    assert "ms (median of " in shown.out
    assert f"Copying the agent to {ALIAS}" in shown.err
    (agent,) = (board.home / ".cache" / "edgetune").iterdir()

    assert deploy("--agent", "--to", ALIAS) == 0
    shown = capsys.readouterr()
    assert f"the agent is already on {ALIAS}, checked there: {agent}/edgetune-agent" in shown.out
    assert "Copying" not in shown.err
    shutil.rmtree(agent)
    assert deploy("--agent", "--to", ALIAS) == 0
    assert f"the agent is now on {ALIAS}" in capsys.readouterr().out
    assert os.access(agent / "edgetune-agent", os.X_OK)


def test_the_board_is_listed_by_the_name_that_the_user_gave(
    board: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "boards.jsonl"
    assert cli.main(["devices", "--ssh", ALIAS, "--json", str(path)]) == 0
    shown = capsys.readouterr().out
    assert f" {ALIAS} " in shown and " free " in shown and "127.0.0.1" not in shown
    line = json.loads(path.read_text())
    assert (line["address"], line["reachable"], line["status"]["identity"]["agent"]) == (ALIAS, True, "python")
    assert cli.main(["devices", "--ssh", ALIAS, "--rpc", "desk"]) == 2
    assert "--ssh leads to one board" in capsys.readouterr().err


def test_the_agents_folder(board: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    must_build()
    folder, own = tmp_path / "agent", tmp_path / "own"
    for _ in range(2):  # an older one is replaced
        assert deploy("--agent", folder) == 0
        assert f"the agent for {os.uname().machine} is in {folder}" in capsys.readouterr().out
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    own.mkdir()
    (own / "precious").touch()
    assert "is no agent's folder" in refused(2, capsys, "--agent", own)
    assert contents(own) == ["precious"]
    assert "there is no folder" in refused(1, capsys, "--agent", tmp_path / "none" / "agent")


def test_an_older_version_is_replaced(
    board: Server, package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = write(tmp_path / "small.tar", {"library.so": package.path.read_bytes()[:5000]}, small.manifest())
    assert deploy(package.path, "--to", f"{ALIAS}:{board.home}", "--no-run") == 0
    (board.home / "small.part-999999999-0123456789abcdef").mkdir()  # what the board kept when it lost its power
    assert deploy(newer.path, "--to", f"{ALIAS}:{board.home}", "--no-run") == 0
    assert contents(board.home) == ["small"]
    library = board.home / "small" / "library.so"
    assert hashlib.sha256(library.read_bytes()).hexdigest() == newer.checksums["library.so"]
    assert deploy(package.path, "--to", f"{ALIAS}:{board.home}", "--no-run", "--name", "other") == 0
    assert contents(board.home) == ["other", "small"]


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_copy_that_is_interrupted_leaves_nothing(
    board: Server, tmp_path: Path, how: signal.Signals, status: int
) -> None:
    large = write(tmp_path / "large.tar", {"library.so": bytes(200 << 20)}, small.manifest())
    command = [sys.executable, ROOT / "cli.py", "deploy", large.path, "--to", f"{ALIAS}:{board.home}/models"]
    for _ in range(4):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as desk:
            wait_for(lambda: any(path.stat().st_size for path in board.home.glob("models/*/library.so")))
            desk.send_signal(how)
            assert desk.stderr is not None
            said = desk.stderr.read().splitlines()
        if desk.returncode == 0:  # all was there before the signal came
            shutil.rmtree(board.home / "models")
            continue
        assert desk.returncode == status
        assert not any("Traceback" in line for line in said), "\n".join(said)
        assert status != 130 or said[-1] == "error: interrupted", "\n".join(said)
        break
    wait_for(lambda: contents(board.home / "models") == [])


def test_a_package_that_was_damaged_on_the_board_is_copied_again(
    board: Server, package: Package, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(package.path, "--to", f"{ALIAS}:{board.home}", "--no-run") == 0
    library = board.home / "small" / "library.so"
    library.write_bytes(library.read_bytes()[:-1] + b"x")
    capsys.readouterr()
    assert deploy(package.path, "--to", f"{ALIAS}:{board.home}", "--no-run") == 0
    assert "copied to" in capsys.readouterr().out
    assert hashlib.sha256(library.read_bytes()).hexdigest() == package.checksums["library.so"]


def test_a_package_for_another_machine(board: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = write(tmp_path / "small.tar", {"library.so": AARCH64}, small.manifest())
    said = refused(1, capsys, other.path, "--to", f"{ALIAS}:{board.home}")
    assert "the package is for aarch64 and board is x86_64" in said
    assert contents(board.home) == []


def test_a_place_that_takes_no_files(
    board: Server, package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (board.home / "file").touch()
    assert "file is no folder" in refused(1, capsys, package.path, "--to", f"{ALIAS}:{board.home}/file/models")
    assert "/proc takes no folders: " in refused(1, capsys, package.path, "--to", f"{ALIAS}:/proc/models")
    (board.home / "small").mkdir()
    (board.home / "small" / "mine").touch()
    said = refused(1, capsys, package.path, "--to", f"{ALIAS}:{board.home}")
    assert "is no deployed package" in said
    assert contents(board.home / "small") == ["mine"]


def test_a_disk_that_is_full(board: Server, package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    df = board.bin / "df"
    df.write_text(
        "#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\necho '/dev/a 9 8 1 99% /'\n"
    )
    df.chmod(0o755)
    said = refused(1, capsys, package.path, "--to", f"{ALIAS}:{board.home}")
    assert "not enough space" in said
    assert "1 KiB are free" in said


def test_a_damaged_package_is_not_deployed(
    board: Server, package: Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.tar"
    data = bytearray(package.path.read_bytes())
    data[-20_000] ^= 1
    damaged.write_bytes(data)
    assert "SHA-256" in refused(1, capsys, damaged, "--to", f"{ALIAS}:{board.home}")


def test_a_name_that_is_no_folder(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("..", "a/b", "-x", "a.part-1"):
        assert "another one with --name" in refused(2, capsys, package.path, "--to", "board:/opt", f"--name={name}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a PACKAGE and where it goes"),
        (["small.tar"], "give a PACKAGE and where it goes"),
        (["small.tar", "--to", "board"], "names no folder"),
        (["small.tar", "--to", "board:/opt"], "there is no package small.tar"),
        (["alexnet", "--to", "board:/opt"], "is a model"),
        (["small.tar", "--to", "board:/opt", "--machine", "aarch64"], "--machine is for --agent"),
        (["--agent"], "give --agent a DIR"),
        (["--agent", "dir", "--to", "board"], "give --agent a DIR"),
        (["--agent", "dir", "--no-run"], "--no-run is for a package"),
        (["--agent", "dir", "--machine", "riscv64"], "no agent without Python for riscv64"),
        (["--agent", "--to", "board:/opt"], "is no board"),
        (["--agent", "--to", "ssh://board/opt"], "leave out the folder"),
        (["--agent", "--to", "board", "--machine", "aarch64"], "the board says itself"),
    ],
)
def test_calls_that_cannot_be_meant(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused(2, capsys, *arguments)
    assert contents(tmp_path) == []


def test_the_machine_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(AARCH64)
    assert library_machine(tmp_path / "a") == "aarch64"
    assert library_machine(Path(sys.executable)) == os.uname().machine
    (tmp_path / "b").write_bytes(b"#!/bin/sh")
    assert library_machine(tmp_path / "b") is None


def test_the_agents_of_machines_have_names_of_their_own() -> None:
    names = {BundledAgents().identity(machine) for machine in ("x86_64", "aarch64")}
    assert len(names) == 2
    assert all(name.startswith(f"{tool_version()}-") for name in names)
