"""What runs in a process of a dask worker. The desk sends the names of these functions: edgetune is installed there."""

from __future__ import annotations

import hashlib
import platform
import threading
from typing import Any

from compiler.scratch import scratch_folder
from compiler.tuning.workers import Outcome, Pool

_own = threading.local()


def describe(target: str, threads: int) -> dict[str, str | None]:
    """What the desk compares: versions of edgetune and TVM, the host, and why `target` cannot be compiled here."""
    import targets
    from compiler.version import tool_version

    try:
        cannot = targets.why_not_compile(targets.get(target, threads))
    except targets.TargetError as error:
        cannot = str(error)
    return {"edgetune": tool_version(), "tvm": targets.tvm_version(), "host": platform.node(), "cannot": cannot}


def build(job: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Build a candidate within `timeout` seconds: the job of compiler/tuning/worker/build.py.

    Answers with the `library` (its bytes), its `sha256` and the `arguments` of its function, or with an `error`. The
    compiler may crash: it runs in a process of its own, which is kept for the next job of this thread.
    """
    with scratch_folder("build") as folder:
        library = folder / "candidate.so"
        outcome = _map({**job, "library": str(library)}, timeout)
        if outcome.error is not None:
            return {"error": outcome.error}
        content = library.read_bytes()
        return {
            "library": content,
            "sha256": hashlib.sha256(content).hexdigest(),
            "arguments": outcome.value[1],
        }


def _map(job: dict[str, Any], timeout: float) -> Outcome:
    pool: Pool | None = getattr(_own, "pool", None)
    if pool is None:
        # The process ends with the thread that starts it, and so with the dask worker, however that ends.
        _own.pool = pool = Pool(1, 1)
    return pool.map("build", [job], timeout)[0]
