"""The folder that a board without Python needs: `edgetune-agent` and, beside it, TVM's runtime for that machine."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from compiler.errors import EdgetuneError
from compiler.runtime.agent.native.elf import oldest_glibc, oldest_libstdcxx
from compiler.runtime.agent.native.libraries import runtime_libraries
from compiler.runtime.agent.native.once import files_of, made_once
from compiler.runtime.agent.native.program import NAME, Compiler, sources_digest
from compiler.version import tool_version

MACHINES = ("x86_64", "aarch64")

Progress = Callable[[str], None]

_README = """edgetune-agent {version} for {machine}, with the runtime of TVM {tvm}

Start edgetune-agent; --help says how. It needs Linux with glibc {glibc} or newer and a libstdc++.so.6 with
GLIBCXX_{libstdcxx} or newer, and nothing else that is not in this folder. `sha256sum -c SHA256SUMS` checks the files.
libtvm_runtime_cuda.so is used where the board has the libcudart.so.13 that it was built with.
LICENSE.* and NOTICE.* are the terms of what is in here.
"""


def build_bundle(machine: str, destination: Path, *, progress: Progress | None = None) -> None:
    """Make the folder `destination` for `machine` (`x86_64` or `aarch64`); one that is there is replaced as a whole.

    It holds `edgetune-agent`, TVM's libraries, licenses, a README that says what the board must have, and SHA256SUMS.
    What was built before from the same sources is taken from the user's cache. Raises EdgetuneError, in one line, where
    there is no compiler for `machine`, TVM's runtime cannot be had, or the folder cannot be written.
    """
    built = cached_bundle(machine, progress=progress)
    part = None
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.absolute().parent))
        shutil.copytree(built, part / "new")
        if destination.is_dir():
            destination.rename(part / "old")
        (part / "new").rename(destination)
    except OSError as error:
        raise EdgetuneError(f"cannot write {destination}: {error.strerror}") from None
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def cached_bundle(machine: str, *, progress: Progress | None = None) -> Path:
    """The same folder in the user's cache, which nobody may change. Raises EdgetuneError as `build_bundle` does."""
    if machine not in MACHINES:
        raise EdgetuneError(f"there is no agent without Python for {machine}, only for {' and '.join(MACHINES)}")
    compiler = Compiler(machine)

    def make(folder: Path) -> None:
        libraries = runtime_libraries(machine, progress)
        if progress is not None:
            progress(f"Compiling {NAME} for {machine}")
        for file in files_of(libraries):
            shutil.copyfile(file, folder / file.name)
        compiler.compile(folder / NAME, libraries)
        (folder / NAME).chmod(0o755)
        _describe(folder, machine)

    return made_once(f"{machine}-{_identity(machine, compiler)}", make)


def _identity(machine: str, compiler: Compiler) -> str:
    """Changes when the folder would."""
    parts = [machine, tool_version(), version("apache-tvm"), version("apache-tvm-ffi"), sources_digest()]
    parts += [*compiler.command, compiler.identity(), _README]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _describe(folder: Path, machine: str) -> None:
    files = files_of(folder)
    own = Path(__file__).parents[3] / "LICENSE"
    if own.is_file():  # in a checkout; an installed edgetune keeps it elsewhere, and has the same terms as TVM
        shutil.copyfile(own, folder / "LICENSE.edgetune")
    (folder / "README").write_text(
        _README.format(
            version=tool_version(),
            machine=machine,
            tvm=version("apache-tvm"),
            glibc=oldest_glibc(files),
            libstdcxx=oldest_libstdcxx(files),
        )
    )
