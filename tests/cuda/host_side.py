"""Packages for GPUs on an emulated aarch64 board without a GPU: what it makes of the host's side and of the GPU's."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.runtime.emulation.board import python_agent

LOOK_SECONDS = 300.0

# One process for all packages: TVM takes seconds to load under emulation.
_ON_THE_BOARD = """
import _ctypes, ctypes, json, platform, sys
sys.modules["torch"] = None  # as for an agent: what this machine has of it is none of the board's
import tvm, tvm_ffi

from compiler.errors import EdgetuneError
from compiler.package import LIBRARY, open_package
from compiler.runtime.outputs import in_one_line
from compiler.runtime.session import LocalSession

for line in sys.stdin:
    package = open_package(json.loads(line))
    said = {"machine": platform.machine(), "library": None, "session": None}
    with package.unpack() as folder:
        # RTLD_NOW: all that the host's side wants of other libraries is there, at the versions that it wants.
        host = ctypes.CDLL(str(folder / LIBRARY), mode=2)
        said["host"] = all(hasattr(host, name) for name in ("__tvm_ffi__library_bin", "__tvm_ffi_edgetune_set_threads"))
        try:
            in_one_line("load", lambda: tvm.runtime.load_module(str(folder / LIBRARY)))
        except EdgetuneError as error:
            said["library"] = str(error)
        _ctypes.dlclose(host._handle)
    with LocalSession(1) as session:
        try:
            session.load(package)
        except EdgetuneError as error:
            said["session"] = str(error)
    print(json.dumps(said), flush=True)
"""


@dataclass(frozen=True)
class Look:
    """What the board made of a package. `machine` is its CPU; `host` whether the host's side is code that it loads;
    `library` and `session` how TVM and a session refused the GPU's, None where they did not."""

    machine: str
    host: bool
    library: str | None
    session: str | None

    def problems(self, target: str) -> list[str]:
        """What is not as it should be of a package for `target`; none where all is."""
        found = [f"the board is {self.machine}"] if self.machine != "aarch64" else []
        found += [] if self.host else ["the host's side lacks functions"]
        for what, said in (("the library", self.library), ("the session", self.session)):
            if said is None:
                found.append(f"{what} is not refused")
            elif "\n" in said:
                found.append(f"{what} is refused in more than a line: {said!r}")
        if self.library is not None and "GPU" not in self.library:
            found.append(f"the library's refusal does not say why: {self.library!r}")
        # A CPU that is not the package's is said before the GPU is looked for: the board's is Orin's, and not Thor's.
        why = ("this machine has no NVIDIA GPU", "this machine's CPU (")
        if self.session is not None and not (target in self.session and any(part in self.session for part in why)):
            found.append(f"the session's refusal does not say why: {self.session!r}")
        return found


class Board:
    """A process on the emulated board that looks at one package after the other."""

    def __init__(self, process: subprocess.Popen[str], errors: Any) -> None:
        self._process = process
        self._errors = errors
        self._turn = threading.Lock()

    def look(self, package: Path) -> Look:
        """Look at `package`; from any thread. Raises RuntimeError where the process dies of it, or takes too long."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._turn:
            late = threading.Timer(LOOK_SECONDS, self._process.kill)
            late.start()
            try:
                self._process.stdin.write(json.dumps(str(package)) + "\n")
                self._process.stdin.flush()
                answer = self._process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            finally:
                late.cancel()
        if not answer:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"the board's process ended with {self._process.wait()}: {said}")
        return Look(**json.loads(answer))


@contextmanager
def looking() -> Iterator[Board]:
    """A board as long as the context is open. Raises UnavailableError with the reason where there is none."""
    python = python_agent()[0]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [python, "-c", _ON_THE_BOARD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            yield Board(process, errors)
        finally:
            process.kill()
            process.communicate()
