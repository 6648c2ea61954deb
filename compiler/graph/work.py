"""How much arithmetic and memory traffic a kernel is."""

from __future__ import annotations

import logging

import numpy as np
import tvm
from tvm import s_tir, tirx

from .kernels import KERNEL
from .passes.concat_slices import INTO
from .scheduling import schedulable

_log = logging.getLogger(__name__)


def flops(task: tvm.IRModule) -> float | None:
    """Arithmetic operations of the kernel {"main": func}, before scheduling; None where TVM cannot count them."""
    from tvm.s_tir.analysis import estimate_tir_flops

    try:
        return float(estimate_tir_flops(task))
    except Exception as error:  # noqa: BLE001 - dynamic or opaque functions
        _log.debug("operations not counted: %s", error)
        return None


def bytes_moved(task: tvm.IRModule) -> float | None:
    """Bytes of all arguments of the kernel, each read or written once; None where a shape is dynamic.

    Of a tensor that only a slice of is read or written it is the slice.
    """
    func = task["main"]
    slices = _slices(task) if schedulable(func) else []
    before = func.params[-2] if INTO in (func.attrs or {}) else None
    total = 0.0
    for param in func.params:
        if before is not None and param.same_as(before):
            continue  # the output again
        try:
            count = next((n for buffer, n in slices if buffer.same_as(param)), None)
            if count is None:
                count = int(np.prod([int(d) for d in param.shape], dtype="int64"))
        except (TypeError, AttributeError, ValueError):
            return None
        total += count * np.dtype(str(param.dtype)).itemsize
    return total


def _slices(task: tvm.IRModule) -> list[tuple[tirx.Var, int]]:
    """Arguments of which a slice is read or written, and its elements."""
    sch = s_tir.Schedule(task)
    found = []
    for block in sch.get_child_blocks(sch.get_sblock("root")):
        realized = sch.get(block)
        kind = str(realized.annotations.get(KERNEL, ""))
        regions = {"read_slice": realized.reads, "write_slice": realized.writes}.get(kind, [])
        found += [(r.source, int(np.prod([int(sch.get(i).extent) for i in sch.get_loops(block)]))) for r in regions]
    return found
