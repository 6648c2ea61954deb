"""Links object files, and the threads that they run on (`compiler.parallel`), into the shared library of a package.

TVM's own linking needs a C++ compiler on the machine, as one program without arguments. This takes the system's where
there is one and Zig's from PyPI otherwise, which also links for other CPUs.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from compiler.errors import EdgetuneError
from compiler.parallel.object import pool_object
from targets import toolchain

# Zig builds its C library the first time that it links for a platform: half a minute on two cores.
TIMEOUT_S = 600.0
SHARED = ("-shared", "-fPIC", "-pthread")


class FCompile(Protocol):
    """What TVM's `export_library(path, fcompile=...)` calls: links `objects` into `output`."""

    output_format: str

    def __call__(self, output: str, objects: Sequence[str], options: Sequence[str] | None = None) -> None: ...


class Linker:
    """Links with one command; `triple` is LLVM's name of the platform that it links for."""

    output_format = "so"

    def __init__(self, command: Sequence[str], triple: str) -> None:
        self.command = list(command)
        self.triple = triple

    def get_target_triple(self) -> str:
        """TVM asks this where a module holds no machine code to read it from."""
        return self.triple

    def __call__(self, output: str, objects: Sequence[str], options: Sequence[str] | None = None) -> None:
        """Link `objects` into the shared library `output`. Raises EdgetuneError with the linker's first complaint."""
        if isinstance(objects, str):
            objects = [objects]
        pool = Path(f"{output}.pool.o")
        command = [*self.command, *SHARED, "-o", output, *objects, str(pool), *(options or ())]
        try:
            pool.write_bytes(pool_object(self.command, TIMEOUT_S))
            subprocess.run(command, check=True, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
        except subprocess.CalledProcessError as error:
            said = _line(error.stderr or error.stdout) or f"exit status {error.returncode}"
            raise EdgetuneError(f"{self._failed(output)}: {said}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EdgetuneError(f"{self._failed(output)}: {_line(str(error))}") from error
        finally:
            pool.unlink(missing_ok=True)

    def _failed(self, output: str) -> str:
        return f"linking {Path(output).name} with {self.command[0]} failed"


def find_linker(triple: str | None = None) -> tuple[Linker | None, str]:
    """The linker for `triple` (None: this machine) and what it is, or None and the line that says what to install."""
    wanted = triple or toolchain.native_triple()
    command = toolchain.linker_command(wanted)
    if command is None:
        return None, toolchain.why_no_linker(wanted) or f"no linker for {wanted}"
    return Linker(command, wanted), " ".join(command)


def export(compiled: Any, library: Path, fcompile: FCompile) -> None:
    """Link what TVM compiled into the shared library `library`, with object files beside it until that is done.

    TVM by itself puts them into a folder of its own, which stays where a build is ended by kill -9; `library` is in
    one that goes. Raises what `fcompile` does.
    """
    with tempfile.TemporaryDirectory(prefix=f"{library.name}.", dir=library.parent) as folder:
        compiled.export_library(str(library), fcompile=fcompile, workspace_dir=folder)


def linker(triple: str | None = None) -> Linker:
    """The linker for `triple` (None: this machine). Raises EdgetuneError where there is none."""
    found, message = find_linker(triple)
    if found is None:
        raise EdgetuneError(message)
    return found


def _line(text: str) -> str:
    """The line of a linker's output that says what went wrong."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    # The compiler's own last word, `collect2: error: ld returned 1 exit status`, only says that there is one above.
    causes = [line for line in lines if not line.endswith("exit status")] or lines
    telling = [line for line in causes if any(word in line.lower() for word in ("error", "cannot", "failed"))]
    return (telling or causes or [""])[0][:300]
