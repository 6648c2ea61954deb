"""Where the agent comes from that is put on a board without Python."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from compiler.errors import EdgetuneError
from compiler.version import tool_version

Progress = Callable[[str], None]

AGENT = "edgetune-agent"
MACHINES = ("aarch64", "x86_64")
"""The machines that there is a native agent for, as `uname -m` names them."""

_SOURCES = Path(__file__).resolve().parents[1] / "agent"


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
    """Agents built from the sources in this project; folders last as long as this does."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent

    def identity(self, machine: str) -> str:
        check_machine(machine)
        digest = hashlib.sha256(f"{machine} {version('apache-tvm')} {version('apache-tvm-ffi')}\n".encode())
        for path in sorted([*(_SOURCES / "native").rglob("*"), _SOURCES / "bundle.py"]):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.name}\n".encode() + path.read_bytes())
        return f"{tool_version()}-{digest.hexdigest()[:12]}"

    def folder(self, machine: str, progress: Progress | None) -> Path:
        check_machine(machine)
        folder = self._parent / machine
        if not folder.exists():
            from compiler.runtime.agent.bundle import build_bundle

            build_bundle(machine, folder, progress=progress)
        return folder


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


@contextmanager
def bundled_agents() -> Iterator[BundledAgents]:
    """The agents of this project."""
    with tempfile.TemporaryDirectory(prefix="edgetune-agent-") as folder:
        yield BundledAgents(Path(folder))
