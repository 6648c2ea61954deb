"""A model as a module for plain TVM: what the records of its kernels apply to, without edgetune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.build import best_seconds
from compiler.errors import UsageError
from compiler.precision import must_have, storage_of

if TYPE_CHECKING:
    import tvm

    import targets
    from compiler.frontend import Model
    from compiler.records.store import Store


def plain_module(
    model: Model, target: targets.Target, store: Store, fingerprint: str, precision: str = "fp32"
) -> tuple[tvm.IRModule, frozenset[str]]:
    """`model` lowered as `edgetune compile` lowers it, with its weights, before any kernel is scheduled.

    Each kernel is a function of the module, and equal to the workload of its records, so that MetaScheduleApplyDatabase
    finds them; their hashes come second. Convolutions use the algorithm that is fastest in the records of
    `fingerprint`. Raises UsageError where the target is a GPU.
    """
    from compiler.tvm_setup import prepare

    if target.kind == "cuda":
        raise UsageError(
            f"a module for plain TVM can be made for CPUs only, and {target.name} is a GPU: leave out --model "
            "to export its records alone"
        )
    must_have(target, precision)
    prepare(target.kind)
    from tvm import tirx

    from compiler.cpu_front import front_for_cpus
    from compiler.graph import pipeline, variants
    from compiler.graph.filling import filling
    from compiler.graph.scheduling import ORIGIN, as_task, cpu_hardware
    from compiler.records.workload import workload_of

    storage, fill = storage_of(precision), filling(cpu_hardware(target))
    laid_out, _, _ = front_for_cpus(model, target, precision)
    expanded = variants.expand(laid_out, storage, fill)
    seconds = best_seconds(store, expanded.tasks, fingerprint)
    lowered = pipeline.lower(laid_out, storage, lambda index, _: expanded.algorithm(index, seconds), None, fill).mod
    out = lowered.clone()
    workloads = set()
    for gvar, func in lowered.functions.items():
        if isinstance(func, tirx.PrimFunc):
            for name in ORIGIN:  # notes of ours for our own passes, which would make other workloads of the kernels
                if func.attrs and name in func.attrs:
                    func = func.without_attr(name)
            out[gvar] = func
            workloads.add(workload_of(as_task(func)).hash)
    return out, frozenset(workloads)


def as_json(mod: tvm.IRModule) -> bytes:
    """The module as the text that `tvm.ir.load_json` reads."""
    import tvm

    return str(tvm.ir.save_json(mod)).encode()
