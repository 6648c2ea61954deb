"""Links as the compiler's driver would, without it: what a tuning session builds is linked in 8 ms instead of 28.

GCC's driver starts a second program (collect2), which loads a plug-in and starts the linker. The linker's command is
asked for once a process, by `-###`, upon which GCC and Clang print what they would run.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from compiler.linker import SHARED, TIMEOUT_S, Linker, linker
from compiler.parallel.object import pool_object
from compiler.scratch import scratch_folder

_Around = tuple[tuple[str, ...], tuple[str, ...]]
"""A linker's command: what stands before `-o OUTPUT OBJECT...`, and after."""


class DirectLinker(Linker):
    """A `Linker` that starts the linker itself, and the compiler's driver only where that does not work."""

    def __call__(self, output: str, objects: Sequence[str], options: Sequence[str] | None = None) -> None:
        """Link `objects` into the shared library `output`. Raises EdgetuneError with the linker's first complaint."""
        around = None if options else _around(tuple(self.command))
        if around is None or not self._link(around, output, [objects] if isinstance(objects, str) else objects):
            super().__call__(output, objects, options)

    def _link(self, around: _Around, output: str, objects: Sequence[str]) -> bool:
        pool = Path(f"{output}.pool.o")
        try:
            pool.write_bytes(pool_object(self.command, TIMEOUT_S))
            return _runs([*around[0], "-o", output, *objects, str(pool), *around[1]])
        finally:
            pool.unlink(missing_ok=True)


def direct_linker(triple: str | None = None) -> DirectLinker:
    """The linker for `triple` (None: this machine). Raises EdgetuneError where there is none."""
    found = linker(triple)
    return DirectLinker(found.command, found.triple)


@lru_cache(maxsize=8)
def _around(command: tuple[str, ...]) -> _Around | None:
    """The linker's command that the driver `command` would run; None where it does not tell, or where that fails."""
    with scratch_folder("link") as folder:
        output, source = f"{folder}/library.so", f"{folder}/pool.o"
        try:
            Path(source).write_bytes(pool_object(command, TIMEOUT_S))
            asked = [*command, *SHARED, "-###", "-o", output, source]
            said = subprocess.run(asked, check=True, capture_output=True, text=True, errors="replace", timeout=60)
            words = next(w for w in map(_words, reversed(said.stderr.splitlines())) if output in w and source in w)
            program = _program(command, words[0])
        except (OSError, subprocess.SubprocessError, StopIteration):
            return None  # the driver, which is asked next, says what is wrong
        if program is None:
            return None
        words = _without_plugin(words[1:])
        at = words.index("-o")
        words = words[:at] + words[at + 2 :]
        at = words.index(source)
        around = (program, *words[:at]), tuple(words[at + 1 :])
        return around if _runs([*around[0], "-o", output, source, *around[1]]) else None


def _program(command: tuple[str, ...], first: str) -> str | None:
    """The linker where `first` is what the driver runs: itself, or what GCC's collect2 would start."""
    if Path(first).name != "collect2":
        return shutil.which(first)
    asked = [*command, "-print-prog-name=ld"]
    said = subprocess.run(asked, check=True, capture_output=True, text=True, errors="replace", timeout=60)
    return shutil.which(said.stdout.strip())


def _without_plugin(words: Sequence[str]) -> list[str]:
    """Without what is for link-time optimisation of GCC's own object files; there are none."""
    left: list[str] = []
    following = iter(words)
    for word in following:
        if word == "-plugin":
            next(following, None)
        elif not word.startswith("-plugin-opt="):
            left.append(word)
    return left


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _runs(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
