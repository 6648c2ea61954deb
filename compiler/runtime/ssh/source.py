"""Where the agent comes from that is put on a board without Python."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from compiler.errors import EdgetuneError
from compiler.runtime.agent.bundle import MACHINES, cached_bundle
from compiler.runtime.agent.native.program import NAME as AGENT
from compiler.runtime.agent.native.program import sources_digest
from compiler.version import tool_version

__all__ = ["AGENT", "AgentSource", "BundledAgents", "Progress", "check_machine", "this_machine"]

Progress = Callable[[str], None]


class AgentSource(Protocol):
    """Gives the folder of the native agent: `edgetune-agent`, what it needs, and SHA256SUMS over all of it."""

    def identity(self, machine: str) -> str:
        """Names exactly this agent for `machine`, in letters, digits, dots and hyphens; nothing is built for it.

        Raises EdgetuneError where there is none for that machine.
        """
        ...

    def folder(self, machine: str, progress: Progress | None) -> Path:
        """The agent's folder for `machine`, built if need be. Raises EdgetuneError where it cannot be."""
        ...


class BundledAgents:
    """Agents built from this project's own sources (see `compiler.runtime.agent.bundle`)."""

    def identity(self, machine: str) -> str:
        check_machine(machine)
        # The compiler is left out: what is on the board already does as well, and a desk without one can use it.
        parts = (machine, version("apache-tvm"), version("apache-tvm-ffi"), sources_digest())
        return f"{tool_version()}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"

    def folder(self, machine: str, progress: Progress | None) -> Path:
        check_machine(machine)
        return cached_bundle(machine, progress=progress)


def check_machine(machine: str) -> None:
    """Raises EdgetuneError where there is no native agent for `machine`."""
    if machine not in MACHINES:
        raise EdgetuneError(
            f"there is no agent without Python for {machine} (only for {' and '.join(MACHINES)}): "
            "`pip install edgetune[rpc]` on the board, if it has Python and TVM"
        )


def this_machine() -> str:
    """This machine, as `uname -m` names it."""
    return platform.machine()
