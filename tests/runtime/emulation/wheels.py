"""Python packages for another machine, unpacked into a folder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.runtime.emulation.debian import UnavailableError

_GLIBCS = ("2_34", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17")
_SECONDS = 600.0


def unpack(names: Sequence[str], python: str, machine: str, folder: Path, leave_out: Sequence[str] = ()) -> None:
    """Download wheels of `names` in the versions that are installed here (the newest where none is) for a `python` such
    as `3.11` on `machine`, and unpack them into `folder`, without members whose names end with one of `leave_out`.

    Raises UnavailableError where that is not possible.
    """
    with tempfile.TemporaryDirectory(prefix="edgetune-wheels-") as wheels:
        _download([_pinned(name) for name in names], python, machine, Path(wheels))
        for path in sorted(Path(wheels).glob("*.whl")):
            with zipfile.ZipFile(path) as archive:
                members = [name for name in archive.namelist() if not name.endswith(tuple(leave_out))]
                archive.extractall(folder, members)


def _pinned(name: str) -> str:
    try:
        return f"{name}=={version(name)}"
    except PackageNotFoundError:
        return name


def _download(wanted: Sequence[str], python: str, machine: str, folder: Path) -> None:
    platforms = [option for glibc in _GLIBCS for option in ("--platform", f"manylinux_{glibc}_{machine}")]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--python-version", python, "--implementation", "cp", *platforms]
    try:
        subprocess.run(
            [*command, "-d", str(folder), *wanted],
            check=True, capture_output=True, text=True, errors="replace", timeout=_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        raise UnavailableError(f"pip cannot download for {machine}: {said[-1] if said else 'it failed'}") from None
