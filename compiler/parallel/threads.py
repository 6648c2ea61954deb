"""How many threads a library's own pool has (see `pool.c`), and on which CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compiler.errors import EdgetuneError

if TYPE_CHECKING:
    import tvm

FUNCTION = "edgetune_set_threads"


def set_library_threads(library: tvm.runtime.Module, threads: int, cpus: Sequence[int] = ()) -> None:
    """Have the kernels of `library` run on `threads` threads, the calling one among them.

    With `cpus`, one a thread, each stays on its own; without, all share the CPUs that the caller may use. A library
    that was linked without a pool runs on TVM's, and is left alone. Raises EdgetuneError when there are fewer threads.
    """
    actual = _call(library, threads, *cpus)
    if actual is not None and actual != threads:
        raise EdgetuneError(f"{threads} threads were asked for, and this process could only make {actual}")


def end_library_threads(library: tvm.runtime.Module) -> None:
    """End the threads of `library`, which may still be loaded for long. A later call makes new ones."""
    _call(library, 0)


def _call(library: tvm.runtime.Module, *arguments: int) -> int | None:
    try:
        function = library.get_function(FUNCTION, query_imports=True)
    except AttributeError:
        return None
    return int(function(*arguments))
