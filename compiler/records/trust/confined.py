"""The jobs of a process with limits (see compiler/tuning/worker). What they use is loaded before the limits are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compiler.records.trust.examine import examine, examine_kernel
from compiler.records.trust.limits import allow_seconds, confine

CPU_SECONDS = 5.0
"""A trace that computes for longer is quarantined; one of a large convolution takes 0.01 to 0.3."""
SECONDS = 30.0
"""So long it may take in all; the machine may be busy with other things."""


def jobs() -> dict[str, Callable[..., Any]]:
    """The jobs by their names: see `examine`. The process is confined when this returns."""
    _load()
    confine()

    def limited(job: Callable[..., str | None]) -> Callable[..., str | None]:
        def run(**arguments: Any) -> str | None:
            allow_seconds(CPU_SECONDS)
            return job(**arguments)

        return run

    return {"examine": limited(examine), "examine_kernel": limited(examine_kernel)}


def _load() -> None:
    """Look at a small kernel and a trace of it, which imports whatever is imported at first use."""
    import tvm
    from tvm import s_tir, te

    from compiler.records.workload import trace_text, workload_of

    x = te.placeholder((4, 4), "float32", name="x")
    y = te.compute((4, 4), lambda i, j: x[i, j] + x[j, i], name="y")
    mod = tvm.IRModule({"main": te.create_prim_func([x, y])})
    workload = workload_of(mod)
    schedule = s_tir.Schedule(mod)
    schedule.vectorize(schedule.get_loops(schedule.get_sblock("y"))[-1])
    for reason in (examine_kernel(workload.ir, workload.hash), examine(workload.ir, trace_text(schedule))):
        if reason is not None:
            raise RuntimeError(f"looking at a plain kernel failed: {reason}")
    examine(workload.ir, '[[["GetSBlock",[],["z","main"],["b0"]]],[]]')  # what errors are made with
