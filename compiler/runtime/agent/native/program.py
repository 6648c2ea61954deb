"""Compiling `edgetune-agent` for a machine."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.runtime.agent.native.libraries import headers
from compiler.scratch import scratch_folder
from compiler.version import tool_version
from targets import toolchain

NAME = "edgetune-agent"
SOURCES = Path(__file__).parent

# Zig builds its C++ library the first time that it compiles for a platform: some minutes on two cores.
_TIMEOUT_S = 900.0
_COMPILE = ("-std=c++17", "-Os", "-fPIE", "-ffunction-sections", "-fdata-sections", "-fvisibility=hidden", "-w")
_LINK = ("-pie", "-Wl,--gc-sections", "-Wl,-s", "-Wl,-rpath,$ORIGIN")
_WRAPPED = ("__libc_start_main", "dlopen", "dlsym", "dlerror")
"""What `old_systems.cc` binds to the versions that old boards have."""


class Compiler:
    """The C++ compiler for `machine` (`x86_64`, `aarch64`). Raises EdgetuneError where there is none."""

    def __init__(self, machine: str) -> None:
        triple = f"{machine}-linux-gnu"
        command = toolchain.linker_command(triple)
        if command is None:
            raise EdgetuneError((toolchain.why_no_linker(triple) or "no C++ compiler").replace("linker", "compiler"))
        self._zig = "ziglang" in command
        if self._zig:
            # As C++, and for the oldest boards also where it compiles for this machine.
            place = command.index("ziglang")
            command = [*command[: place + 1], "c++", "-target", f"{triple}.{toolchain.GLIBC}"]
        self.command = command

    def identity(self) -> str:
        """Changes when the compiler does."""
        return self._run(["--version"]).strip()

    def compile(self, destination: Path, libraries: Path) -> None:
        """Compile the sources into the program `destination`, to run beside TVM's `libraries`, a folder.

        Raises EdgetuneError with the compiler's first complaint.
        """
        defines = [
            f'-DEDGETUNE_VERSION="{tool_version()}"',
            f'-DEDGETUNE_TVM_VERSION="{version("apache-tvm")}"',
            "-isystem",
            str(headers()),
        ]
        with scratch_folder("agent") as folder:

            def compiled(source: Path) -> str:
                made = str(folder / f"{source.stem}.o")
                self._run([*_COMPILE, *defines, "-c", str(source), "-o", made])
                return made

            sources = sorted(SOURCES.glob("*.cc"), key=lambda path: -path.stat().st_size)
            with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                objects = list(pool.map(compiled, sources))
            needed = ["-Wl,--no-as-needed", "-ltvm_runtime", "-ltvm_ffi", "-Wl,--as-needed", "-ldl", "-lpthread"]
            self._run([*objects, *self._link_options(), f"-L{libraries}", *needed, "-o", str(destination)])

    def _link_options(self) -> list[str]:
        # Zig has old versions of the C library itself.
        wrapped = [] if self._zig else [f"-Wl,--wrap={name}" for name in _WRAPPED]
        return [*_LINK, *wrapped, f"-Wl,--version-script={SOURCES / 'symbols.map'}"]

    def _run(self, arguments: list[str]) -> str:
        command = [*self.command, *arguments]
        try:
            return subprocess.run(
                command, check=True, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            said = str(getattr(error, "stderr", None) or error)
            lines = [line.strip() for line in said.splitlines() if line.strip()]
            complaint = next((line for line in lines if "error" in line), lines[0] if lines else "it says nothing")
            name = shlex.join(self.command)
            raise EdgetuneError(f"{name} cannot build the agent: {complaint}") from None


def sources_digest() -> str:
    """Changes when anything does that the agent is made of."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        if path.suffix in (".cc", ".h", ".map", ".py"):
            digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()
