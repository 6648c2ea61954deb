"""The machine code of `pool.c`, made with whichever compiler links the library that it goes into."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from compiler.scratch import scratch_folder

SOURCE = Path(__file__).with_name("pool.c")
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-pthread")


def pool_object(command: Sequence[str], timeout: float) -> bytes:
    """The object file that `command`, a C++ compiler's without arguments, makes of `pool.c`; made once per process.

    Raises what `subprocess.run` does: CalledProcessError holds what the compiler said.
    """
    return _made(tuple(command), timeout)


@lru_cache(maxsize=8)
def _made(command: tuple[str, ...], timeout: float) -> bytes:
    with scratch_folder("pool") as folder:
        path = folder / "pool.o"
        subprocess.run(
            [*command, *FLAGS, "-x", "c", "-c", str(SOURCE), "-o", str(path)],
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        return path.read_bytes()
