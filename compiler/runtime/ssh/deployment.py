"""A package's files on a board: whole, checked there, and put in place in one step."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.package import LIBRARY, MANIFEST
from compiler.report import format as fmt
from compiler.runtime.ssh.address import SshAddress
from compiler.runtime.ssh.agent import install, look_around
from compiler.runtime.ssh.link import Link
from compiler.runtime.ssh.source import AgentSource, Progress
from compiler.runtime.ssh.staging import SUMS, staging, sweep, why_not_whole

_ELF_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_SPARE_BYTES = 4 << 20
"""What must be left on the board's disk; the folder itself takes some."""

# Prints the folder, how many KiB are free, and what has the name there. Only making a folder tells whether one can be
# made: permissions say nothing of read-only and virtual file systems, and nothing to root.
_LOOK = r"""
name=$2 sums=$3 manifest=$4
case $1 in /*) wanted=$1 ;; *) wanted=$HOME/$1 ;; esac
there=$wanted
while [ ! -e "$there" ] && [ ! -L "$there" ]; do there=$(dirname "$there"); done
[ -d "$there" ] || { echo "$there is no folder" >&2; exit 1; }
cd "$there" || exit 1
said=$(mkdir ".edgetune-$$" 2>&1) || { echo "$there takes no folders: ${said##*: }" >&2; exit 1; }
rmdir ".edgetune-$$"
[ "$there" = "$wanted" ] && wanted=$(pwd -P)
echo "$wanted"
set -- $(df -Pk . | tail -n 1)
echo "$4"
there=$wanted/$name
if [ ! -e "$there" ] && [ ! -L "$there" ]; then echo nothing
elif [ -f "$there/$sums" ] && [ -f "$there/$manifest" ]; then echo package
else echo other
fi
"""


@dataclass(frozen=True)
class Deployed:
    """Where a package lies on the board (an absolute path), and whether it had to be copied."""

    folder: str
    copied: bool

    @property
    def library(self) -> str:
        """The path of its library there."""
        return f"{self.folder}/{LIBRARY}"


def deploy_package(
    board: SshAddress, unpacked: Path, name: str, *, progress: Progress | None = None, **files: Path | None
) -> Deployed:
    """Put the package whose files lie in `unpacked` into the folder `name` of `board.path`.

    files: `known_hosts` and `config` instead of the user's. Raises EdgetuneError, before anything is copied, for a
    package for another machine, a place that takes no files, or a full disk.
    """
    return asyncio.run(_deploy(board, unpacked, name, progress, files))


def deploy_agent(
    board: SshAddress, source: AgentSource, *, progress: Progress | None = None, **files: Path | None
) -> tuple[str, bool]:
    """Put the native agent on `board`: (its path there, whether it had to be copied). Raises EdgetuneError."""
    return asyncio.run(_deploy_agent(board, source, progress, files))


async def _deploy(
    board: SshAddress, unpacked: Path, name: str, progress: Progress | None, files: dict[str, Path | None]
) -> Deployed:
    if progress is not None:
        progress(f"Connecting to {board}")
    link = await Link.open(board, **files)
    try:
        await _must_be_machine(link, unpacked)
        contents: dict[str, Path | bytes] = {path.name: path for path in sorted(unpacked.iterdir())}
        parent, free, found = await _look(link, board.path or ".", name)
        deployed = Deployed(f"{parent}/{name}" if parent != "/" else f"/{name}", True)
        if found == "other":
            raise EdgetuneError(
                f"{deployed.folder} on {board} is no deployed package: remove it, or give another --name"
            )
        if found == "package" and await _is_there(link, deployed.folder, unpacked / SUMS):
            return Deployed(deployed.folder, False)
        size = sum(path.stat().st_size for path in unpacked.iterdir())
        if free is not None and size + _SPARE_BYTES > free:
            raise EdgetuneError(
                f"not enough space in {parent} on {board}: the package takes {fmt.size(size)}, "
                f"and {fmt.size(free)} are free"
            )
        await sweep(link, parent, name)
        async with staging(link, parent, name) as stage:
            await stage.write(contents, f"{name} to {board}", progress)
            if progress is not None:
                progress(f"Checking {name} on {board}")
            await stage.check()
            await stage.place(replace=True)
        return deployed
    finally:
        await link.close()


async def _deploy_agent(
    board: SshAddress, source: AgentSource, progress: Progress | None, files: dict[str, Path | None]
) -> tuple[str, bool]:
    link = await Link.open(board, **files)
    try:
        return await install(link, await look_around(link), source, progress)
    finally:
        await link.close()


async def _must_be_machine(link: Link, unpacked: Path) -> None:
    needed = library_machine(unpacked / LIBRARY)
    machine = (await look_around(link)).machine
    if needed is not None and needed != machine:
        raise EdgetuneError(f"the package is for {needed} and {link.address} is {machine}: compile it for that board")


async def _look(link: Link, parent: str, name: str) -> tuple[str, int | None, str]:
    """(the folder, its free bytes where the board says, what is called `name` there)."""
    done = await link.script(_LOOK, parent, name, SUMS, MANIFEST)
    lines = done.stdout.split("\n")
    if done.status != 0 or len(lines) < 3:
        raise EdgetuneError(f"cannot deploy to {parent} on {link.address}: {done.said}")
    return lines[0], int(lines[1]) * 1024 if lines[1].isdigit() else None, lines[2]


async def _is_there(link: Link, folder: str, sums: Path) -> bool:
    """Whether the board has exactly these files already."""
    done = await link.script('cat "$1/$2"', folder, SUMS)
    return done.status == 0 and done.stdout == sums.read_text() and await why_not_whole(link, folder) is None


def library_machine(path: Path) -> str | None:
    """The machine that an ELF file is for, as `uname -m` names it; None for what is none or an unknown one."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    return _ELF_MACHINES.get(struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0])
