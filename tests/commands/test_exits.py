"""How a command ends when the system, not edgetune, is at fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import cli
from compiler.commands.interrupt import deferred
from compiler.errors import EdgetuneError
from compiler.report.format import printable
from tests.runtime.small import onnx_model

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


@pytest.mark.parametrize("calls", [1, 3])
def test_what_tvm_says_of_builders_left_in_the_middle_is_not_shown(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tvm import relax

    emitted = []
    real = relax.BlockBuilder.emit

    def emit(builder: relax.BlockBuilder, *arguments: object, **named: object) -> object:
        emitted.append(builder)
        if len(emitted) == calls:
            emitted.clear()  # they are the mutator's alone
            signal.raise_signal(signal.SIGINT)
        return real(builder, *arguments, **named)

    monkeypatch.setattr(relax.BlockBuilder, "emit", emit)
    onnx.save(onnx_model(), tmp_path / "small.onnx")
    assert cli.main(["compile", str(tmp_path / "small.onnx"), "--zero-trial", "-o", str(tmp_path / "small.tar")]) == 130
    assert capfd.readouterr().err.endswith("\nerror: interrupted\n")


def test_a_refusal_in_the_middle_of_lowering_is_the_last_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tvm import relax

    def refused(*_: object) -> None:
        builder = relax.BlockBuilder()
        builder._begin_dataflow_block()
        try:
            raise ValueError("within")
        except ValueError as error:
            raise EdgetuneError("this is not supported") from error

    monkeypatch.setattr("compiler.commands.targets.list_targets", refused)
    assert cli.main(["targets"]) == 1
    assert capfd.readouterr().err == "error: this is not supported\n"


@pytest.mark.parametrize("module", ["click", "msgspec"])
def test_ctrl_c_while_modules_are_imported_is_one_line(module: str, tmp_path: Path) -> None:
    """One that the front door imports, and one that a command does."""
    (tmp_path / f"{module}.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "inspect", "alexnet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[1].lstrip("\n") == "error: interrupted\n"
        assert process.returncode == 130
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_that_is_ignored_stays_so_while_modules_are_imported(tmp_path: Path) -> None:
    """As of what a script has put into the background."""
    asks = "import signal, sys; sys.path.insert(0, sys.argv[1]); before = signal.getsignal(signal.SIGINT)\n"
    asks += "from compiler.commands import early\nassert signal.getsignal(signal.SIGINT) is before is signal.SIG_IGN\n"
    asks += "early.end()\nassert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
    subprocess.run(["bash", "-c", 'trap "" INT; exec "$@"', "-", sys.executable, "-c", asks, str(ROOT)], check=True)


def test_who_imports_the_front_door_keeps_python_s_ctrl_c() -> None:
    asks = "import signal, sys; sys.path.insert(0, sys.argv[1]); import cli\n"
    asks += "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    asks += "assert cli.main(['--version']) == 0\n"
    asks += "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    subprocess.run([sys.executable, "-c", asks, str(ROOT)], check=True, stdout=subprocess.DEVNULL)


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
