"""Which program links a shared library for a platform: the system's C++ compiler, or Zig's from PyPI."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys

from targets.cpuinfo import machine

# The oldest glibc on the machines that packages go to: JetPack 4's Ubuntu 18.04.
GLIBC = "2.27"
_NATIVE = ("c++", "g++", "clang++")


def linker_command(triple: str | None = None) -> list[str] | None:
    """The command, without its arguments, that links for `triple` (None: this machine), or None where there is none.

    `$CXX` wins for this machine; then the system's compilers; then `python -m ziglang cc`, which cross-links too.
    """
    if triple is None or triple == native_triple():
        chosen = shlex.split(os.environ.get("CXX", ""))
        if chosen and shutil.which(chosen[0]):
            return chosen
        for name in _NATIVE:
            path = shutil.which(name)
            if path:
                return [path]
        return [*_zig()] or None
    cross = shutil.which(f"{triple}-g++")
    if cross:
        return [cross]
    zig = _zig()
    return [*zig, "-target", f"{triple}.{GLIBC}"] if zig else None


def why_no_linker(triple: str) -> str | None:
    """None where a library for `triple` can be linked here, else the line that says what to install."""
    if linker_command(triple) is not None:
        return None
    if triple == native_triple():
        return "no C++ compiler to link with: install g++ or clang, or `pip install ziglang`"
    package = f"g++-{triple.replace('_', '-')}"
    return f"no cross linker for {triple}: `pip install ziglang`, or install {triple}-g++ (Debian: {package})"


def native_triple() -> str:
    """LLVM's triple of this machine, as the targets spell it."""
    return f"{machine()}-linux-gnu"


def _zig() -> list[str]:
    return [sys.executable, "-m", "ziglang", "cc"] if importlib.util.find_spec("ziglang") else []
