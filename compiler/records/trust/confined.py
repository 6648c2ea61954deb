"""The jobs of a process with limits (see compiler/tuning/worker). What they use is loaded before the limits are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from compiler.records.trust.compute import compute
from compiler.records.trust.examine import examine, examine_kernel
from compiler.records.trust.limits import allow_seconds, confine

if TYPE_CHECKING:
    import tvm

CPU_SECONDS = 5.0
"""A trace that computes for longer is quarantined; one of a large convolution takes 0.01 to 0.3."""
SECONDS = 30.0
"""So long it may take in all; the machine may be busy with other things."""
COMPUTE_CPU_SECONDS = 60.0
"""To compile two kernels and run each once; those of a large convolution at batch 48 take 2 to 5."""
COMPUTE_SECONDS = 180.0


def looking() -> dict[str, Callable[..., Any]]:
    """The jobs that look at traces and kernels, by their names: see `examine`. The process is confined when this
    returns."""
    _load()
    confine()
    return {"examine": _limited(examine, CPU_SECONDS), "examine_kernel": _limited(examine_kernel, CPU_SECONDS)}


def comparing() -> dict[str, Callable[..., Any]]:
    """The job that runs kernels: see `compute`. The process is confined when this returns."""
    _load_compiler()
    confine()
    return {"compute": _limited(compute, COMPUTE_CPU_SECONDS)}


def _limited(job: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    def run(**arguments: Any) -> Any:
        allow_seconds(seconds)
        return job(**arguments)

    return run


def _load() -> None:
    """Look at a small kernel and a trace of it, which imports whatever is imported at first use."""
    from tvm import s_tir

    from compiler.records.workload import trace_text, workload_of

    mod = _small()
    workload = workload_of(mod)
    schedule = s_tir.Schedule(mod)
    schedule.vectorize(schedule.get_loops(schedule.get_sblock("y"))[-1])
    for reason in (examine_kernel(workload.ir, workload.hash), examine(workload.ir, trace_text(schedule))):
        if reason is not None:
            raise RuntimeError(f"looking at a plain kernel failed: {reason}")
    examine(workload.ir, '[[["GetSBlock",[],["z","main"],["b0"]]],[]]')  # what errors are made with


def _load_compiler() -> None:
    """Compile and run a small kernel, for the same reason."""
    import targets
    from compiler.graph.scheduling import cpu_hardware
    from compiler.records.trust.admission import as_json

    native = targets.get("native")
    mod = as_json(_small())
    trace = '[[["GetSBlock",[],["y","main"],["b0"]]],[]]'
    if compute(mod, trace, native.config(), cpu_hardware(native)) != 0.0:
        raise RuntimeError("a plain kernel computes something else than itself")


def _small() -> tvm.IRModule:
    import tvm
    from tvm import te

    x = te.placeholder((4, 4), "float32", name="x")
    y = te.compute((4, 4), lambda i, j: x[i, j] + x[j, i], name="y")
    return tvm.IRModule({"main": te.create_prim_func([x, y])})
