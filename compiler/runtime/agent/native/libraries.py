"""TVM's runtime for a machine: the libraries of the installed wheels, or of the same wheels for another machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.runtime.agent.native.once import made_once
from compiler.scratch import scratch_folder
from targets import cpuinfo

NEEDED = ("libtvm_runtime.so", "libtvm_runtime_extra.so", "libtvm_ffi.so")
OPTIONAL = ("libtvm_runtime_cuda.so",)
"""Loaded on a board whose CUDA is of the generation that the wheel was built with, and else left alone."""

_WHEELS = {"apache-tvm": "tvm", "apache-tvm-ffi": "tvm_ffi"}
_GLIBCS = ("2_28", "2_27", "2_26", "2_24", "2_17")
_DOWNLOAD_SECONDS = 1800.0


def headers() -> Path:
    """The folder of tvm_ffi's headers, which are the same for every machine."""
    return _package("tvm_ffi") / "include"


def runtime_libraries(machine: str, progress: Callable[[str], None] | None = None) -> Path:
    """A folder that holds TVM's runtime for `machine`, and the licenses of what is in it.

    Raises EdgetuneError, in one line, where it has to be downloaded and cannot be.
    """
    versions = "-".join(importlib.metadata.version(name) for name in _WHEELS)
    name = f"tvm-runtime-{versions}-{machine}"
    own = cpuinfo.machine() == machine
    return made_once(name, lambda folder: _installed(folder) if own else _downloaded(folder, machine, progress))


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise EdgetuneError(f"{name} is not installed: `pip install edgetune`")
    return Path(found.origin).parent


def _installed(folder: Path) -> None:
    for wheel, package in _WHEELS.items():
        for file in (_package(package) / "lib").iterdir():
            if file.name in (*NEEDED, *OPTIONAL):
                shutil.copyfile(file, folder / file.name)
        for path in importlib.metadata.files(wheel) or []:
            if ".dist-info/licenses/" in str(path):
                _put_license(folder, wheel, path.name, Path(str(path.locate())).read_bytes())
    _must_be_whole(folder)


def _downloaded(folder: Path, machine: str, progress: Callable[[str], None] | None) -> None:
    if progress is not None:
        progress(f"Downloading TVM's runtime for {machine}")
    with scratch_folder("wheels") as wheels:
        _download(wheels, machine)
        for path in wheels.glob("*.whl"):
            wheel = "apache-tvm-ffi" if path.name.startswith("apache_tvm_ffi") else "apache-tvm"
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    name = entry.rpartition("/")[2]
                    if entry == f"{_WHEELS[wheel]}/lib/{name}" and name in (*NEEDED, *OPTIONAL):
                        (folder / name).write_bytes(archive.read(entry))
                    elif ".dist-info/licenses/" in entry and name:
                        _put_license(folder, wheel, name, archive.read(entry))
    _must_be_whole(folder)


def _download(folder: Path, machine: str) -> None:
    wanted = [f"{wheel}=={importlib.metadata.version(wheel)}" for wheel in _WHEELS]
    platforms = [option for glibc in _GLIBCS for option in ("--platform", f"manylinux_{glibc}_{machine}")]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", *platforms, "-d", str(folder), *wanted]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, errors="replace", timeout=_DOWNLOAD_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or error)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        why = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "pip failed")
        raise EdgetuneError(
            f"TVM's runtime for {machine} cannot be downloaded ({why.removeprefix('ERROR: ')}): "
            "it takes pip and a network, once"
        ) from None


def _put_license(folder: Path, wheel: str, name: str, text: bytes) -> None:
    (folder / f"{name}.{wheel}").write_bytes(text)


def _must_be_whole(folder: Path) -> None:
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise EdgetuneError(f"the wheels of TVM have no {missing[0]}: this version of edgetune does not know them")
