"""Packages of Debian for another machine, unpacked into a folder: no root, no chroot, no change of this system."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RELEASE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"
_SECONDS = 300.0


class UnavailableError(Exception):
    """The board cannot be set up here; the message is the reason, in one line."""


def unpack(packages: Sequence[str], architecture: str, root: Path) -> None:
    """Download `packages` of Debian's `architecture` and unpack them into `root`. Their dependencies are not followed.

    Raises UnavailableError where that is not possible.
    """
    if not KEYRING.is_file():
        raise UnavailableError("Debian's keys are not here (package debian-archive-keyring)")
    with tempfile.TemporaryDirectory(prefix="edgetune-apt-") as folder:
        apt = _private_apt(Path(folder), architecture)
        _run([*apt, "update"], folder)
        _run([*apt, "download", *packages], folder)
        archives = sorted(Path(folder).glob("*.deb"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda archive: _run(["dpkg-deb", "-x", str(archive), str(root)], folder), archives))


def _private_apt(folder: Path, architecture: str) -> list[str]:
    """The command `apt-get` with lists and caches of its own in `folder`, for `architecture` alone."""
    for name in ("state/lists/partial", "cache/archives/partial", "parts"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {RELEASE} main\n")
    options = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",  # what is downloaded belongs to whoever runs this
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": folder / "parts",
    }
    return ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]


def _mirror() -> str:
    """The mirror that this system takes Debian from, where it is one."""
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if file.is_file():
            for address in re.findall(r"https?://[^\s\]]+/debian/?(?=\s)", file.read_text(errors="replace")):
                return str(address)
    return MIRROR


def _run(command: Sequence[str], folder: str) -> None:
    try:
        subprocess.run(
            command, check=True, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        raise UnavailableError(f"{command[0]}: {said[0] if said else 'it failed'}") from None
