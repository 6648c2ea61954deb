"""How much arithmetic and memory traffic a kernel is."""

from __future__ import annotations

import logging

import numpy as np
import tvm

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
    """Bytes of all arguments of the kernel, each read or written once; None where a shape is dynamic."""
    total = 0.0
    for param in task["main"].params:
        try:
            count = int(np.prod([int(d) for d in param.shape], dtype="int64"))
        except (TypeError, AttributeError, ValueError):
            return None
        total += count * np.dtype(str(param.dtype)).itemsize
    return total
