"""A board with another CPU, emulated: an arm64 userland of Debian with Python and TVM, run by `qemu-aarch64-static`.

It says that it is a Cortex-A78AE. `python -m tests.runtime.emulation.board` (or `make board`) sets it up, which takes a
few minutes the first time; the tests do it by themselves, and skip with the reason where it is not possible.

A program of the board runs as `qemu-aarch64-static -L ROOT PROGRAM`: what it opens is the board's file where the board
has one, and this machine's otherwise, such as the checkout and temporary folders. It cannot start other programs of the
board (that takes binfmt, and root to set it up); it can start this machine's, `bin/` of the board among them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cli
from compiler.errors import EdgetuneError
from compiler.runtime.agent.bundle import cached_bundle
from compiler.runtime.agent.native.once import made_once
from compiler.version import tool_version
from targets import toolchain
from tests.runtime.emulation import debian, wheels
from tests.runtime.emulation.debian import UnavailableError

MACHINE = "aarch64"
TRIPLE = "aarch64-linux-gnu"
TARGET = "arm-cortex-a78ae"
QEMU = "qemu-aarch64-static"
PYTHON = "3.11"
CORES = 2

_HERE = Path(__file__).parent
_CHECKOUT = Path(cli.__file__).parent

_PACKAGES = (
    "libc6", "libgcc-s1", "libstdc++6", "zlib1g",
    f"python{PYTHON}-minimal", f"libpython{PYTHON}-minimal", f"libpython{PYTHON}-stdlib",
    "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libuuid1", "libcrypt1", "libsqlite3-0",
)  # fmt: skip
_WHEELS = (
    "apache-tvm", "apache-tvm-ffi", "numpy", "ml-dtypes", "psutil", "cloudpickle", "typing-extensions",
    "click", "msgspec", "platformdirs", "rich", "markdown-it-py", "mdurl", "pygments",
)  # fmt: skip
"""What `edgetune serve` imports: no compiler part, no ONNX."""
_LEFT_OUT = ("libtvm_compiler.so",)

_CPUINFO = """processor\t: {cpu}
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp uscat \
ilrcpc flagm
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd42
CPU revision\t: 1

"""
_MODEL = "Emulated board with Cortex-A78AE"

_PYTHON_WRAPPER = """#!/bin/sh
# The board's Python, for whoever wants to start it as a program.
export PYTHONHOME=/usr PYTHONPATH="{root}/site:{checkout}" PYTHONDONTWRITEBYTECODE=1 TVM_USE_RUNTIME_LIB=1
exec {qemu} -0 "$0" {options} "{root}/usr/bin/python{python}" "$@"
"""

_SHELL = """#!/bin/sh
# The board's shell, as ForceCommand of an SSH server: who asks for the machine is told the board's, and the native
# agent, which this machine's kernel cannot start, is started by QEMU.
PATH="{bin}:$PATH"
export PATH
asked=$(printf %s "$SSH_ORIGINAL_COMMAND" | sed 's#exec \\([^ ]*/edgetune-agent\\) #exec {qemu_options} \\1 #g')
exec /bin/sh -c "$asked"
"""

_UNAME = """#!/bin/sh
case "$*" in *m*) echo aarch64 ;; *) exec /bin/uname "$@" ;; esac
"""


@lru_cache(maxsize=1)
def root() -> Path:
    """The folder that is the board's root, set up where it is not yet. Raises UnavailableError with the reason."""
    if shutil.which(QEMU) is None:
        raise UnavailableError(f"there is no {QEMU} (Debian: qemu-user-static)")
    if toolchain.linker_command(TRIPLE) is None:
        raise UnavailableError(toolchain.why_no_linker(TRIPLE) or "no cross compiler")
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise UnavailableError(f"there is no {program} to take the board's packages from")
    import hashlib

    parts = [path.read_bytes() for path in sorted(_HERE.glob("*")) if path.suffix in (".py", ".c")]
    parts.append((_CHECKOUT / "requirements.lock").read_bytes())
    name = f"board-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}"
    try:
        return made_once(name, _set_up)
    except EdgetuneError as error:
        raise UnavailableError(str(error)) from None


def qemu(program: str | Path) -> list[str]:
    """The command that starts `program`, built for the board, there."""
    return [*_qemu(root()), str(program)]


@lru_cache(maxsize=1)
def native_agent() -> list[str]:
    """The command that starts the agent without Python on the board. Raises UnavailableError."""
    try:
        return qemu(cached_bundle(MACHINE) / "edgetune-agent")
    except EdgetuneError as error:
        raise UnavailableError(str(error)) from None


@lru_cache(maxsize=1)
def python_agent() -> list[str]:
    """The command that starts `edgetune serve` on the board. Raises UnavailableError."""
    wrapper = _wrappers() / "python3"
    return [str(wrapper), str(_CHECKOUT / "cli.py"), "serve"]


def ssh_shell() -> Path:
    """The board's shell, as ForceCommand of an OpenSSH server on this machine. Raises UnavailableError."""
    return _wrappers() / "board-shell"


@contextmanager
def emulated_agent(
    kind: Literal["native", "python"], *options: str, key: str | None = None, tracker: str | None = None
) -> Iterator[tuple[str, int]]:
    """An agent that runs on the board, with `options`: the host and port where it listens.

    Skips the test with the reason where there is no board.
    """
    import pytest

    from tests.runtime.agent import agents

    try:
        command = native_agent() if kind == "native" else python_agent()
    except UnavailableError as error:
        pytest.skip(f"no emulated board: {error}")
    made = agents.Kind(f"{kind} under emulation", lambda: command, target=TARGET, triple=TRIPLE, full=False)
    given = [*options]
    given += ["--key", key] if key is not None else []
    given += ["--tracker", tracker] if tracker is not None else []
    with agents.running(made, *given) as agent:
        yield agent.address.host, agent.address.port


def _set_up(folder: Path) -> None:
    _say("setting up the emulated board: packages")
    debian.unpack(_PACKAGES, "arm64", folder)
    (folder / "usr" / "bin" / f"python{PYTHON}").chmod(0o755)
    (folder / "etc" / "ld.so.cache").touch()  # this machine's is none of the board's business
    _say("setting up the emulated board: wheels")
    wheels.unpack(_WHEELS, PYTHON, MACHINE, folder / "site", leave_out=_LEFT_OUT)
    installed = folder / "site" / f"edgetune-{tool_version()}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: edgetune\nVersion: {tool_version()}\n")
    proc = folder / "files" / "proc"
    (proc / "device-tree").mkdir(parents=True)
    (proc / "cpuinfo").write_text("".join(_CPUINFO.format(cpu=cpu) for cpu in range(CORES)))
    (proc / "device-tree" / "model").write_text(f"{_MODEL}\0")
    zone = folder / "sys" / "class" / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("CPU-therm\n")
    (zone / "temp").write_text("45500\n")
    _compile(_HERE / "board_files.c", folder / "files" / "board_files.so")


def _compile(source: Path, destination: Path) -> None:
    command = toolchain.linker_command(TRIPLE) or []
    try:
        subprocess.run(
            [*command, "-x", "c", "-O1", "-shared", "-fPIC", str(source), "-o", str(destination)],
            check=True, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{source.name} does not compile: {getattr(error, 'stderr', '') or error}") from None


def _qemu(board: Path) -> list[str]:
    files = board / "files"
    return [QEMU, "-L", str(board), "-E", f"LD_PRELOAD={files}/board_files.so", "-E", f"EDGETUNE_BOARD_FILES={files}"]


@lru_cache(maxsize=1)
def _wrappers() -> Path:
    """A folder of programs of this machine that stand for the board's; made anew, since they name this checkout."""
    import atexit
    import tempfile

    board = root()
    folder = Path(tempfile.mkdtemp(prefix="edgetune-board-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = _qemu(board)
    texts = {
        "python3": _PYTHON_WRAPPER.format(
            root=board, checkout=_CHECKOUT, qemu=QEMU, options=" ".join(command[1:]), python=PYTHON
        ),
        "board-shell": _SHELL.format(bin=folder, qemu_options=" ".join(command)),
        "uname": _UNAME,
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> int:
    """Set the board up and say what it is."""
    began = time.monotonic()
    try:
        board = root()
        asked = [str(_wrappers() / "python3"), "-c", "import platform as p; print(p.machine(), p.python_version())"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except UnavailableError as error:
        sys.stderr.write(f"no emulated board: {error}\n")
        return 1
    sys.stdout.write(f"the board is {board}: {said}, after {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    os.chdir(_CHECKOUT)
    sys.exit(main())
