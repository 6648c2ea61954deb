"""How a command ends when the system, not edgetune, is at fault."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cli
from compiler.commands.interrupt import deferred
from compiler.report.format import printable

ROOT = Path(cli.__file__).parent


@pytest.mark.parametrize("arguments", ["targets", "targets --json -", "--help"])
def test_a_full_disk_behind_stdout_is_no_bug(arguments: str) -> None:
    command = f"{sys.executable} {ROOT / 'cli.py'} {arguments} >/dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: the system refused: No space left on device"
    assert "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "/x"), "error: /x: Permission denied\n"),
        (MemoryError(), "error: this machine has not enough memory for this\n"),
        (KeyboardInterrupt("all is kept"), "error: interrupted: all is kept\n"),
    ],
)
def test_the_system_s_failures_are_one_line(
    error: BaseException, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("compiler.commands.targets.list_targets", broken)
    assert cli.main(["targets"]) == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert capsys.readouterr().err.lstrip("\n") == line


def test_strangers_names_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[2Jb\nc\u202ed\udc80é") == "a\\x1b[2Jb\\nc\\u202ed\\udc80é"
    assert cli.main(["targets", "a\x1b[2Jb\r"]) == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.err
    assert "\r" not in shown.err


def test_ctrl_c_that_tvm_swallows_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tvm

    @tvm.transform.module_pass(opt_level=0)
    def pressed(_mod: tvm.IRModule, _context: object) -> tvm.IRModule:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    monkeypatch.setattr("compiler.commands.targets.list_targets", lambda *_: pressed(tvm.IRModule()))
    before = signal.getsignal(signal.SIGINT)
    assert cli.main(["targets"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_waits_only_where_something_could_be_lost() -> None:
    said: list[str] = []
    with deferred(lambda: said.append("stopping")) as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert not said
    with deferred(lambda: said.append("stopping")) as interrupts:
        interrupts.defer()
        signal.raise_signal(signal.SIGINT)
        assert said == ["stopping"]
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert said == ["stopping"]
