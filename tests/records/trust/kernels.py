"""A small kernel with schedules of it, good and bad, as records."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import targets
from compiler.records.canonical import canonical_bytes
from compiler.records.record import Record, Workload
from compiler.records.store import Store
from compiler.records.trust.claims import Kernel
from tests.records.samples import record

Change = Callable[[Any], None]
FINGERPRINT = targets.fingerprint(targets.get("native")).id


@lru_cache
def kernel(width: int = 64) -> Kernel:
    """y = x @ w + x over `width` x `width` floats, the layout of w being free."""
    import tvm
    from tvm import te

    from compiler.records.workload import workload_of
    from compiler.tvm_setup import prepare

    prepare()
    x = te.placeholder((width, width), "float32", name="x")
    w = te.placeholder((width, width), "float32", name="w")
    k = te.reduce_axis((0, width), name="k")
    product = te.compute((width, width), lambda i, j: te.sum(x[i, k] * w[k, j], axis=k), name="product")
    y = te.compute((width, width), lambda i, j: product[i, j] + x[i, j], name="y")
    func = te.create_prim_func([x, w, y]).with_attr("global_symbol", "main").with_attr("layout_free_buffers", [1])
    mod = tvm.IRModule({"main": func})
    return Kernel("matmul", workload_of(mod).hash, mod)


def workload(of: Kernel | None = None) -> Workload:
    from compiler.records.workload import workload_of

    of = of or kernel()
    return workload_of(of.mod, of.name)


def schedule(change: Change | None = None, of: Kernel | None = None) -> str:
    """The trace of a schedule, made by `change` through TVM's own interface, of `product` split into tiles."""
    from tvm import s_tir

    from compiler.records.workload import trace_text

    sch = s_tir.Schedule((of or kernel()).mod, debug_mask="none")
    if change is None:
        change = tiled()
    change(sch)
    return trace_text(sch)


def tiled(tile: int = 8) -> Change:
    def change(sch: Any) -> None:
        block = sch.get_sblock("product")
        i, j, _k = sch.get_loops(block)
        _outer, inner = sch.split(j, [None, tile])
        sch.parallel(i)
        sch.unroll(inner)

    return change


def packed(assume: bool = False) -> Change:
    """The weight copied in another order, as tuning does it."""

    def change(sch: Any) -> None:
        product = sch.get_sblock("product")
        copy = sch.cache_read(product, 1, "global")
        sch.annotate(copy, "meta_schedule.layout_rewrite_preproc", 1)
        sch.transform_layout(product, ("read", 1), lambda a, b: (b // 8, a, b % 8), assume_injective_transform=assume)

    return change


def edited(trace: str, edit: Callable[[list[Any], list[Any]], object]) -> str:
    """`trace` after `edit(instructions, decisions)`."""
    value = json.loads(trace)
    edit(*value)
    return canonical_bytes(value).decode("utf-8")


def claim(trace: str, of: Kernel | None = None, **changes: Any) -> Record:
    """A record of this machine's fingerprint."""
    return record(
        **{"workload": (of or kernel()).hash, "trace": trace, "fingerprint": FINGERPRINT, "extra": {}, **changes}
    )


def imported(store: Store, *records: Record, own_kernel: bool = True) -> None:
    """Keep `records` as an import would, the kernel as this machine's own or as one that came with them."""
    store.add_workload(workload(), imported=not own_kernel)
    store.add_many(records, origin="a stranger")
